#include "persistence/snapshot_file.h"

#include <array>
#include <cerrno>
#include <utility>

#include "persistence/crc64.h"

namespace quartet::persistence {

SnapshotFile::SnapshotFile(Disk& disk, std::string directory, std::string temporary_name, bool checksum)
    : disk_(disk), directory_(std::move(directory)), path_(directory_ + "/" + temporary_name), checksum_(checksum) {}

SnapshotFile::~SnapshotFile() {
  if (!exists_) return;
  file_.reset();
  // Where even this fails, the next one of the name takes the place.
  const Result<void> removed = disk_.remove(path_);
  static_cast<void>(removed);
}

Result<void> SnapshotFile::write(std::string_view bytes) {
  if (!file_) {
    Result<std::unique_ptr<File>> created = disk_.create(path_);
    if (!created) return created.error();
    file_ = std::move(*created);
    exists_ = true;
  }
  if (checksum_) crc_ = crc64(crc_, bytes);
  size_ += bytes.size();
  return append_all(*file_, bytes);
}

Result<void> SnapshotFile::finish() {
  std::array<char, 8> sum;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = static_cast<char>(crc_ >> (8 * i));
  if (Result<void> done = append_all(*file_, {sum.data(), sum.size()}); !done) return done;
  size_ += sum.size();
  return file_->sync();
}

Result<void> SnapshotFile::publish(const std::string& name) {
  const std::lock_guard lock(publishing_);
  if (given_up_) return Error{path_ + " is given up", ECANCELED};
  if (Result<void> done = disk_.rename(path_, directory_ + "/" + name); !done) return done;
  exists_ = false;
  return disk_.sync_directory(directory_);
}

void SnapshotFile::give_up() {
  const std::lock_guard lock(publishing_);
  given_up_ = true;
}

std::string SnapshotFile::hand_over() {
  exists_ = false;
  return path_;
}

}  // namespace quartet::persistence
