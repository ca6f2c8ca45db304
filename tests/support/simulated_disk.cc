#include "simulated_disk.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace quartet::test {

using persistence::DirectoryLock;
using persistence::File;

class SimulatedFile final : public File {
 public:
  SimulatedFile(SimulatedDisk& disk, SimulatedDisk::NodePointer node, std::string path, bool writable)
      : disk_(disk),
        node_(std::move(node)),
        path_(std::move(path)),
        generation_(disk.generation_),
        writable_(writable) {}

  Result<size_t> append(std::string_view bytes) override {
    if (const int code = begin(disk_.rates_.append, true)) return disk_.error(code, path_);
    const uint64_t used = disk_.used();
    const uint64_t room = disk_.capacity_ > used ? disk_.capacity_ - used : 0;
    if (room == 0) return disk_.error(ENOSPC, path_);
    size_t count = static_cast<size_t>(std::min<uint64_t>(bytes.size(), room));
    if (disk_.chance(disk_.rates_.short_append) || disk_.dead_) count = disk_.random_.below(count) + 1;
    SimulatedDisk::Node& node = *node_;
    const size_t begin = node.current.size();
    node.current.append(bytes.substr(0, count));
    node.size_dirty = true;
    touch(begin, node.current.size());
    if (disk_.dead_) return disk_.error(EIO, path_);
    return count;
  }

  Result<void> sync() override {
    if (const int code = begin(disk_.rates_.sync)) {
      // Some pages made it; that the others did not is forgotten.
      if (writable_ && !disk_.dead_ && generation_ == disk_.generation_) {
        disk_.store_pages(*node_, false);
        node_->dirty.clear();
        node_->size_dirty = false;
      }
      return disk_.error(code, path_);
    }
    if (disk_.sync_us_ > 0) disk_.elapsed_us_ += static_cast<int64_t>(disk_.random_.below(disk_.sync_us_ + 1));
    disk_.store_pages(*node_, !disk_.dead_);
    if (disk_.dead_) return disk_.error(EIO, path_);
    node_->dirty.clear();
    node_->size_dirty = false;
    return {};
  }

  Result<void> truncate(uint64_t size) override {
    if (const int code = begin(disk_.rates_.truncate)) return disk_.error(code, path_);
    if (disk_.dead_ && disk_.coin()) return disk_.error(EIO, path_);
    SimulatedDisk::Node& node = *node_;
    node.current.resize(size);
    node.size_dirty = true;
    node.dirty.erase(node.dirty.lower_bound((size + SimulatedDisk::kPageBytes - 1) / SimulatedDisk::kPageBytes),
                     node.dirty.end());
    // What was written to disk behind a cut does not come back when the file grows again.
    if (node.stored.size() > size) touch(size, node.stored.size());
    if (disk_.dead_) return disk_.error(EIO, path_);
    return {};
  }

  Result<uint64_t> size() override {
    if (const int code = begin(0)) return disk_.error(code, path_);
    return uint64_t{node_->current.size()};
  }

  Result<size_t> read(uint64_t offset, std::span<char> into) override {
    if (const int code = begin(disk_.rates_.read)) return disk_.error(code, path_);
    const std::string& content = node_->current;
    if (offset >= content.size()) return size_t{0};
    const size_t count = std::min<size_t>(into.size(), content.size() - offset);
    std::copy_n(content.data() + offset, count, into.data());
    return count;
  }

 private:
  int begin(int rate, bool may_be_full = false) {
    const int code = disk_.begin_call(rate, may_be_full);
    return generation_ != disk_.generation_ ? EBADF : code;
  }
  void touch(size_t begin, size_t end) {
    for (size_t page = begin / SimulatedDisk::kPageBytes; page * SimulatedDisk::kPageBytes < end; ++page) {
      node_->dirty.insert(page);
    }
  }

  SimulatedDisk& disk_;
  SimulatedDisk::NodePointer node_;
  std::string path_;
  uint64_t generation_;
  bool writable_;
};

class SimulatedLock final : public DirectoryLock {
 public:
  SimulatedLock(SimulatedDisk& disk, std::string path)
      : disk_(disk), path_(std::move(path)), generation_(disk.generation_) {}
  ~SimulatedLock() override {
    if (generation_ == disk_.generation_) disk_.locks_.erase(path_);
  }

 private:
  SimulatedDisk& disk_;
  std::string path_;
  uint64_t generation_;
};

