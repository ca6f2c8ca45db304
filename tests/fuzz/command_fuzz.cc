// Drives a whole server core in this process: three clients send commands, well formed or as raw bytes in pieces, come
// and go, and time passes between. Demanded are that nothing crashes or leaks, that every reply is well-formed RESP,
// that a client's waiting output is given out whole, and that a flushed database is charged for nothing.
//
// An input is a program of the operations of `Operation`. A command is named by its place in the command table, and an
// argument can be a keyword of its syntax, so that the table is the dictionary and mutations stay meaningful.

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "core_client.h"
#include "fuzz.h"
#include "reply.h"
#include "server/commands/families.h"
#include "server/config.h"
#include "server/scripting.h"
#include "server/server.h"
#include "simulated_disk.h"

namespace {

using namespace quartet;
using fuzz::demand;
using fuzz::Program;

constexpr size_t kClients = 3;

// --- What commands are made of ------------------------------------------------------------------------------------------

/// A command or subcommand of the table with the keywords of its syntax.
struct Word {
  std::vector<std::string> names;
  std::vector<std::string> keywords;
};

std::vector<std::string> keywords_of(std::string_view syntax) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : std::string(syntax) + " ") {
    if (std::isupper(static_cast<unsigned char>(c)) || (!word.empty() && (std::isdigit(static_cast<unsigned char>(c)) || c == '-'))) {
      word += c;
    } else {
      if (word.size() > 1) words.push_back(word);
      word.clear();
    }
  }
  return words;
}

std::vector<Word> words_of_table() {
  std::vector<Word> words;
  for (const auto family : server::all_families()) {
    for (const server::Command& command : family) {
      if (command.flags & server::kMemcached) continue;
      const std::string name(command.name);
      words.push_back({{name}, keywords_of(command.syntax)});
      for (const server::Command& sub : command.subcommands)
        words.push_back({{name, std::string(sub.name)}, keywords_of(sub.syntax)});
    }
  }
  return words;
}

/// Numbers at which arithmetic turns, patterns, scripts, ranges, directives: what a syntax does not spell out.
constexpr std::string_view kValues[] = {
    "", "0", "1", "-1", "2", "3", "7", "10", "63", "64", "100", "-100", "128", "129", "512", "1000", "65536", "1048575",
    "1048576", "2147483647", "-2147483648", "4294967295", "4294967296", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "18446744073709551615", "1700000000", "1700000000000", "1.5", "-0", "0.1", "3.0e5", "1e308",
    "inf", "-inf", "+inf", "nan", "(1", "[a", "(b", "-", "+", "*", "k*", "?1", "[a-c]*", "k*->f", "#", "u8", "i64", "u63",
    "#1", "i16", "a", "b", "c", "field", "KEA", "default", "resp2", "127.0.0.1:50000", "__keyspace@*", "no", "yes", "db0",
    "hash-max-listpack-entries", "hash-max-listpack-value", "set-max-intset-entries", "zset-max-listpack-entries",
    "list-max-listpack-size", "notify-keyspace-events", "maxmemory-policy", "allkeys-lfu", "volatile-ttl", "maxmemory", "db.1.maxmemory", "db.0.maxmemory-policy", "client-output-buffer-limit", "maxmemory-clients",
    "pubsub 1024 512 1", "normal 1024 0 0", "timeout", "requirepass", "maxclients", "latency-monitor-threshold",
    "slowlog-log-slower-than", "return redis.call(unpack(ARGV))", "return redis.pcall(KEYS[1], KEYS[2], ARGV[1])",
    "return {1, 2.5, 'x', false, {ok='y'}, {err='z'}}", "redis.setresp(3) return redis.call('hgetall', KEYS[1])",
    "while true do end", "return cjson.encode(cjson.decode(ARGV[1]))", "return cmsgpack.unpack(ARGV[1])", "[1,{\"a\":null}]",
    "return struct.pack(ARGV[1], 1, 2, 3)", "return struct.unpack(ARGV[1], ARGV[2])", ">I4i8s", "#!lua flags=no-writes\nreturn 1",
    "return string.format(ARGV[1], 1.5, 2)", "%d %5.2f %q", "return redis.sha1hex(ARGV[1])", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
};

constexpr std::string_view kKeys[] = {"k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7"};

// --- The server ---------------------------------------------------------------------------------------------------------

/// Time goes on by a little at each look, so that what waits for it to pass (a script's limit) comes to an end.
class SteppingClock final : public Clock {
 public:
  Time now() override {
    clock_.advance_us(20);
    return clock_.now();
  }
  void advance_ms(int64_t ms) { clock_.advance_ms(ms); }

 private:
  ManualClock clock_;
};

struct Client {
  Client(server::Server& core, int port) : connection(core, port) {}
  test::CoreClient connection;
  test::ReplyReader replies;
};

