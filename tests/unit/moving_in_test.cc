// Files of other servers and of versions before: what redis-server 7.0 loads from a directory is loaded, or the start is refused with
// a reason.

#include <catch2/catch.hpp>

#include <fmt/format.h>
#include <initializer_list>
#include <string>

#include "durability_fixture.h"
#include "persistence/check.h"

using namespace quartet;

namespace {

std::string encode(std::initializer_list<std::string_view> words) {
  std::string text = fmt::format("*{}\r\n", words.size());
  for (const std::string_view word : words) text += fmt::format("${}\r\n{}\r\n", word.size(), word);
  return text;
}

const std::string kSelect = encode({"SELECT", "0"});
const std::string kDirectory = "/tmp/appendonlydir", kManifest = kDirectory + "/appendonly.aof.manifest",
                  kIncrement = kDirectory + "/appendonly.aof.1.incr.aof", kOld = "/tmp/appendonly.aof";

struct House : test::DurabilityFixture {
  House() {
    process.reset();
    disk = test::SimulatedDisk(2);
    REQUIRE(disk.make_directory("/tmp"));
    REQUIRE(disk.make_directory(kDirectory));
  }
  void write(const std::string& path, const std::string& content) {
    auto file = disk.create(path);
    REQUIRE(file);
    if (!content.empty()) REQUIRE(persistence::append_all(**file, content));
  }
  /// An increment as redis-server writes it.
  void write_increment(const std::string& commands) {
    write(kManifest, "file appendonly.aof.1.incr.aof seq 1 type i\n");
    write(kIncrement, kSelect + commands);
  }
  /// Why a server does not start on the directory; empty where it does, and then it runs.
  std::string refusal(std::vector<std::string> options = {}) {
    process.reset();
    disk.restart();
    process = std::make_unique<test::TestProcess>(disk, std::move(options), test::TestProcess::Start::MayFail);
    if (process->error) return *process->error;
    if (process->host.ended) return process->core.durability.load()->error();
    process->settle();
    return {};
  }
  persistence::CheckOutcome check(bool fix) {
    process.reset();
    disk.restart();
    said.clear();
    const server::CommandTable commands(server::all_families());
    const auto refuse = [&](std::span<const std::string_view> arguments) -> std::optional<std::string> {
      const auto found = commands.of_file(arguments);
      return found ? std::nullopt : std::optional(found.error().text);
    };
    return persistence::check(disk, "/tmp", {.fix = fix, .refusal = refuse}, [&](std::string_view line) { said += std::string(line) + "\n"; });
  }
  std::string said;
};

using persistence::CheckOutcome;

}  // namespace

TEST_CASE_METHOD(House, "the one file of Redis before 7.0 becomes the base, as redis-server 7.0 makes it", "[moving]") {
  for (const std::string name : {"appendonly.aof", "other.aof"}) {
    INFO(name);
    static_cast<void>(disk.remove("/tmp/appendonly.aof"));
    write("/tmp/" + name, kSelect + encode({"SET", "a", "1"}) + encode({"RPUSH", "l", "x", "y"}));
    write("/tmp/dump.rdb", "");  // which counts for nothing
    static_cast<void>(disk.remove(kManifest));
    static_cast<void>(disk.remove(kDirectory + "/appendonly.aof"));
    CHECK(refusal({"--appendfilename", name}).empty());
    CHECK(ask("DBSIZE") == ":2\r\n");
    CHECK_FALSE(disk.content("/tmp/" + name));
    CHECK(disk.content(kDirectory + "/" + name));
    CHECK(disk.content(kDirectory + "/" + name + ".manifest")->starts_with("file " + name + " seq 1 type b\nfile " + name + ".1.incr.aof seq 1"));
    test::CoreClient& client = process->connect();
    client.send("SET b 2\r\n");
    process->settle();
    CHECK(client.take_output() == "+OK\r\n");
    CHECK(refusal({"--appendfilename", name}).empty());
    CHECK(ask("DBSIZE") == ":3\r\n");
    ask("BGREWRITEAOF");
    process->settle();
    CHECK_FALSE(disk.content(kDirectory + "/" + name));
    CHECK(refusal({"--appendfilename", name}).empty());
    CHECK(ask("DBSIZE") == ":3\r\n");
  }
}