SimulatedDisk::SimulatedDisk(uint64_t seed) : random_(seed), root_(std::make_shared<Node>()) {
  root_->directory = true;
}
SimulatedDisk::~SimulatedDisk() = default;

Error SimulatedDisk::error(int code, const std::string& path) const {
  return {path + ": " + std::generic_category().message(code), code};
}

int SimulatedDisk::begin_call(int rate, bool may_be_full) {
  ++calls_;
  if (dead_) return EIO;
  if (calls_ == fail_at_) return fail_code_;
  if (chance(rate)) return may_be_full && coin() ? ENOSPC : EIO;
  if (calls_ == cut_at_) dead_ = true;  // within this call, which sees it
  return 0;
}

SimulatedDisk::NodePointer SimulatedDisk::find(const std::string& path) const {
  NodePointer node = root_;
  size_t begin = 0;
  while (node && begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) {
      const auto found = node->names.find(path.substr(begin, end - begin));
      node = found == node->names.end() ? nullptr : found->second;
    }
    begin = end + 1;
  }
  return node;
}

SimulatedDisk::NodePointer SimulatedDisk::parent(const std::string& path, std::string& name) const {
  const size_t slash = path.rfind('/');
  name = slash == std::string::npos ? path : path.substr(slash + 1);
  NodePointer node = slash == std::string::npos ? root_ : find(path.substr(0, slash));
  return node && node->directory ? node : nullptr;
}

void SimulatedDisk::apply(Names& names, const Change& change) {
  if (!change.from.empty()) {
    const auto found = names.find(change.from);
    if (found != names.end() && (!change.node || found->second == change.node)) names.erase(found);
  }
  if (!change.to.empty()) names[change.to] = change.node;
}

void SimulatedDisk::change(Node& directory, Change change) {
  apply(directory.names, change);
  directory.changes.push_back(std::move(change));
}

Result<std::unique_ptr<File>> SimulatedDisk::open(const std::string& path, bool make, bool replace, bool writable) {
  if (const int code = begin_call(rates_.names, make)) return error(code, path);
  std::string name;
  const NodePointer directory = parent(path, name);
  if (!directory) return error(ENOENT, path);
  NodePointer node = find(path);
  if (node && node->directory) return error(EISDIR, path);
  if (!node && !make) return error(ENOENT, path);
  if ((!node || replace) && !(dead_ && coin())) {
    if (node) change(*directory, {name, {}, nullptr});
    node = std::make_shared<Node>();
    change(*directory, {{}, name, node});
  }
  if (dead_) return error(EIO, path);
  return std::unique_ptr<File>(std::make_unique<SimulatedFile>(*this, node, path, writable));
}

Result<std::unique_ptr<File>> SimulatedDisk::open_append(const std::string& path) {
  return open(path, true, false, true);
}
Result<std::unique_ptr<File>> SimulatedDisk::create(const std::string& path) { return open(path, true, true, true); }
Result<std::unique_ptr<File>> SimulatedDisk::open_read(const std::string& path) {
  return open(path, false, false, false);
}

Result<void> SimulatedDisk::rename(const std::string& from, const std::string& to) {
  if (const int code = begin_call(rates_.names)) return error(code, from);
  std::string old_name, new_name;
  const NodePointer old_directory = parent(from, old_name), new_directory = parent(to, new_name);
  const NodePointer node = find(from);
  if (!node || !new_directory) return error(ENOENT, from);
  if (!(dead_ && coin())) {
    if (old_directory == new_directory) {
      change(*new_directory, {old_name, new_name, node});
    } else {
      change(*new_directory, {{}, new_name, node});
      change(*old_directory, {old_name, {}, node});
    }
  }
  if (dead_) return error(EIO, from);
  return {};
}

Result<void> SimulatedDisk::remove(const std::string& path) {
  if (const int code = begin_call(rates_.names)) return error(code, path);
  std::string name;
  const NodePointer directory = parent(path, name);
  const NodePointer node = find(path);
  if (!directory || !node) return error(ENOENT, path);
  if (!(dead_ && coin())) change(*directory, {name, {}, node});
  if (dead_) return error(EIO, path);
  return {};
}

Result<std::vector<std::string>> SimulatedDisk::list(const std::string& directory) {
  if (const int code = begin_call(rates_.names)) return error(code, directory);
  const NodePointer node = find(directory);
  if (!node) return error(ENOENT, directory);
  if (!node->directory) return error(ENOTDIR, directory);
  std::vector<std::string> names;
  for (const auto& [name, unused] : node->names) names.push_back(name);
  return names;
}

