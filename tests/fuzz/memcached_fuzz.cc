// Commands of memcached's protocol, raw bytes and commands of RESP to a whole server core in process, with a log on a disk in
// memory. Demands that replies are whole lines, that memory is accounted for, and that a second server which loads the log holds
// what the first one held.

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core_client.h"
#include "fuzz.h"
#include "reply.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "simulated_disk.h"
#include "storage/string.h"

namespace {

using namespace quartet;
using fuzz::demand;
using fuzz::Program;

constexpr std::array<std::string_view, 4> kKeys = {"a", "b", "foo", "list"};
constexpr std::array<std::string_view, 8> kMetaKeys = {"a", "b", "foo", "list", "Zm9v b", "AAEC b", "Zm9 b", "a b"};
constexpr std::array<std::string_view, 12> kNumbers = {"0", "1", "9", "10", "99", "100", "-1", "2592000", "4294967295", "18446744073709551615", "2000000000", "x"};
constexpr std::array<std::string_view, 10> kVerbs = {"set", "set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "touch"};
constexpr std::array<std::string_view, 7> kReads = {"get", "gets", "gat 10", "gats 0", "delete", "gat -1", "me"};
constexpr std::array<std::string_view, 5> kMeta = {"mg", "ms", "md", "ma", "mg"};
constexpr std::array<std::string_view, 22> kFlags = {"b", "c", "f", "h", "k", "l", "q", "s", "t", "u", "v", "I", "ME", "MA", "MP", "MR", "MI", "MD", "Oo", "T100", "N100", "R200"};
constexpr std::array<std::string_view, 24> kResp = {
    "SET a 5\r\n", "SET b x\r\n", "APPEND a 1\r\n", "INCR a\r\n", "DEL a\r\n", "RPUSH list x\r\n", "DEL list\r\n", "EXPIRE a 10\r\n",
    "PERSIST b\r\n", "RENAME a b\r\n", "COPY a foo REPLACE\r\n", "SETRANGE a 3 x\r\n", "GETSET a 1\r\n", "FLUSHDB\r\n", "SWAPDB 0 1\r\n", "MOVE a 1\r\n",
    "INCRBYFLOAT a 0.5\r\n", "SETBIT a 9 1\r\n", "RENAME foo a\r\n", "GETEX a PERSIST\r\n", "MSET a 1 b 2\r\n", "SET list 5 KEEPTTL\r\n", "BITOP NOT a b\r\n", "SORT list STORE foo\r\n"};

std::string command(Program& program) {
  std::string text;
  const auto value = [&] {
    const uint8_t kind = program.byte();
    if (kind < 100) return std::string(program.one_of(kNumbers));
    if (kind < 200) return program.bytes(kind % 16);
    return std::string(size_t{kind} * (kind & 1 ? 100 : 1), 'x');
  };
  switch (program.byte() % 4) {
    case 0: {
      const std::string_view verb = program.one_of(kVerbs);
      text = std::string(verb) + " " + std::string(program.one_of(kKeys)) + " " + std::string(program.one_of(kNumbers));
      if (verb == "incr" || verb == "decr" || verb == "touch") return text + (program.byte() & 1 ? " noreply\r\n" : "\r\n");
      const std::string data = value();
      text += " " + std::string(program.one_of(kNumbers)) + " " + std::to_string(data.size());
      if (verb == "cas") text += " " + std::string(program.one_of(kNumbers));
      return text + (program.byte() & 1 ? " noreply\r\n" : "\r\n") + data + "\r\n";
    }
    case 1: {
      text = program.one_of(kReads);
      for (size_t n = 1 + program.byte() % 3; n > 0; --n) text += " " + std::string(program.one_of(kKeys));
      return text + "\r\n";
    }
    default: {
      const std::string_view verb = program.one_of(kMeta);
      const std::string_view key = program.one_of(kMetaKeys);
      const std::string data = value();
      text = std::string(verb) + " " + std::string(key.substr(0, key.find(' ')));
      if (verb == "ms") text += " " + std::to_string(data.size());
      if (key.find(' ') != key.npos) text += " b";
      for (size_t n = program.byte() % 6; n > 0; --n) {
        text += " " + std::string(program.one_of(kFlags));
        if (program.byte() < 30) text += " C" + std::string(program.one_of(kNumbers));
      }
      return text + "\r\n" + (verb == "ms" ? data + "\r\n" : "");
    }
  }
}

struct Process {
  Process(test::SimulatedDisk& disk, int64_t wall_ms) : clock(wall_ms), log(clock) {
    log.set_level(LogLevel::Warning);
    (void)log.open("/dev/null");
    demand(!config.load({"--dir", "/tmp", "--save", "", "--databases", "2", "--appendonly", "yes", "--appendfsync", "no", "--auto-aof-rewrite-percentage", "0",
                         "--db.0.memcached-item-size-max", "10000", "--proto-max-bulk-len", "1mb"}),
           "the configuration is accepted");
    core = std::make_unique<server::Server>(clock, log, config, disk, background, host, server::all_families());
    demand(!core->durability.open(), "the directory is good");
    while (core->durability.loading()) core->tick();
    settle();
  }
  void pass(int64_t ms) {
    clock.advance_ms(ms);
    core->run_timeouts();
    core->tick();
    core->end_turn();
  }
  void settle() {
    for (int turns = 0; turns < 3; ++turns) pass(1000);
  }
  /// All that is there, as text, but for unique numbers and whether a client has been told to make something anew.
  std::map<std::string, std::string> contents() {
    std::map<std::string, std::string> all;
    for (const auto& database : core->databases) {
      database->for_each([&](storage::Entry& entry) {
        if (entry.expired(clock.now().wall_ms())) return true;
        std::string text(storage::type_name(entry.type()));
        text += ":" + std::to_string(entry.expiry());
        if (entry.type() == storage::Type::String) {
          char scratch[kNumberChars];
          text += ":" + std::to_string(entry.note().client_flags) + (entry.note().stale ? "s:" : ":");
          text += storage::StringValue(*database, &entry).view(scratch);
        } else {
          text += ":" + std::to_string(storage::length_of(entry));
        }
        all[std::to_string(database->index()) + ":" + std::string(entry.key())] = text;
        return true;
      });
    }
    return all;
  }

  ManualClock clock;
  Log log;
  server::ConfigStore config;
  test::ImmediateBackground background;
  test::EndingHost host;
  std::unique_ptr<server::Server> core;
};

void take(test::CoreClient& client, bool resp, test::ReplyReader& replies) {
  const std::string bytes = client.take_output();
  if (!resp) return demand(bytes.empty() || bytes.ends_with("\r\n"), "replies end with their line");
  replies.feed(bytes);
  while (replies.next()) {
  }
  demand(!replies.broken() && replies.pending().empty(), "replies are well-formed and whole");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Program program(data, size);
  test::SimulatedDisk disk{1};
  demand(static_cast<bool>(disk.make_directory("/tmp")), "there is a directory");
  std::map<std::string, std::string> before;
  int64_t wall_ms;
  {
    Process process(disk, 1'700'000'000'000);
    const size_t empty_memory = process.core->database(0).memory();
    std::array<std::unique_ptr<test::CoreClient>, 3> clients;
    std::array<test::ReplyReader, 3> replies;
    while (program.more()) {
      const uint8_t operation = program.byte();
      const size_t at = operation / 8 % 3;
      const bool resp = at == 2;
      if (!clients[at] || !clients[at]->open()) {
        clients[at] = std::make_unique<test::CoreClient>(*process.core, static_cast<int>(at) + 1, resp ? std::optional<int>() : 0);
        replies[at] = {};
      }
      test::CoreClient& client = *clients[at];
      if (operation % 8 == 6) {
        process.pass(int64_t{1} << program.byte() % 18);
      } else if (resp) {
        client.send(program.one_of(kResp));
      } else if (operation % 8 == 7) {
        const std::string raw = program.bytes(program.byte() % 64);
        client.send(raw, static_cast<size_t>(1) + program.byte());
      } else {
        client.send(command(program));
      }
      take(client, resp, replies[at]);
      client.close_if_finished();
    }
    for (auto& client : clients) client.reset();
    process.settle();
    before = process.contents();
    wall_ms = process.clock.now().wall_ms();
    process.core->flush(-1);
    for (const auto& database : process.core->databases) demand(database->memory() == empty_memory, "a flushed database is charged for nothing");
  }
  // Loading lets nothing expire; the second one has the time of the first.
  Process second(disk, wall_ms - 3000);
  demand(second.contents() == before, "what is loaded is what was there");
  return 0;
}
