// What redis-server 7.0's own tool says to the files, which the tests have anyway (Debian's redis-tools).

#include <fmt/format.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "persistence/aof_log.h"
#include "persistence/system_disk.h"

using namespace quartet;
using namespace quartet::persistence;

namespace {

/// Runs redis-check-aof on a file; its output is empty where it accepts the file.
std::string refusal(const std::string& path) {
  FILE* pipe = ::popen(fmt::format("redis-check-aof '{}' 2>&1", path).c_str(), "r");
  REQUIRE(pipe);
  std::string output;
  std::array<char, 512> part;
  while (const size_t got = std::fread(part.data(), 1, part.size(), pipe)) output.append(part.data(), got);
  const int status = ::pclose(pipe);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "" : "refused: " + output;
}

}  // namespace

TEST_CASE("redis-check-aof accepts what the log writes", "[aof]") {
  std::string root = std::filesystem::temp_directory_path() / "quartet-aof-XXXXXX";
  REQUIRE(::mkdtemp(root.data()));
  const std::string directory = root + "/appendonlydir";
  SystemDisk disk;
  REQUIRE(disk.make_directory(directory));
  AofLog log(disk, directory, "appendonly.aof", 3);
  log.set_database(0, true, FsyncPolicy::Always);
  log.set_database(2, true, FsyncPolicy::Everysec);
  int64_t now_us = 0;
  const auto flush = [&] {
    now_us += 1'000'000;
    while (std::unique_ptr<AofJob> job = log.take_job(now_us)) {
      job->run();
      log.completed(std::move(job), now_us);
    }
  };
  const auto append = [&](int database, std::initializer_list<std::string_view> words) {
    log.append({database, {words.begin(), words.size()}});
  };
  const auto changes = [&] {
    append(0, {"SET", "greeting", "hello"});
    flush();
    log.begin_unit();
    append(0, {"INCR", "counter"});
    append(2, {"RPUSH", "list", "a", std::string_view("\0\r\n#", 4)});
    log.end_unit();
    flush();
  };
  const auto adopt = [&](uint64_t rewrite) {
    // An RDB file without keys and without a checksum.
    REQUIRE(replace_file(disk, root, "base", std::string("REDIS0010\xff\0\0\0\0\0\0\0\0", 18)));
    log.adopt_base(rewrite, root + "/base");
    flush();
  };
  adopt(log.switch_file());
  changes();
  const std::string manifest = directory + "/appendonly.aof.manifest";
  CHECK(refusal(manifest) == "");
  CHECK(refusal(directory + "/appendonly.aof.1.incr.aof") == "");

  const uint64_t rewrite = log.switch_file();
  changes();
  CHECK(refusal(manifest) == "");  // two increments
  adopt(rewrite);
  changes();
  CHECK(refusal(manifest) == "");
  CHECK(log.durable() == log.position());
  CHECK(*disk.list(directory) == std::vector<std::string>{"appendonly.aof.2.base.rdb", "appendonly.aof.2.incr.aof",
                                                          "appendonly.aof.manifest"});
  // The tool does find what is wrong.
  REQUIRE(append_all(**disk.open_append(directory + "/appendonly.aof.2.incr.aof"), "*1\r\n$4\r\nPI"));
  CHECK(refusal(manifest) != "");
  std::filesystem::remove_all(root);
}