Result<void> SimulatedDisk::make_directory(const std::string& path) {
  if (const int code = begin_call(rates_.names, true)) return error(code, path);
  std::string name;
  const NodePointer directory = parent(path, name);
  if (!directory) return error(ENOENT, path);
  if (const NodePointer node = find(path)) {
    if (!node->directory) return error(ENOTDIR, path);
    return {};
  }
  if (!(dead_ && coin())) {
    const NodePointer node = std::make_shared<Node>();
    node->directory = true;
    change(*directory, {{}, name, node});
  }
  if (dead_) return error(EIO, path);
  return {};
}

Result<void> SimulatedDisk::sync_directory(const std::string& path) {
  const int code = begin_call(rates_.sync_directory);
  const NodePointer node = find(path);
  if (!node && code == 0) return error(ENOENT, path);
  if (code != 0 || dead_) {
    // Some of the changes may have made it. The others are not forgotten, as pages are: the journal keeps them.
    if (node && code != 0 && !dead_) {
      std::erase_if(node->changes, [&](const Change& change) {
        if (coin()) return false;
        apply(node->stored_names, change);
        return true;
      });
    }
    return error(code != 0 ? code : EIO, path);
  }
  if (sync_us_ > 0) elapsed_us_ += static_cast<int64_t>(random_.below(sync_us_ + 1));
  node->stored_names = node->names;
  node->changes.clear();
  return {};
}

Result<std::unique_ptr<DirectoryLock>> SimulatedDisk::lock_directory(const std::string& path) {
  if (const int code = begin_call(rates_.names)) return error(code, path);
  const NodePointer node = find(path);
  if (!node || !node->directory) return error(ENOENT, path);
  if (!locks_.insert(path).second) return error(EWOULDBLOCK, path);
  return std::unique_ptr<DirectoryLock>(std::make_unique<SimulatedLock>(*this, path));
}

void SimulatedDisk::store_pages(Node& node, bool all) {
  const size_t wanted = node.current.size();
  size_t size = wanted;
  if (!all) {
    const size_t least = std::min(node.stored.size(), wanted), most = std::max(node.stored.size(), wanted);
    const size_t sizes[] = {node.stored.size(), wanted, least + random_.below(most - least + 1)};
    size = node.size_dirty ? sizes[random_.below(3)] : node.stored.size();
  }
  node.stored.resize(size);
  for (const size_t page : node.dirty) {
    const size_t begin = page * kPageBytes;
    const size_t end = std::min({begin + kPageBytes, wanted, size});
    if (begin >= end) continue;
    size_t count = end - begin;
    if (!all) {
      switch (random_.below(3)) {
        case 0: continue;
        case 1: count = random_.below(count + 1); break;
        default: break;
      }
    }
    std::copy_n(node.current.data() + begin, count, node.stored.data() + begin);
  }
}

void SimulatedDisk::lose_power(Node& node) {
  if (!node.directory) {
    // A file with two names would come here twice, and keeps what the first time left.
    store_pages(node, false);
    node.current = node.stored;
    node.dirty.clear();
    node.size_dirty = false;
  } else {
    for (const Change& change : node.changes) {
      if (coin()) apply(node.stored_names, change);
    }
    node.names = node.stored_names;
    node.changes.clear();
    for (const auto& [name, child] : node.names) lose_power(*child);
  }
}

void SimulatedDisk::restart() {
  if (dead_) {
    lose_power(*root_);
  }
  dead_ = false;
  fail_at_ = cut_at_ = 0;
  ++generation_;
  locks_.clear();
}

int64_t SimulatedDisk::take_elapsed_us() {
  const int64_t elapsed = elapsed_us_;
  elapsed_us_ = 0;
  return elapsed;
}

std::string* SimulatedDisk::content(const std::string& path) {
  const NodePointer node = find(path);
  return node && !node->directory ? &node->current : nullptr;
}

uint64_t SimulatedDisk::used_below(const Node& directory) {
  uint64_t bytes = 0;
  for (const auto& [name, child] : directory.names) {
    bytes += child->directory ? used_below(*child) : child->current.size();
  }
  return bytes;
}

uint64_t SimulatedDisk::used() const { return capacity_ == UINT64_MAX ? 0 : used_below(*root_); }

}  // namespace quartet::test
