#include "persistence/aof_job.h"

#include <cerrno>

namespace quartet::persistence {

void AofJob::run() {
  Result<void> done = write_and_sync();
  if (done && piece_.step != AofStep::None) {
    done = step();
    stepped_ = static_cast<bool>(done);
  }
  if (!done) error_ = done.error();
}

Result<void> AofJob::write_and_sync() {
  if (!piece_.effects.empty()) {
    if (Result<void> done = increment_->write(piece_.effects); !done) return done;
  }
  written_ = true;
  // What follows a switch must not become durable before what precedes it.
  if (increment_ && (sync_ || piece_.step == AofStep::Switch)) {
    if (Result<void> done = increment_->sync(); !done) {
      sync_failed_ = true;
      return done;
    }
    synced_ = true;
  }
  return {};
}

Result<void> AofJob::step() { return piece_.step == AofStep::AdoptBase ? adopt_base() : open_next(); }

Result<void> AofJob::open_next() {
  if (!piece_.opened) {
    Result<std::unique_ptr<AofIncrement>> opened =
        piece_.resume_at ? AofIncrement::open(disk_, directory_, piece_.name, *piece_.resume_at)
                         : AofIncrement::create(disk_, directory_, piece_.name);
    if (!opened) return opened.error();
    piece_.opened = std::move(*opened);
  }
  if (!piece_.manifest) return {};
  return write_manifest(disk_, directory_, file_name_, *piece_.manifest);
}

Result<void> AofJob::adopt_base() {
  {
    Result<std::unique_ptr<File>> base = disk_.open_read(piece_.base_path);
    if (!base) return base.error();
    const Result<uint64_t> size = (*base)->size();
    if (!size) return size.error();
    base_size_ = *size;
  }
  if (Result<void> done = disk_.rename(piece_.base_path, directory_ + "/" + piece_.name); !done) return done;
  if (Result<void> done = disk_.sync_directory(directory_); !done) return done;
  if (Result<void> done = write_manifest(disk_, directory_, file_name_, *piece_.manifest); !done) return done;
  remove_history();
  return {};
}

void AofJob::remove_history() {
  std::erase_if(piece_.manifest->history, [this](const Manifest::Entry& entry) {
    const Result<void> removed = disk_.remove(directory_ + "/" + entry.name);
    return removed || removed.error().code == ENOENT;
  });
  // Where this fails, the manifest names files of the past that are gone, which the next one does not.
  const Result<void> done = write_manifest(disk_, directory_, file_name_, *piece_.manifest);
  static_cast<void>(done);
}

}  // namespace quartet::persistence
