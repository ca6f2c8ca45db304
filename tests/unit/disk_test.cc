// The contract of the file seam, demanded of the operating system's disk and of the simulated one, and what only the
// simulated one does.

#include <fmt/format.h>
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>

#include "persistence/system_disk.h"
#include "simulated_disk.h"

using namespace quartet;
using namespace quartet::persistence;
using test::SimulatedDisk;

namespace {

std::string content(Disk& disk, const std::string& path) {
  const Result<std::string> read = read_whole(disk, path, 1 << 20);
  return read ? *read : "error " + std::to_string(read.error().code);
}

void put(Disk& disk, const std::string& path, std::string_view text) {
  Result<std::unique_ptr<File>> file = disk.create(path);
  REQUIRE(file);
  REQUIRE(append_all(**file, text));
  REQUIRE((*file)->sync());
}

template <class T>
int code(const Result<T>& result) {
  return result ? 0 : result.error().code;
}

void keeps_contract(Disk& disk, const std::string& root) {
  const std::string directory = root + "/d", a = directory + "/a", b = directory + "/b";
  REQUIRE(disk.make_directory(directory));
  CHECK(disk.make_directory(directory));
  CHECK(disk.sync_directory(directory));
  CHECK(code(disk.sync_directory(root + "/none")) == ENOENT);

  SECTION("bytes are appended, read, cut and counted") {
    Result<std::unique_ptr<File>> file = disk.open_append(a);
    REQUIRE(file);
    REQUIRE(append_all(**file, "hello world"));
    CHECK(*(*file)->size() == 11);
    char part[5];
    CHECK(*(*file)->read(6, part) == 5);
    CHECK(std::string_view(part, 5) == "world");
    CHECK(*(*file)->read(11, part) == 0);
    REQUIRE((*file)->truncate(6));
    REQUIRE(append_all(**file, "you"));
    CHECK((*file)->sync());
    CHECK(content(disk, a) == "hello you");
    Result<std::unique_ptr<File>> again = disk.open_append(a);
    REQUIRE(again);
    REQUIRE(append_all(**again, "!"));
    CHECK(content(disk, a) == "hello you!");
  }
  SECTION("creating replaces, and who has the old file open keeps it") {
    put(disk, a, "old");
    Result<std::unique_ptr<File>> old = disk.open_read(a);
    put(disk, a, "new one");
    CHECK(content(disk, a) == "new one");
    CHECK(*(*old)->size() == 3);
  }
  SECTION("names are changed, removed and listed") {
    put(disk, b, "1");
    put(disk, a, "2");
    CHECK(*disk.list(directory) == std::vector<std::string>{"a", "b"});
    REQUIRE(disk.rename(a, b));
    CHECK(content(disk, b) == "2");
    CHECK(*disk.list(directory) == std::vector<std::string>{"b"});
    REQUIRE(disk.remove(b));
    CHECK(disk.list(directory)->empty());
  }
  SECTION("what is not there is an error with its number") {
    CHECK(code(disk.open_read(a)) == ENOENT);
    CHECK(code(disk.open_append(root + "/none/a")) == ENOENT);
    CHECK(code(disk.rename(a, b)) == ENOENT);
    CHECK(code(disk.remove(a)) == ENOENT);
    CHECK(code(disk.list(root + "/none")) == ENOENT);
    put(disk, a, "");
    CHECK(code(disk.make_directory(a)) == ENOTDIR);
    CHECK(code(read_whole(disk, a, 0)) == 0);
    put(disk, a, "too long");
    CHECK(code(read_whole(disk, a, 7)) == EFBIG);
  }
  SECTION("a directory has one owner at a time") {
    Result<std::unique_ptr<DirectoryLock>> first = disk.lock_directory(directory);
    REQUIRE(first);
    CHECK(code(disk.lock_directory(directory)) == EWOULDBLOCK);
    first->reset();
    CHECK(disk.lock_directory(directory));
  }
  SECTION("a file is replaced whole") {
    put(disk, a, "before");
    REQUIRE(replace_file(disk, directory, "a", "after"));
    CHECK(content(disk, a) == "after");
    CHECK(*disk.list(directory) == std::vector<std::string>{"a"});
  }
}

}  // namespace

TEST_CASE("the operating system's disk keeps the contract of files", "[disk]") {
  std::string root = std::filesystem::temp_directory_path() / "quartet-disk-XXXXXX";
  REQUIRE(::mkdtemp(root.data()));
  SystemDisk disk;
  keeps_contract(disk, root);
  std::filesystem::remove_all(root);
}

TEST_CASE("the simulated disk keeps the contract of files", "[disk]") {
  SimulatedDisk disk(1);
  REQUIRE(disk.make_directory("root"));
  keeps_contract(disk, "root");
}

TEST_CASE("a power cut leaves what was synced, and of the rest anything", "[disk]") {
  bool torn = false, zeros = false, all = false, none = false, name_lost = false, renamed = false, not_renamed = false;
  const std::string tail(3 * SimulatedDisk::kPageBytes, 'x');
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SimulatedDisk disk(seed);
    put(disk, "kept", "synced");
    put(disk, "from", "");
    REQUIRE(disk.sync_directory(""));
    REQUIRE(disk.rename("from", "to"));
    put(disk, "new", "");
    {
      Result<std::unique_ptr<File>> file = disk.open_append("kept");
      REQUIRE(append_all(**file, tail));
      disk.cut_power();
      CHECK(code((*file)->sync()) == EIO);
      disk.restart();
      CHECK(code((*file)->sync()) == EBADF);
    }
    const std::string found = content(disk, "kept");
    REQUIRE(found.starts_with("synced"));
    const std::string_view rest = std::string_view(found).substr(6);
    REQUIRE(rest.find_first_not_of(std::string_view("x\0", 2)) == std::string_view::npos);
    const bool has_zeros = rest.find('\0') != std::string_view::npos;
    zeros |= has_zeros;
    torn |= !has_zeros && !rest.empty() && rest.size() < tail.size();
    all |= rest == tail;
    none |= rest.empty();
    name_lost |= !disk.content("new");
    const bool has_to = disk.content("to") != nullptr;
    REQUIRE(has_to != (disk.content("from") != nullptr));
    (has_to ? renamed : not_renamed) = true;
  }
  CHECK((torn && zeros && all && none && name_lost && renamed && not_renamed));
}

TEST_CASE("what a failed sync dropped no later sync writes", "[disk]") {
  bool lost = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimulatedDisk disk(seed);
    put(disk, "a", "");
    REQUIRE(disk.sync_directory(""));
    Result<std::unique_ptr<File>> file = disk.open_append("a");
    REQUIRE(append_all(**file, "dropped"));
    disk.fail_call(1, EIO);
    REQUIRE(code((*file)->sync()) == EIO);
    REQUIRE((*file)->sync());
    REQUIRE(content(disk, "a") == "dropped");
    disk.cut_power();
    disk.restart();
    lost |= content(disk, "a") != "dropped";
  }
  CHECK(lost);
}

TEST_CASE("a full simulated disk takes what fits", "[disk]") {
  SimulatedDisk disk(1);
  disk.set_capacity(10);
  Result<std::unique_ptr<File>> file = disk.create("a");
  REQUIRE(file);
  CHECK(*(*file)->append("12345678") == 8);
  CHECK(*(*file)->append("12345678") == 2);
  CHECK(code((*file)->append("1")) == ENOSPC);
  REQUIRE((*file)->truncate(4));
  CHECK((*file)->append("1"));
}
