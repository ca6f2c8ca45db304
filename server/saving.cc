#include "server/saving.h"

#include <algorithm>
#include <cerrno>

#include "server/server.h"

namespace quartet::server {

namespace {

/// A quarter of the time goes to the walk: slices of so long at most, and as short as the loop's turns are when it is busy, so
/// that clients wait little for them.
constexpr int64_t kLongestSliceUs = 250;
constexpr int64_t kShortestPauseUs = 100;
/// Bytes produced between two looks at the clock.
constexpr size_t kStepBytes = 2 * 1024;

}  // namespace

Saving::~Saving() = default;

size_t Saving::memory() const { return write_bytes_ + (server_.snapshot ? server_.snapshot->memory() : 0); }

bool Saving::running() const { return server_.snapshot || finishing_; }

size_t Saving::entries_written() const { return server_.snapshot ? server_.snapshot->entries_written() : entries_; }

void Saving::begin(std::span<storage::Keyspace* const> databases, Facts facts, std::unique_ptr<persistence::SnapshotFile> file,
                   Finish finish, Done done) {
  server_.long_commands.finish_writers();
  server_.snapshot = std::make_unique<persistence::Snapshot>(databases, facts, server_.config.rdbcompression);
  entries_ = server_.snapshot->entries();
  file_ = std::move(file);
  finish_ = std::move(finish);
  done_ = std::move(done);
  writing_ = finishing_ = false;
  ++number_;
}

Result<void> Saving::run(std::span<storage::Keyspace* const> databases, Facts facts, persistence::SnapshotFile& file,
                         const Finish& finish) {
  server_.long_commands.finish_writers();
  persistence::Snapshot snapshot(databases, facts, server_.config.rdbcompression);
  for (auto state = persistence::Snapshot::State::Running; state != persistence::Snapshot::State::Done;) {
    state = snapshot.step(limits::kSnapshotChunkBytes);
    while (const std::optional<std::string> chunk = snapshot.take())
      if (Result<void> done = file.write(*chunk); !done) return done;
  }
  if (Result<void> done = file.finish(); !done) return done;
  return finish(file);
}

void Saving::abort(std::string_view why) {
  if (!running()) return;
  server_.end_snapshot();
  // Its last write may be under way, and must not take the place of a newer file.
  file_->give_up();
  file_.reset();
  finishing_ = false;
  ++number_;
  const Done done = std::move(done_);
  done(Error{std::string(why), ECANCELED});
}

void Saving::take_slice() {
  if (!server_.snapshot) return;
  const int64_t began_us = server_.clock.now().mono_us;
  const int64_t paused_us = began_us - slice_ended_us_;
  if (paused_us < kShortestPauseUs) return;
  const int64_t end_us = began_us + std::min(paused_us / 4, kLongestSliceUs);
  do {
    const auto state = server_.step_snapshot(kStepBytes);
    slice_ended_us_ = server_.clock.now().mono_us;
    if (state != persistence::Snapshot::State::Running) break;
  } while (slice_ended_us_ < end_us);
  write_on();
}

void Saving::write_on() {
  if (writing_ || !server_.snapshot) return;
  std::optional<std::string> chunk = server_.snapshot->take();
  const bool last = server_.snapshot->state() == persistence::Snapshot::State::Done && server_.snapshot->waiting_bytes() == 0;
  if (!chunk && !last) return;
  struct Write {
    std::shared_ptr<persistence::SnapshotFile> file;
    std::string bytes;
    Result<void> outcome;
  };
  auto write = std::make_shared<Write>(Write{file_, chunk ? std::move(*chunk) : std::string(), {}});
  writing_ = true;
  write_bytes_ = persistence::Snapshot::memory_of(write->bytes);
  if (last) {
    // The keyspaces are free of it from here on.
    server_.end_snapshot();
    finishing_ = true;
  }
  server_.background.run(
      [write, last, finish = last ? finish_ : Finish()] {
        write->outcome = write->file->write(write->bytes);
        if (write->outcome && last) write->outcome = write->file->finish();
        if (write->outcome && last) write->outcome = finish(*write->file);
      },
      [this, write, last, number = number_] {
        write_bytes_ = 0;
        if (number == number_) written(write->outcome, last);
      });
}

void Saving::written(const Result<void>& outcome, bool last) {
  writing_ = false;
  if (outcome && !last) return write_on();
  server_.end_snapshot();
  file_.reset();
  finishing_ = false;
  ++number_;
  const Done done = std::move(done_);
  done(outcome);
}

}  // namespace quartet::server
