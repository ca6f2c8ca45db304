#include "persistence/file.h"

#include <cerrno>

namespace quartet::persistence {

Result<void> append_all(File& file, std::string_view bytes) {
  while (!bytes.empty()) {
    const Result<size_t> written = file.append(bytes);
    if (!written) return written.error();
    bytes.remove_prefix(*written);
  }
  return {};
}

Result<std::string> read_whole(Disk& disk, const std::string& path, size_t limit) {
  Result<std::unique_ptr<File>> file = disk.open_read(path);
  if (!file) return file.error();
  const Result<uint64_t> size = (*file)->size();
  if (!size) return size.error();
  if (*size > limit) return Error{path + " is larger than it can be", EFBIG};
  std::string content(*size, '\0');
  size_t have = 0;
  while (have < content.size()) {
    const Result<size_t> read = (*file)->read(have, std::span(content).subspan(have));
    if (!read) return read.error();
    if (*read == 0) break;
    have += *read;
  }
  content.resize(have);
  return content;
}

Result<void> replace_file(Disk& disk, const std::string& directory, const std::string& name, std::string_view content) {
  const std::string temporary = directory + "/temp-" + name;
  {
    Result<std::unique_ptr<File>> file = disk.create(temporary);
    if (!file) return file.error();
    if (Result<void> done = append_all(**file, content); !done) return done;
    if (Result<void> done = (*file)->sync(); !done) return done;
  }
  if (Result<void> done = disk.rename(temporary, directory + "/" + name); !done) return done;
  return disk.sync_directory(directory);
}

}  // namespace quartet::persistence