TEST_CASE_METHOD(House, "an old file whose end is missing is taken over without it", "[moving]") {
  write(kOld, kSelect + encode({"SET", "a", "1"}) + encode({"SET", "b", "1"}).substr(0, 20));
  CHECK(refusal({"--aof-load-truncated", "no"}).find("ends too early") != std::string::npos);
  CHECK(refusal().empty());
  CHECK(ask("DBSIZE") == ":1\r\n");
}

TEST_CASE_METHOD(House, "wherever the take-over fails, or its process is killed, the old file's data are there", "[moving]") {
  for (uint64_t call = 1; call < 40; ++call) {
    INFO("call " << call);
    disk = test::SimulatedDisk(call);
    REQUIRE(disk.make_directory("/tmp"));
    write(kOld, kSelect + encode({"SET", "a", "1"}));
    disk.fail_call(call, EIO);
    {
      test::TestProcess first(disk, {}, test::TestProcess::Start::MayFail);
      if (!first.error && !first.host.ended && call % 2 == 0) first.settle();
    }
    REQUIRE(refusal().empty());
    CHECK(ask("GET a") == "$1\r\n1\r\n");
    process.reset();
  }
}

TEST_CASE_METHOD(House, "files that may be somebody's only ones are not passed over", "[moving]") {
  SECTION("an old file in both places") {
    write(kOld, kSelect + encode({"SET", "a", "1"}));
    write(kDirectory + "/appendonly.aof", kSelect);
    CHECK(refusal().find("no manifest says which of them counts") != std::string::npos);
    CHECK(*disk.content(kOld) == kSelect + encode({"SET", "a", "1"}));
  }
  SECTION("an increment without a manifest") {
    write(kIncrement, kSelect + encode({"SET", "a", "1"}));
    CHECK(refusal().find(kIncrement + " is there, but no manifest") != std::string::npos);
    CHECK(*disk.content(kIncrement) == kSelect + encode({"SET", "a", "1"}));
  }
  SECTION("a manifest that cannot be read is named") {
    write(kManifest, "nonsense\n");
    CHECK(refusal().starts_with(kManifest + " is damaged: line 1"));
    CHECK(check(false) == CheckOutcome::Damaged);
    CHECK(said.find(kManifest + " is damaged: line 1") != std::string::npos);
  }
}

TEST_CASE_METHOD(House, "empty files of commands are files of nothing, as on redis-server", "[moving]") {
  write(kManifest, "file appendonly.aof seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n"
                   "file appendonly.aof.2.incr.aof seq 2 type i\n");
  write(kDirectory + "/appendonly.aof", "");
  write(kIncrement, "");
  write(kDirectory + "/appendonly.aof.2.incr.aof", kSelect + encode({"SET", "a", "1"}));
  CHECK(check(false) == CheckOutcome::Whole);
  CHECK(refusal().empty());
  CHECK(ask("DBSIZE") == ":1\r\n");
}

TEST_CASE_METHOD(House, "a relative expiry in a file counts from the load", "[moving]") {
  write_increment(encode({"SET", "set", "1", "EX", "100"}) + encode({"SET", "setpx", "1", "PX", "100000"}) + encode({"SETEX", "setex", "100", "x"}) +
                  encode({"PSETEX", "psetex", "100000", "x"}) + encode({"SET", "expire", "1"}) + encode({"EXPIRE", "expire", "100"}) +
                  encode({"SET", "pexpire", "1"}) + encode({"PEXPIRE", "pexpire", "100000"}) + encode({"SET", "getex", "1"}) +
                  encode({"GETEX", "getex", "EX", "100"}) + encode({"EVAL", "redis.call('SET', 'eval', 1, 'EX', 100)", "0"}) +
                  encode({"MULTI"}) + encode({"SET", "multi", "1", "EX", "100"}) + encode({"EXEC"}));
  // With a default-ttl, which is not for what is loaded.
  REQUIRE(refusal({"--db.0.default-ttl", "7"}).empty());
  for (const std::string key : {"set", "setpx", "setex", "psetex", "expire", "pexpire", "getex", "eval", "multi"}) {
    INFO(key);
    const std::string left = ask("TTL " + key);
    CHECK((left == ":98\r\n" || left == ":99\r\n" || left == ":100\r\n"));
  }
}

