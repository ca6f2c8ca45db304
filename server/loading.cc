#include "server/loading.h"

#include <fmt/format.h>

#include "persistence/aof_tail.h"
#include "server/server.h"

namespace quartet::server {

namespace {

/// Bytes read between two looks at the clock.
constexpr size_t kStepBytes = 64 * 1024;
/// So many commands that fail are told of one by one.
constexpr uint64_t kToldFailures = 10;

}  // namespace

Loading::Loading(Server& server, persistence::Disk& disk, std::string directory, std::vector<Part> parts)
    : server_(server),
      disk_(disk),
      directory_(std::move(directory)),
      parts_(std::move(parts)),
      began_us_(server.clock.now().mono_us),
      now_ms_(server.clock.now().wall_ms()),
      session_(server.make_session()) {}

Loading::~Loading() = default;

uint64_t Loading::done_bytes() const {
  if (commands_) return earlier_bytes_ + commands_->offset();
  return earlier_bytes_ + (input_ ? input_->offset() : 0);
}

Loading::Status Loading::run(int64_t until_us) {
  Status status = Status::More;
  if (sizes_.empty() && !parts_.empty()) status = open();
  while (status == Status::More && at_ < parts_.size()) {
    status = step();
    if (status == Status::Done && ++at_ < parts_.size()) status = Status::More;
    if (server_.clock.now().mono_us >= until_us) break;
  }
  return parts_.empty() ? Status::Done : status;
}

/// The sizes first: a file that is missing must be known before anything is loaded.
Loading::Status Loading::open() {
  for (const Part& part : parts_) {
    Result<std::unique_ptr<persistence::File>> file = disk_.open_read(directory_ + "/" + part.name);
    if (!file) return fail(file.error().text);
    const Result<uint64_t> size = (*file)->size();
    if (!size) return fail(size.error().text);
    sizes_.push_back(*size);
    total_bytes_ += *size;
  }
  return Status::More;
}

Loading::Status Loading::open_part() {
  const Part& part = parts_[at_];
  Result<std::unique_ptr<persistence::File>> file = disk_.open_read(directory_ + "/" + part.name);
  if (!file) return fail(file.error().text);
  file_ = std::move(*file);
  const Result<bool> is_rdb = persistence::begins_as_rdb(*file_);
  if (!is_rdb) return fail(is_rdb.error().text);
  if (!*is_rdb && !part.name.ends_with(".rdb") && part.kind == Part::Kind::AppendOnly) {
    begin_commands(0);
    return Status::More;
  }
  input_.emplace([from = file_.get()](uint64_t offset, std::span<char> into) { return from->read(offset, into); });
  persistence::RdbReader::Options options;
  if (part.kind == Part::Kind::Snapshot) options.now_ms = now_ms_;
  options.verify_checksum = server_.config.rdbchecksum;
  options.file_bytes = sizes_[at_];
  snapshot_.emplace(*input_, *this, options);
  return Status::More;
}

void Loading::begin_commands(uint64_t offset) {
  commands_.emplace(*file_, [this](const persistence::Effect& effect) { return execute(effect); }, offset);
}

/// A command that replies an error did so on the server that wrote it, too, and changed as much as it does here.
Result<void> Loading::execute(const persistence::Effect& effect) {
  std::string failure;
  Result<void> done = server_.replay(*session_, effect.database, effect.arguments, effect.note, &failure);
  ++executed_;
  if (!failure.empty() && ++failed_ <= kToldFailures)
    server_.log.warning("{}/{}: a command at offset {} replies an error, as where it was written: {}", directory_, parts_[at_].name, commands_->offset(), failure);
  return done;
}

Loading::Status Loading::step() {
  if (!file_) {
    if (const Status opened = open_part(); opened == Status::Failed) return opened;
  }
  const Status status = commands_ ? step_commands() : step_snapshot();
  if (status == Status::Done) {
    earlier_bytes_ += sizes_[at_];
    commands_.reset();
    snapshot_.reset();
    input_.reset();
    file_.reset();
  }
  return status;
}

Loading::Status Loading::step_snapshot() {
  using Progress = persistence::RdbReader::Progress;
  const Progress progress = snapshot_->step(kStepBytes);
  if (progress == Progress::More) return Status::More;
  if (progress == Progress::Failed) {
    const persistence::RdbError& error = *input_->error();
    return fail(fmt::format("{}/{} is damaged at offset {}: {}", directory_, parts_[at_].name, error.offset, error.text));
  }
  loaded_ += snapshot_->loaded();
  expired_ += snapshot_->expired();
  empty_ += snapshot_->empty();
  // A server before Redis 7 appended its commands to the base, which 7.0 takes over as it is.
  if (parts_[at_].kind == Part::Kind::Snapshot || input_->offset() >= sizes_[at_]) return Status::Done;
  begin_commands(input_->offset());
  return Status::More;
}

Loading::Status Loading::step_commands() {
  using Read = persistence::AofReader::Status;
  const Read status = commands_->step(kStepBytes);
  const uint64_t offset = commands_->offset();
  switch (status) {
    case Read::More: return Status::More;
    case Read::Done:
      if (at_ + 1 < parts_.size()) return Status::Done;
      if (commands_->ends_with_batch()) last_end_ = offset;
      return settle_last(offset);
    case Read::Torn: return cut(offset, commands_->reason());
    case Read::Refused:
      return fail(fmt::format("{}/{} cannot be executed at offset {}: {}. `quartet --check --fix {}` keeps a copy and cuts it there",
                              directory_, parts_[at_].name, offset, commands_->reason(), directory_));
    case Read::Failed: return fail(commands_->reason());
    case Read::Corrupt: break;
  }
  return fail(fmt::format("{}/{} is damaged at offset {}: {}. `quartet --check --fix {}` keeps a copy and cuts it there",
                          directory_, parts_[at_].name, offset, commands_->reason(), directory_));
}

Loading::Status Loading::cut(uint64_t offset, const std::string& reason) {
  const std::string& name = parts_[at_].name;
  if (at_ + 1 < parts_.size())
    return fail(fmt::format("{}/{} ends too early at offset {} ({}), and it is not the last file", directory_, name, offset, reason));
  if (!server_.config.aof_load_truncated)
    return fail(fmt::format("{}/{} ends too early at offset {} ({}), and aof-load-truncated is no", directory_, name, offset, reason));
  server_.log.warning("{}/{} is cut off at offset {}, and the last {} bytes of it, of a write that did not come to its end, are lost: {}",
                      directory_, name, offset, sizes_[at_] - offset, reason);
  total_bytes_ -= sizes_[at_] - offset;
  sizes_[at_] = offset;
  return settle_last(offset);
}

/// A process that was killed may have left what readers see and a power cut would take.
Loading::Status Loading::settle_last(uint64_t end) {
  if (Result<void> done = persistence::cut_tail(disk_, directory_, parts_[at_].name, end); !done) return fail(done.error().text);
  return Status::Done;
}

Loading::Status Loading::fail(std::string text) {
  error_ = std::move(text);
  return Status::Failed;
}

storage::Keyspace* Loading::database(uint64_t index) {
  return index < server_.databases.size() ? server_.databases[index].get() : nullptr;
}

}  // namespace quartet::server
