#include "persistence/check_file.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <map>
#include <optional>

#include "base/limits.h"
#include "base/numbers.h"
#include "persistence/aof_reader.h"
#include "persistence/rdb_reader.h"

namespace quartet::persistence {
namespace {

using State = FileReport::State;

/// So many databases a server has that is not told otherwise.
constexpr int kUsualDatabases = 16;
/// How much of a fact of an RDB file is shown, and how many facts.
constexpr size_t kShownBytes = 64, kShownFacts = 16;

std::string_view plural_of(storage::Type type) {
  switch (type) {
    case storage::Type::String: return "strings";
    case storage::Type::List: return "lists";
    case storage::Type::Set: return "sets";
    case storage::Type::Hash: return "hashes";
    case storage::Type::SortedSet: return "sorted sets";
  }
  return {};
}

/// Counts entries and has each of them erased at once.
class Census final : public RdbLoader, private storage::KeyspaceObserver {
 public:
  explicit Census(int64_t now_ms) : now_ms_(now_ms) {}

  storage::Keyspace* database(uint64_t index) override {
    if (index >= static_cast<uint64_t>(limits::kDatabases)) return nullptr;
    index_ = index;
    return &keyspace_;
  }

  void fact(std::string_view name, std::string_view value) override {
    if (facts_ == kShownFacts) return;
    const std::string line = fmt::format("{} {}", name.substr(0, kShownBytes), value.substr(0, kShownBytes));
    text_ += (facts_++ == 0 ? "" : ", ") + quoted_form(line);
  }

  void loaded(storage::Keyspace& keyspace, storage::Entry* entry) override {
    Database& database = databases_[index_];
    ++database.types[static_cast<size_t>(entry->type())];
    if (entry->expires()) ++database.expiring;
    if (entry->expired(now_ms_)) ++database.expired;
    keyspace.erase(entry);
  }

  void describe(std::vector<std::string>& lines) const {
    if (facts_ > 0) lines.push_back("facts: " + text_);
    for (const auto& [index, database] : databases_) {
      std::string line;
      uint64_t keys = 0;
      for (size_t type = 0; type < storage::kTypes; ++type) {
        keys += database.types[type];
        if (database.types[type] == 0) continue;
        line += fmt::format(", {} {}", database.types[type], plural_of(static_cast<storage::Type>(type)));
      }
      line = fmt::format("database {}: {} keys{}", index, keys, line);
      if (database.expiring > 0)
        line += fmt::format("; {} with an expiry, {} of them expired", database.expiring, database.expired);
      lines.push_back(std::move(line));
    }
  }

 private:
  struct Database {
    std::array<uint64_t, storage::kTypes> types{};
    uint64_t expiring = 0, expired = 0;
  };

  void expired(storage::Keyspace&, std::string_view) override {}
  void reclaim(std::unique_ptr<storage::Garbage>) override {}

  const int64_t now_ms_;
  storage::Keyspace keyspace_{0, *this};
  uint64_t index_ = 0;
  std::map<uint64_t, Database> databases_;
  std::string text_;
  size_t facts_ = 0;
};

void check_rdb(File& file, int64_t now_ms, FileReport& report) {
  std::optional<Error> unread;
  RdbInput in([&](uint64_t offset, std::span<char> into) {
    Result<size_t> read = file.read(offset, into);
    if (!read) unread = read.error();
    return read;
  });
  Census census(now_ms);
  RdbReader reader(in, census, {});
  RdbReader::Progress progress;
  do {
    progress = reader.step(limits::kRdbChunkBytes);
  } while (progress == RdbReader::Progress::More);
  if (reader.version() > 0) report.contents.push_back(fmt::format("RDB of version {}", reader.version()));
  census.describe(report.contents);
  if (reader.empty() > 0)
    report.contents.push_back(fmt::format("{} empty collections, which are passed over", reader.empty()));
  report.offset = in.offset();
  if (progress == RdbReader::Progress::Done) return;
  report.state = unread ? State::Unreadable : State::Damaged;
  report.offset = in.error()->offset;
  report.reason = in.error()->text;
}

void check_commands(File& file, const CommandRefusal& refusal, FileReport& report) {
  report.has_commands = true;
  std::map<int, uint64_t> databases;
  uint64_t commands = 0;
  AofReader reader(
      file,
      [&](const Effect& effect) -> Result<void> {
        if (refusal)
          if (std::optional<std::string> refused = refusal(effect.arguments)) return Error{std::move(*refused)};
        ++databases[effect.database];
        ++commands;
        return {};
      },
      report.offset);
  AofReader::Status status;
  do {
    status = reader.step(limits::kRdbChunkBytes);
  } while (status == AofReader::Status::More);
  report.offset = reader.offset();
  std::string line = fmt::format("{} commands, {} units of MULTI and EXEC, ", commands, reader.units());
  line += reader.batches() == 0 ? "no checksums" : fmt::format("{} batches with checksums", reader.batches());
  report.contents.push_back(std::move(line));
  for (const auto& [index, count] : databases)
    report.contents.push_back(fmt::format("database {}: {} commands", index, count));
  if (!databases.empty() && databases.rbegin()->first >= kUsualDatabases)
    report.contents.push_back(
        fmt::format("a server needs the setting `databases` of at least {}", databases.rbegin()->first + 1));
  if (status == AofReader::Status::Done) return;
  report.reason = reader.reason();
  switch (status) {
    case AofReader::Status::Torn: report.state = State::Torn; break;
    case AofReader::Status::Failed: report.state = State::Unreadable; break;
    default: report.state = State::Damaged;
  }
}

}  // namespace

FileReport check_file(Disk& disk, const std::string& path, int64_t now_ms, const CommandRefusal& refusal) {
  FileReport report;
  const auto unreadable = [&report](const Error& error) {
    report.state = State::Unreadable;
    report.reason = error.text;
    return report;
  };
  Result<std::unique_ptr<File>> file = disk.open_read(path);
  if (!file && file.error().code == ENOENT) {
    report.state = State::Damaged;
    report.reason = "the file is missing";
    return report;
  }
  if (!file) return unreadable(file.error());
  const Result<uint64_t> size = (*file)->size();
  if (!size) return unreadable(size.error());
  report.size = *size;
  const Result<bool> rdb = begins_as_rdb(**file);
  if (!rdb) return unreadable(rdb.error());
  if (*rdb || path.ends_with(".rdb")) {
    check_rdb(**file, now_ms, report);
    if (report.state != State::Whole || report.offset == report.size) return report;
  }
  check_commands(**file, refusal, report);
  return report;
}

}  // namespace quartet::persistence
