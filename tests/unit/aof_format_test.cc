// The bytes of an increment and their reader: everything comes back, and nothing that is damaged passes.

#include "persistence/aof_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/limits.h"
#include "persistence/aof_increment.h"
#include "persistence/aof_log.h"
#include "persistence/aof_reader.h"
#include "simulated_disk.h"

using namespace quartet;
using namespace quartet::persistence;
using test::SimulatedDisk;
using Status = AofReader::Status;
using Words = std::vector<std::string_view>;

namespace {

/// What reading a file came to: the commands as `database:WORD WORD`.
struct Read {
  Status status = Status::More;
  std::vector<std::string> commands;
  uint64_t offset = 0;
  std::string reason;
  bool ends_with_batch = false;
};

Read read_text(const std::string& text, size_t slice = 100) {
  SimulatedDisk disk(1);
  Result<std::unique_ptr<File>> file = disk.create("file");
  REQUIRE(file);
  *disk.content("file") = text;
  Read read;
  AofReader reader(**file, [&](const Effect& effect) -> Result<void> {
    std::string line = std::to_string(effect.database) + ":";
    for (const std::string_view word : effect.arguments) line += std::string(word) + " ";
    line.pop_back();
    if (line.find("unknown") != std::string::npos) return Error{"unknown command"};
    read.commands.push_back(line);
    return {};
  });
  while (read.status == Status::More) read.status = reader.step(slice);
  read.offset = reader.offset();
  read.reason = reader.reason();
  read.ends_with_batch = reader.ends_with_batch();
  return read;
}

std::string resp(const Words& words) {
  std::string text = fmt::format("*{}\r\n", words.size());
  for (const std::string_view word : words) text += fmt::format("${}\r\n{}\r\n", word.size(), word);
  return text;
}

/// A log with an established file, whose jobs are run at once.
struct RunningLog {
  SimulatedDisk disk{7};
  AofLog log{disk, "d", "f", 3};
  int64_t now_us = 0;

