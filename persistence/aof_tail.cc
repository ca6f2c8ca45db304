#include "persistence/aof_tail.h"

#include <algorithm>

#include "persistence/aof_format.h"

namespace quartet::persistence {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;

}  // namespace

Result<bool> TailScan::step(size_t budget_bytes) {
  const uint64_t until = at_ + budget_bytes;
  do {
    const size_t kept = std::min(chunk_.size(), kAnnotationBytes - 1);
    chunk_.erase(0, chunk_.size() - kept);
    chunk_.resize(kept + kChunkBytes);
    const Result<size_t> got = file_.read(at_, std::span(chunk_).subspan(kept));
    if (!got) return got.error();
    chunk_.resize(kept + *got);
    if (*got == 0) return false;
    const uint64_t begin = at_ - kept;
    at_ += *got;
    const size_t last = chunk_.find_last_not_of('\0');
    if (last != std::string::npos && begin + last + 1 > zeros_begin_) zeros_begin_ = begin + last + 1;
    const std::string_view chunk = chunk_;
    for (size_t at = chunk.find(kAnnotationMark); at != chunk.npos; at = chunk.find(kAnnotationMark, at + 1)) {
      const std::optional<Annotation> annotation = read_annotation(chunk.substr(at), begin + at);
      if (!annotation || annotation->synced <= offset_) continue;
      declared_synced_ = true;
      return false;
    }
  } while (at_ < until);
  return true;
}

Result<void> cut_tail(Disk& disk, const std::string& directory, const std::string& name, uint64_t size) {
  Result<std::unique_ptr<File>> file = disk.open_append(directory + "/" + name);
  if (!file) return file.error();
  const Result<uint64_t> found = (*file)->size();
  if (!found) return found.error();
  if (*found > size) {
    if (Result<void> done = (*file)->truncate(size); !done) return done;
  }
  if (Result<void> done = (*file)->sync(); !done) return done;
  return disk.sync_directory(directory);
}

}  // namespace quartet::persistence