TEST_CASE_METHOD(House, "a key that has expired since it was written is there for the commands that follow", "[moving]") {
  write_increment(encode({"RPUSH", "l", "a"}) + encode({"PEXPIREAT", "l", "1000"}) + encode({"RPUSH", "l", "b"}) + encode({"PERSIST", "l"}));
  REQUIRE(refusal().empty());
  CHECK(ask("LLEN l") == ":2\r\n");
}

TEST_CASE_METHOD(House, "without a default-ttl of its own, what is loaded gets none", "[moving]") {
  write_increment(encode({"SET", "a", "1"}) + encode({"MSET", "b", "1"}) + encode({"GETSET", "c", "1"}));
  REQUIRE(refusal({"--db.0.default-ttl", "7"}).empty());
  CHECK(ask("TTL a") == ":-1\r\n");
  CHECK(ask("TTL b") == ":-1\r\n");
  CHECK(ask("TTL c") == ":-1\r\n");
}

TEST_CASE_METHOD(House, "commands that redis-server takes from a file are taken", "[moving]") {
  write_increment(encode({"EVAL", "redis.call('SET', KEYS[1], ARGV[1])", "1", "a", "1"}) + encode({"SCRIPT", "LOAD", "return redis.call('SET', 'b', 1)"}) +
                  encode({"EVALSHA", "c0ab51b1e7ab1ddb0a1e0c7ba7ab1ddb0a1e0c7b", "0"}) + encode({"PUBLISH", "channel", "x"}) + encode({"GET", "a"}) +
                  encode({"PING"}) + encode({"WATCH", "a"}) + encode({"CONFIG", "SET", "maxmemory", "1"}) + encode({"SHUTDOWN", "NOSAVE"}) +
                  encode({"BLPOP", "nothing", "0"}) + encode({"SUBSCRIBE", "x"}) + encode({"SET", "c", "1"}));
  REQUIRE(refusal({"--maxmemory", "1"}).empty());
  CHECK(ask("DBSIZE") == ":2\r\n");
  CHECK(check(false) == CheckOutcome::Whole);
}

TEST_CASE_METHOD(House, "--check and the start come to the same verdict, and --fix to a start", "[moving]") {
  struct Case {
    std::string commands;
    std::string reason;  // of the refusal; empty where it loads
    int keys;            // after the fix, if one was needed
  };
  const std::string a = encode({"SET", "a", "1"}), b = encode({"SET", "b", "1"});
  const std::vector<Case> cases = {
      // What replies an error changes nothing, as on the server that wrote it.
      {a + encode({"ZADD", "z", "XXXX", "m"}) + b, "", 2},
      {a + encode({"LPUSH", "a", "1"}) + b, "", 2},
      {a + encode({"MULTI"}) + encode({"ZADD", "z", "XXXX", "m"}) + encode({"EXEC"}) + b, "", 2},
      {a + encode({"NOSUCH", "z"}) + b, "'NOSUCH' is a command that this server does not have", 1},
      {a + encode({"SET", "z"}) + b, "wrong number of arguments for 'set'", 1},
      {a + encode({"MULTI"}) + b + encode({"NOSUCH"}) + encode({"EXEC"}), "'NOSUCH' is a command that this server does not have", 1},
      {a + encode({"EXEC"}) + b, "EXEC without MULTI", 1},
      {a + "garbage\r\n" + b, "neither a command nor an annotation", 1}};
  for (const Case& each : cases) {
    INFO(each.commands);
    write_increment(each.commands);
    const std::string refused = refusal();
    CHECK(refused.empty() == each.reason.empty());
    CHECK(refused.find(each.reason) != std::string::npos);
    if (refused.empty()) CHECK(ask("DBSIZE") == fmt::format(":{}\r\n", each.keys));
    write_increment(each.commands);
    CHECK(check(false) == (each.reason.empty() ? CheckOutcome::Whole : CheckOutcome::Damaged));
    CHECK(said.find(each.reason) != std::string::npos);
    CHECK(check(true) == CheckOutcome::Whole);
    // It is the last file again, and ends with a command.
    CHECK(*disk.content(kManifest) == "file appendonly.aof.1.incr.aof seq 1 type i\n");
    REQUIRE(refusal().empty());
    CHECK(ask("DBSIZE") == fmt::format(":{}\r\n", each.keys));
  }
}
