#include "persistence/system_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace quartet::persistence {
namespace {

Error last_error(const char* what, const std::string& path) {
  const int code = errno;
  return {std::string(what) + " " + path + ": " + std::generic_category().message(code), code};
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int operator*() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_;
};

class SystemFile final : public File {
 public:
  SystemFile(Descriptor descriptor, std::string path) : descriptor_(std::move(descriptor)), path_(std::move(path)) {}

  Result<size_t> append(std::string_view bytes) override {
    while (true) {
      const ssize_t written = ::write(*descriptor_, bytes.data(), bytes.size());
      if (written > 0) return static_cast<size_t>(written);
      if (written == 0) errno = ENOSPC;  // what a device does that takes no more
      if (errno != EINTR) return last_error("cannot write", path_);
    }
  }

  Result<void> sync() override {
    // EINTR is an error like another here: nobody says that the pages are still marked.
    if (::fdatasync(*descriptor_) != 0) return last_error("cannot sync", path_);
    return {};
  }

  Result<void> truncate(uint64_t size) override {
    while (::ftruncate(*descriptor_, static_cast<off_t>(size)) != 0) {
      if (errno != EINTR) return last_error("cannot truncate", path_);
    }
    return {};
  }

  Result<uint64_t> size() override {
    struct stat status;
    if (::fstat(*descriptor_, &status) != 0) return last_error("cannot examine", path_);
    return static_cast<uint64_t>(status.st_size);
  }

  Result<size_t> read(uint64_t offset, std::span<char> into) override {
    while (true) {
      const ssize_t got = ::pread(*descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return last_error("cannot read", path_);
    }
  }

 private:
  Descriptor descriptor_;
  std::string path_;
};

class SystemLock final : public DirectoryLock {
 public:
  explicit SystemLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

 private:
  Descriptor descriptor_;
};

Result<std::unique_ptr<File>> open(const std::string& path, int flags) {
  Descriptor descriptor(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (!descriptor) return last_error("cannot open", path);
  return std::unique_ptr<File>(std::make_unique<SystemFile>(std::move(descriptor), path));
}

}  // namespace

Result<std::unique_ptr<File>> SystemDisk::open_append(const std::string& path) {
  return open(path, O_RDWR | O_CREAT | O_APPEND);
}

Result<std::unique_ptr<File>> SystemDisk::create(const std::string& path) {
  // What a reader of the old file has open stays as it is, which cutting it would not leave.
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return last_error("cannot replace", path);
  return open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND);
}

Result<std::unique_ptr<File>> SystemDisk::open_read(const std::string& path) { return open(path, O_RDONLY); }

Result<void> SystemDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return last_error("cannot rename", from);
  return {};
}

Result<void> SystemDisk::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return last_error("cannot remove", path);
  return {};
}

Result<std::vector<std::string>> SystemDisk::list(const std::string& directory) {
  DIR* stream = ::opendir(directory.c_str());
  if (!stream) return last_error("cannot list", directory);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  const int code = errno;
  ::closedir(stream);
  if (code != 0) {
    errno = code;
    return last_error("cannot list", directory);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> SystemDisk::make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) == 0) return {};
  struct stat status;
  if (errno == EEXIST && ::stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) return {};
    errno = ENOTDIR;
  }
  return last_error("cannot make the directory", path);
}

Result<void> SystemDisk::sync_directory(const std::string& path) {
  const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!descriptor) return last_error("cannot open", path);
  if (::fsync(*descriptor) != 0) return last_error("cannot sync", path);
  return {};
}

Result<std::unique_ptr<DirectoryLock>> SystemDisk::lock_directory(const std::string& path) {
  const std::string name = path + "/quartet.lock";
  Descriptor descriptor(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!descriptor) return last_error("cannot open", name);
  if (::flock(*descriptor, LOCK_EX | LOCK_NB) != 0) return last_error("cannot lock", name);
  return std::unique_ptr<DirectoryLock>(std::make_unique<SystemLock>(std::move(descriptor)));
}

}  // namespace quartet::persistence