  RunningLog() {
    REQUIRE(disk.make_directory("d"));
    for (int database = 0; database < 2; ++database) log.set_database(database, true, FsyncPolicy::Always);
    rewrite();
    REQUIRE(log.durable() == log.position());
    REQUIRE_FALSE(log.needs_new_base());
  }
  void rewrite() {
    const uint64_t number = log.switch_file();
    REQUIRE(replace_file(disk, "d", "temp-base", "base"));
    log.adopt_base(number, "d/temp-base");
    flush();
  }
  void append(int database, const Words& words) { log.append({database, words}); }
  void flush() {
    now_us += 1'000'000;
    while (std::unique_ptr<AofJob> job = log.take_job(now_us)) {
      job->run();
      log.completed(std::move(job), now_us);
    }
  }
  std::string* increment(int sequence) { return disk.content("d/" + increment_name("f", sequence)); }
};

/// An increment with every kind of record, each batch synced before the next.
std::string every_record(std::vector<std::string>& commands) {
  RunningLog running;
  const std::string binary("\0\r\n#QB:\xff", 8);
  running.append(0, {"SET", "a", "1"});
  running.flush();
  running.log.begin_unit();
  running.append(0, {"INCR", "a"});
  running.append(1, {"SET", "b", binary});
  running.append(2, {"SET", "unlogged", "x"});
  running.log.end_unit();
  running.flush();
  running.log.begin_unit();
  running.append(1, {"DEL", "b"});
  running.log.end_unit();
  running.append(1, {"SET", "", ""});
  running.flush();
  commands = {"0:SET a 1", "0:INCR a", "1:SET b " + binary, "1:DEL b", "1:SET  "};
  return *running.increment(1);
}

bool is_prefix(const std::vector<std::string>& part, const std::vector<std::string>& whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

}  // namespace

TEST_CASE("an annotation is read only where it was written for and unchanged", "[aof]") {
  std::string text(kAnnotationBytes, '\0');
  write_annotation({0x123456789a, 0xabcdef012345, 0xdeadbeef}, 1000, text.data());
  CHECK(text.starts_with("#QB:123456789a:abcdef012345:deadbeef:"));
  const std::optional<Annotation> annotation = read_annotation(text, 1000);
  REQUIRE(annotation);
  CHECK(annotation->length == 0x123456789a);
  CHECK(annotation->synced == 0xabcdef012345);
  CHECK(annotation->body_crc == 0xdeadbeef);
  CHECK_FALSE(read_annotation(text, 1001));
  for (size_t i = 0; i < text.size(); ++i) {
    CHECK_FALSE(read_annotation(text.substr(0, i), 1000));
    for (int bit = 0; bit < 8; ++bit) {
      std::string other = text;
      other[i] = static_cast<char>(other[i] ^ (1 << bit));
      CHECK_FALSE(read_annotation(other, 1000));
    }
  }
}

TEST_CASE("what the log writes is read back", "[aof]") {
  std::vector<std::string> commands;
  const std::string text = every_record(commands);
  for (const size_t slice : {size_t{1}, size_t{64}, size_t{1} << 20}) {
    const Read read = read_text(text, slice);
    CHECK(read.status == Status::Done);
    CHECK(read.commands == commands);
    CHECK(read.ends_with_batch);
  }
  // Of one change a unit is made without MULTI; two databases take two SELECTs and what goes back a third.
  CHECK(text.find("DEL") != std::string::npos);
  CHECK(text.find("MULTI") == text.rfind("MULTI"));
  CHECK(text.find("unlogged") == std::string::npos);
}

TEST_CASE("a file that is cut anywhere is read up to a whole batch", "[aof]") {
  std::vector<std::string> commands;
  const std::string text = every_record(commands);
  for (size_t cut = 0; cut < text.size(); ++cut) {
    const Read read = read_text(text.substr(0, cut));
    INFO("cut at " << cut << ": " << read.reason);
    REQUIRE((read.status == Status::Torn || read.status == Status::Done));
    REQUIRE((read.status == Status::Torn) == (read.offset < cut));
    REQUIRE(is_prefix(read.commands, commands));
    REQUIRE(read_text(text.substr(0, read.offset)).commands == read.commands);
    REQUIRE(read_text(text.substr(0, read.offset)).status == Status::Done);
    // Half a unit is none.
    REQUIRE(read.commands.size() != 2);
    // Zeros in the place of what was cut off.
    const Read zeros = read_text(text.substr(0, cut) + std::string(text.size() - cut, '\0'));
    REQUIRE(zeros.status == Status::Torn);
    REQUIRE(zeros.commands == read.commands);
  }
}

TEST_CASE("no changed byte goes unnoticed, and what was synced is told from what was not", "[aof]") {
  std::vector<std::string> commands;
  const std::string text = every_record(commands);
  const size_t last = text.rfind("\n#QB:") + 1;
  for (size_t at = 0; at < text.size(); ++at) {
    for (const int change : {0x01, 0x20, 0x80, 0xff}) {
      std::string damaged = text;
      damaged[at] = static_cast<char>(damaged[at] ^ change);
      const Read read = read_text(damaged);
      INFO("changed at " << at << " by " << change << ": " << read.reason);
      REQUIRE(read.status == (at < last ? Status::Corrupt : Status::Torn));
      // A file whose first mark is damaged begins with a comment: it is the batch behind it that does not belong there.
      REQUIRE(read.offset <= std::max(at, kAnnotationBytes));
      REQUIRE(is_prefix(read.commands, commands));
    }
  }
}

TEST_CASE("what is behind damage is looked at in slices", "[aof]") {
  std::vector<std::string> commands;
  const std::string text = every_record(commands);
  constexpr size_t kRest = 10'000'000, kSlice = 64 * 1024;
  for (const bool synced_behind : {false, true}) {
    SimulatedDisk disk{1};
    std::string damaged = text + std::string(kRest, 'x');
    if (synced_behind) {
      char annotation[kAnnotationBytes];
      write_annotation({0, text.size() + 1, 0}, damaged.size(), annotation);
      damaged.append(annotation, sizeof annotation);
    }
    REQUIRE(replace_file(disk, "", "file", damaged));
    Result<std::unique_ptr<File>> file = disk.open_read("file");
    REQUIRE(file);
    AofReader reader(**file, [](const Effect&) { return Result<void>(); });
    size_t steps = 0;
    Status status;
    while ((status = reader.step(kSlice)) == Status::More) ++steps;
    CHECK(status == (synced_behind ? Status::Corrupt : Status::Torn));
    CHECK(reader.offset() == text.size());
    CHECK(steps >= kRest / kSlice);
  }
}

TEST_CASE("files of redis-server are read", "[aof]") {
  const std::string select = resp({"SELECT", "1"}), set = resp({"SET", "a", "1"}), multi = resp({"MULTI"}),
                    exec = resp({"EXEC"});
  SECTION("whole") {
    const Read read = read_text("#TS:1700000000\r\n" + select + set + "#TS:1700000001\r\n" + multi + set +
                                "#TS:1700000002\r\n" + set + exec);
    CHECK(read.status == Status::Done);
    CHECK(read.commands == std::vector<std::string>(3, "1:SET a 1"));
    CHECK_FALSE(read.ends_with_batch);
  }
  SECTION("cut anywhere, with zeros or without") {
    const std::string text = select + set + multi + set + set + exec + set;
    for (size_t cut = 0; cut < text.size(); ++cut) {
      const Read read = read_text(text.substr(0, cut));
      INFO("cut at " << cut << ": " << read.reason);
      REQUIRE((read.status == Status::Torn) == (read.offset < cut));
      REQUIRE((read.status == Status::Torn || read.status == Status::Done));
      REQUIRE(read.commands.size() == (cut < select.size() + set.size() ? 0 : cut + set.size() < text.size() ? 1 : 3));
      const Read zeros = read_text(text.substr(0, cut) + std::string(50, '\0'));
      INFO("with zeros: " << zeros.reason);
      REQUIRE(zeros.status == Status::Torn);
      REQUIRE(zeros.offset == read.offset);
    }
  }
  SECTION("damaged in the middle") {
    for (const std::string& damage :
         {std::string("nonsense"), std::string("*x\r\n"), std::string("*0\r\n"), exec, multi + multi + exec,
          resp({"SELECT", "-1"}), resp({"SELECT", "99999999999"}), resp({"unknown"}), std::string("\0\0", 2),
          "#" + std::string(2000, 'x')}) {
      const Read read = read_text(set + damage + set);
      INFO(damage);
      CHECK(read.status == (damage == resp({"unknown"}) ? Status::Refused : Status::Corrupt));
      CHECK(read.offset == set.size());
      CHECK(read.commands == std::vector<std::string>{"0:SET a 1"});
    }
  }
  SECTION("with lengths that are not true") {
    for (const char* lie : {"*2147483647\r\n", "*1\r\n$9000000000000000\r\n", "*2\r\n$3\r\nGET\r\n$4000000000\r\nab"}) {
      const Read read = read_text(set + lie);
      CHECK(read.status == Status::Torn);
      CHECK(read.offset == set.size());
    }
  }
}

TEST_CASE("redis-server may go on in a file of batches", "[aof]") {
  std::vector<std::string> commands;
  const std::string text = every_record(commands);
  const std::string more = resp({"SELECT", "0"}) + resp({"SET", "c", "1"});
  const Read read = read_text(text + more);
  CHECK(read.status == Status::Done);
  CHECK(read.commands.size() == commands.size() + 1);
  CHECK_FALSE(read.ends_with_batch);
  CHECK(read_text(text + more + text).status == Status::Corrupt);
  // A comment that is no timestamp may be an annotation that is damaged.
  CHECK(read_text(text + "#TS:1700000000\r\n" + more).status == Status::Done);
  CHECK(read_text(text + "#XB:\r\n" + more).status == Status::Torn);
}

TEST_CASE("what a whole batch holds that is no command is no torn tail", "[aof]") {
  for (const std::string& body : {std::string("nonsense"), std::string("*0\r\n"), std::string("*1\r\n$4\r\nPI"),
                                  resp({"MULTI"}) + resp({"PING"}), std::string(10, '\0')}) {
    AofBuffer buffer;
    buffer.append_empty_batch();
    buffer.finish(0, 0);
    std::string text(buffer.bytes());
    char annotation[kAnnotationBytes];
    write_annotation({body.size(), 0, crc32c(body)}, text.size(), annotation);
    text.append(annotation, kAnnotationBytes).append(body);
    CHECK(read_text(text).status == Status::Corrupt);
    CHECK(read_text(text).offset == 2 * kAnnotationBytes);
  }
}

TEST_CASE("many effects are cut into batches, a long one stands whole", "[aof]") {
  RunningLog running;
  const std::string value(limits::kAofBatchBytes / 4, 'v');
  for (int i = 0; i < 20; ++i) running.append(0, {"SET", "k", value});
  running.log.begin_unit();
  for (int i = 0; i < 20; ++i) running.append(0, {"SET", "k", value});
  running.log.end_unit();
  running.flush();
  const std::string& text = *running.increment(1);
  size_t batches = 0;
  for (size_t at = text.find("#QB:"); at != std::string::npos; at = text.find("#QB:", at + 1)) ++batches;
  CHECK(batches == 7);  // the empty one, five of four, one unit
  const Read read = read_text(text);
  CHECK(read.status == Status::Done);
  CHECK(read.commands.size() == 40);
}
