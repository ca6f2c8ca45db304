#include "persistence/aof_tail.h"

#include <algorithm>
#include <functional>

#include "persistence/aof_format.h"

namespace quartet::persistence {
namespace {

constexpr size_t kChunkBytes = 64 * 1024;

/// Shows the rest of the file to `look` chunk by chunk, each beginning with `overlap` bytes of the one before, until it
/// says true.
Result<bool> any_chunk(File& file, uint64_t offset, size_t overlap,
                       const std::function<bool(std::string_view chunk, uint64_t offset)>& look) {
  std::string chunk;
  while (true) {
    const size_t kept = std::min(chunk.size(), overlap);
    chunk.erase(0, chunk.size() - kept);
    chunk.resize(kept + kChunkBytes);
    const Result<size_t> got = file.read(offset, std::span(chunk).subspan(kept));
    if (!got) return got.error();
    if (*got == 0) return false;
    chunk.resize(kept + *got);
    if (look(chunk, offset - kept)) return true;
    offset += *got;
  }
}

}  // namespace

Result<bool> is_declared_synced(File& file, uint64_t offset) {
  return any_chunk(file, offset, kAnnotationBytes - 1, [offset](std::string_view chunk, uint64_t begin) {
    size_t at = chunk.find(kAnnotationMark);
    for (; at != std::string_view::npos; at = chunk.find(kAnnotationMark, at + 1)) {
      const std::optional<Annotation> annotation = read_annotation(chunk.substr(at), begin + at);
      if (annotation && annotation->synced > offset) return true;
    }
    return false;
  });
}

Result<uint64_t> zeros_begin(File& file, uint64_t offset) {
  uint64_t end = offset;
  const Result<bool> read = any_chunk(file, offset, 0, [&end](std::string_view chunk, uint64_t begin) {
    const size_t last = chunk.find_last_not_of('\0');
    if (last != std::string_view::npos) end = begin + last + 1;
    return false;
  });
  if (!read) return read.error();
  return end;
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