class World {
 public:
  World() : log_(clock_) {
    log_.set_level(LogLevel::Warning);
    (void)log_.open("/dev/null");
    demand(!config_.load({"--save", "", "--proto-max-bulk-len", "1mb", "--busy-reply-threshold", "1", "--databases", "3"}),
           "the configuration is accepted");
    core_ = std::make_unique<server::Server>(clock_, log_, config_, disk_, background_, host_, server::all_families());
    // Scripts that run long are ended, as by a SHUTDOWN.
    host_.on_poll = [this] { core_->scripting->abort(); };
    // Commands stand still wherever they can, and go on with what other clients send, or when time passes.
    core_->long_commands.set_bounds({.work = 4, .slice_us = 0});
    // What bounds memory and time here stays as it is.
    config_.on_change([](const std::vector<std::string_view>& changed) -> std::optional<std::string> {
      for (const std::string_view name : changed)
        if (name == "proto-max-bulk-len" || name == "busy-reply-threshold") return "not while fuzzing";
      return {};
    });
    empty_memory_ = core_->database(0).memory();
  }

  void send(size_t at, std::string_view bytes, size_t piece) {
    if (traced_) std::fprintf(stderr, "client %zu: %s\n", at, test::quoted(bytes).c_str());
    open(at).connection.send(bytes, piece);
    take_output();
  }

  void advance(int64_t ms) {
    if (traced_) std::fprintf(stderr, "advance %lld ms\n", static_cast<long long>(ms));
    clock_.advance_ms(ms);
    core_->run_timeouts();
    core_->tick();
    for (int turns = 0; turns < 16 && core_->slice(); ++turns) {
    }
    take_output();
  }

  void close(size_t at) {
    if (!clients_[at]) return;
    if (traced_) std::fprintf(stderr, "client %zu leaves\n", at);
    clients_[at].reset();
  }

  void finish() {
    for (size_t i = 0; i < kClients; ++i) close(i);
    core_->flush(-1);
    for (const auto& database : core_->databases) {
      demand(database->size() == 0, "a flushed database is empty");
      demand(database->memory() == empty_memory_, "a flushed database is charged for nothing");
    }
  }

 private:
  Client& open(size_t at) {
    if (clients_[at]) return *clients_[at];
    const auto connect = [&] {
      clients_[at] = std::make_unique<Client>(*core_, static_cast<int>(50000 + at));
      return clients_[at]->connection.open();
    };
    if (!connect()) {  // maxclients was lowered
      for (size_t i = 0; i < kClients; ++i) close(i);
      demand(connect(), "one client is always served");
    }
    return *clients_[at];
  }

  void take_output() {
    for (size_t i = 0; i < kClients; ++i) {
      if (!clients_[i]) continue;
      test::CoreClient& connection = clients_[i]->connection;
      test::ReplyReader& replies = clients_[i]->replies;
      connection.close_if_finished();
      const size_t size = connection.output_size();
      const std::string bytes = connection.take_output();
      demand(bytes.size() == size, "the output's size is what it holds");
      demand(connection.output_size() == 0, "sent output is gone");
      replies.feed(bytes);
      while (replies.next()) {
      }
      demand(!replies.broken(), "replies are well-formed");
      demand(replies.pending().empty(), "replies are whole");
      connection.close_if_finished();
      if (!connection.open()) close(i);
    }
  }

  SteppingClock clock_;
  Log log_;
  server::ConfigStore config_;
  test::SimulatedDisk disk_{1};
  test::ImmediateBackground background_;
  test::EndingHost host_;
  std::unique_ptr<server::Server> core_;
  std::array<std::unique_ptr<Client>, kClients> clients_;
  size_t empty_memory_ = 0;
  const bool traced_ = std::getenv("QUARTET_FUZZ_TRACE");  // to read what an artifact does
};

// --- The program --------------------------------------------------------------------------------------------------------

std::string argument(Program& program, const Word& word) {
  const uint8_t kind = program.byte(), which = program.byte();
  switch (kind % 8) {
    case 0:
    case 1: return std::string(kKeys[which % std::size(kKeys)]);
    case 2:
    case 3: return std::string(kValues[which % std::size(kValues)]);
    case 4:
      if (!word.keywords.empty()) return word.keywords[which % word.keywords.size()];
      return std::string(1, static_cast<char>('a' + which % 26));
    case 5: return std::to_string(static_cast<int>(which) - 16);
    case 6: return program.bytes(which % 16);
    default: return std::string(static_cast<size_t>(which) * (kind & 8 ? 64 : 1), 'x');  // beyond packed encodings
  }
}

std::string command(Program& program, const std::vector<Word>& words) {
  const size_t index = program.byte() | static_cast<size_t>(program.byte()) << 8;
  const Word& word = words[index % words.size()];
  std::vector<std::string> arguments = word.names;
  for (size_t n = program.byte() % 12; n > 0; --n) arguments.push_back(argument(program, word));
  return test::encode_command(arguments);
}

void run(Program& program, const std::vector<Word>& words) {
  World world;
  // Commands that were put together for one send: a pipeline.
  std::array<std::string, kClients> pipelines;
  while (program.more()) {
    const uint8_t operation = program.byte();
    const size_t client = operation / 8 % kClients;
    switch (operation % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        pipelines[client] += command(program, words);
        world.send(client, pipelines[client], SIZE_MAX);
        pipelines[client].clear();
        break;
      case 4: pipelines[client] += command(program, words); break;
      case 5: {
        const std::string raw = program.bytes(program.byte());
        world.send(client, raw, static_cast<size_t>(1) + program.byte());
        break;
      }
      case 6: world.advance(int64_t{1} << program.byte() % 24); break;
      case 7: world.close(client); break;
    }
  }
  world.finish();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::vector<Word> words = words_of_table();
  Program program(data, size);
  run(program, words);
  return 0;
}
