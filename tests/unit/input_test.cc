// What several clients send in one turn of the loop, and what becomes of input that waits.

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "core_fixture.h"

using namespace quartet;
using test::Core;

TEST_CASE("what arrives for a client is kept where it is, though another client's request in the same turn ends its wait", "[input]") {
  Core core({});
  test::CoreClient& waiting = core.connect();
  test::CoreClient& pusher = core.connect();
  waiting.send("BLPOP k 0\r\nPING\r\n");
  CHECK(waiting.take_output().empty());

  pusher.send_in_turn("RPUSH k a\r\n");
  waiting.send_in_turn("ECHO hello\r\n");
  core.server.input.execute_received();
  CHECK(waiting.take_output() == "*2\r\n$1\r\nk\r\n$1\r\na\r\n+PONG\r\n$5\r\nhello\r\n");
  CHECK(pusher.take_output() == ":1\r\n");
}

TEST_CASE("a request that waits in pieces is complete though it is resumed in the turn in which its rest arrives", "[input]") {
  Core core({});
  test::CoreClient& waiting = core.connect();
  test::CoreClient& pusher = core.connect();
  waiting.send("BLPOP k 0\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhe");
  pusher.send_in_turn("RPUSH k a\r\n");
  waiting.send_in_turn("llo\r\nBLPOP k 0\r\nPI");
  core.server.input.execute_received();
  CHECK(waiting.take_output() == "*2\r\n$1\r\nk\r\n$1\r\na\r\n+PONG\r\n$5\r\nhello\r\n");

  // And one whose bytes are read into the buffer that all share, because it had nothing left, in a long read and a short one.
  const std::string text = GENERATE(std::string("x"), std::string(1000, 'x'));
  pusher.send_in_turn("RPUSH k b\r\n");
  waiting.send_in_turn("NG\r\n");
  core.server.input.execute_received();
  CHECK(waiting.take_output() == "*2\r\n$1\r\nk\r\n$1\r\nb\r\n+PONG\r\n");
  waiting.send("BLPOP k 0\r\n");
  pusher.send_in_turn("RPUSH k c\r\n");
  waiting.send_in_turn("ECHO " + text + "\r\n");
  core.server.input.execute_received();
  CHECK(waiting.take_output() == "*2\r\n$1\r\nk\r\n$1\r\nc\r\n$" + std::to_string(text.size()) + "\r\n" + text + "\r\n");
}

TEST_CASE("what is read of a client while others' earlier requests are executed comes after what was read before", "[input]") {
  // As it is read while a script among those requests runs long.
  Core core({});
  test::CoreClient& earlier = core.connect();
  test::CoreClient& client = core.connect();
  bool again = true;
  earlier.on_output = [&] {
    if (std::exchange(again, false)) client.send_in_turn("lo\r\nPING\r\n");
  };
  earlier.send_in_turn("PING\r\n");
  client.send_in_turn("SET key " + std::string(1000, 'x') + "\r\nECHO hel");
  core.server.input.execute_received();
  CHECK_FALSE(again);
  CHECK(earlier.take_output() == "+PONG\r\n");
  CHECK(client.take_output() == "+OK\r\n$5\r\nhello\r\n+PONG\r\n");
}

TEST_CASE("what makes no sense after a request that waits is answered after it", "[input]") {
  Core core({});
  test::CoreClient& waiting = core.connect();
  waiting.send("BLPOP k 0\r\n*1\r\nPING\r\n");
  CHECK(waiting.take_output().empty());
  CHECK(core.call(core.connect(), "RPUSH k a") == ":1\r\n");
  CHECK(waiting.take_output() == "*2\r\n$1\r\nk\r\n$1\r\na\r\n-ERR Protocol error: expected '$', got 'P'\r\n");
  waiting.close_if_finished();
  CHECK_FALSE(waiting.open());
}

// --- Time ---------------------------------------------------------------------------------------------------------------

TEST_CASE("what waited after a blocking command is executed with the time of its execution", "[input]") {
  Core core({"--slowlog-log-slower-than", "0"});
  test::CoreClient& waiting = core.connect();
  test::CoreClient& other = core.connect();
  test::CoreClient& monitor = core.connect();
  core.call(monitor, "MONITOR");
  const int64_t begun_ms = core.clock.now().wall_ms();
  SECTION("for a key") {
    waiting.send("BLPOP k 0\r\nSET a v PX 1000\r\n");
    core.advance_ms(1200);
    core.call(other, "RPUSH k x");
  }
  SECTION("until its time is over") {
    waiting.send("BLPOP k 1.2\r\nSET a v PX 1000\r\n");
    core.advance_ms(1200);
  }
  SECTION("until CLIENT UNBLOCK") {
    waiting.send("BLPOP k 0\r\nSET a v PX 1000\r\n");
    core.advance_ms(1200);
    CHECK(core.call(other, "CLIENT UNBLOCK 1") == ":1\r\n");
  }
  SECTION("until the end of a pause") {
    core.call(other, "CLIENT PAUSE 1200 WRITE");
    waiting.send("SET a v PX 1000\r\n");
    core.advance_ms(1200);
  }
  SECTION("until CLIENT UNPAUSE") {
    core.call(other, "CLIENT PAUSE 100000 WRITE");
    waiting.send("SET a v PX 1000\r\n");
    core.advance_ms(1200);
    core.call(other, "CLIENT UNPAUSE");
  }
  CHECK(waiting.take_output().ends_with("+OK\r\n"));
  CHECK(core.call(other, "PTTL a") == ":1000\r\n");
  // Nor does the wait count as work, and monitors see when it was executed.
  CHECK(core.call(other, "INFO commandstats").find("cmdstat_set:calls=1,usec=0,") != std::string::npos);
  const int64_t executed_ms = begun_ms + 1200;
  const std::string line = fmt::format("+{}.{:06} [0 127.0.0.1:1] \"SET\" \"a\"", executed_ms / 1000, executed_ms % 1000 * 1000);
  CHECK(monitor.take_output().find(line) != std::string::npos);
}

TEST_CASE("what waited for a command in slices is executed with the time of its execution", "[input]") {
  Core core({"--enable-debug-command", "yes"});
  test::CoreClient& first = core.connect();
  test::CoreClient& second = core.connect();
  core.call(first, "DEBUG POPULATE 100 k");
  core.server.long_commands.set_bounds({.work = 10, .slice_us = 0});
  first.send("KEYS *\r\nSET b v PX 500\r\n");
  second.send("SET a v PX 500\r\n");
  REQUIRE(core.server.database(0).locked());
  core.clock.advance_ms(2000);
  while (core.server.slice()) continue;
  CHECK(second.take_output() == "+OK\r\n");
  CHECK(first.take_output().ends_with("+OK\r\n"));
  CHECK(core.call(second, "PTTL a") == ":500\r\n");
  CHECK(core.call(second, "PTTL b") == ":500\r\n");
}

TEST_CASE("time in which a client waits is no idleness", "[input]") {
  Core core({"--timeout", "2"});
  test::CoreClient& waiting = core.connect();
  test::CoreClient& other = core.connect();
  const auto stay = [&](int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 100) {
      core.advance_ms(100);
      core.call(other, "PING");
    }
  };
  SECTION("served") {
    waiting.send("BLPOP k 0\r\n");
    stay(3300);
    core.call(other, "RPUSH k x");
  }
  SECTION("timed out") {
    waiting.send("BLPOP k 3.3\r\n");
    stay(3300);
  }
  SECTION("paused") {
    core.call(other, "CLIENT PAUSE 3300 WRITE");
    waiting.send("SET a b\r\n");
    stay(3300);
  }
  stay(800);
  CHECK_FALSE(waiting.take_output().empty());
  CHECK(core.call(waiting, "PING") == "+PONG\r\n");
  stay(2200);
  CHECK_FALSE(waiting.open());
}

TEST_CASE("a client whose reply waits for the disk is not idle", "[input]") {
  Core core({"--timeout", "2", "--appendonly", "yes", "--appendfsync", "always"});
  test::CoreClient& waiting = core.connect();
  core.clock.advance_ms(100);
  waiting.send_in_turn("SET a b\r\n");
  core.server.input.execute_received();
  REQUIRE(core.server.held_count() == 1);
  for (int i = 0; i < 30; ++i) {
    core.clock.advance_ms(100);
    core.server.tick();
  }
  waiting.close_if_finished();
  CHECK(waiting.open());
}

TEST_CASE("nobody is idle or late while the server does not listen", "[input]") {
  Core core({"--timeout", "2"});
  test::CoreClient& speaking = core.connect();
  test::CoreClient& silent = core.connect();
  core.advance_ms(200);
  core.clock.advance_ms(5000);  // in one command of somebody else
  core.server.tick();
  CHECK(core.call(speaking, "PING") == "+PONG\r\n");
  core.advance_ms(200);
  CHECK(core.call(speaking, "PING") == "+PONG\r\n");
  CHECK_FALSE(silent.open());
}

TEST_CASE("a client that takes what it is sent is not idle", "[input]") {
  Core core({"--timeout", "2"});
  test::CoreClient& slow = core.connect();
  slow.send("ECHO " + std::string(1000, 'x') + "\r\n");
  const server::Session& session = *core.server.sessions().begin()->second;
  const size_t size = slow.output_size();
  for (int i = 0; i < 30; ++i) {
    core.server.sent(*core.server.find_session(session.id), 1);
    core.advance_ms(100);
  }
  CHECK(slow.open());
  CHECK(slow.output_size() == size - 30);
  core.advance_ms(2200);
  slow.take_output();
  CHECK_FALSE(slow.open());
}

TEST_CASE("the delay of a login is not the client's fault", "[input]") {
  Core core({"--requirepass", "secret", "--handshake-timeout", "1"});
  test::CoreClient& guesser = core.connect();
  for (int i = 0; i < 40; ++i) core.call(guesser, "AUTH wrong");
  test::CoreClient& client = core.connect();
  client.send("AUTH default secret\r\nPING\r\n");
  CHECK(client.waits());
  core.advance_ms(limits::kLoginDelayMs - 200);
  CHECK(client.open());
  core.advance_ms(500);
  CHECK(client.take_output() == "+OK\r\n+PONG\r\n");
}

TEST_CASE("those who wait for one reason go on without those who wait for another", "[input]") {
  Core core({"--enable-debug-command", "yes"});
  test::CoreClient& long_one = core.connect();
  test::CoreClient& locked = core.connect();
  test::CoreClient& paused = core.connect();
  test::CoreClient& key = core.connect();
  test::CoreClient& other = core.connect();
  core.call(other, "DEBUG POPULATE 100 k");
  core.call(key, "BLPOP list 0");
  core.call(paused, "SELECT 1");
  core.call(other, "SELECT 1");
  CHECK(core.call(other, "CLIENT PAUSE 1000 WRITE") == "+OK\r\n");
  paused.send("INCR n\r\n");
  core.server.long_commands.set_bounds({.work = 10, .slice_us = 0});
  long_one.send("KEYS *\r\n");
  locked.send("GET k:1\r\n");
  using server::Wait;
  const auto waiting = [&](Wait reason) { return core.server.input.waiting(reason); };
  CHECK(waiting(Wait::Keys) == 1);
  CHECK(waiting(Wait::OwnSlices) == 1);
  CHECK(waiting(Wait::Database) == 1);
  CHECK(waiting(Wait::Pause) == 1);
  CHECK(core.server.blocked_clients() == 3);
  while (core.server.slice()) continue;
  CHECK(waiting(Wait::OwnSlices) + waiting(Wait::Database) == 0);
  CHECK(locked.take_output() == "$7\r\nvalue:1\r\n");
  CHECK(paused.take_output().empty());
  CHECK(core.call(other, "CLIENT UNPAUSE") == "+OK\r\n");
  CHECK(paused.take_output() == ":1\r\n");
  CHECK(waiting(Wait::Pause) == 0);
  CHECK(waiting(Wait::Keys) == 1);
  core.clients.erase(core.clients.begin() + 3);
  CHECK(waiting(Wait::Keys) == 0);
}

TEST_CASE("who waits for the end of a pause can go, and the others go on in the order in which they came", "[input]") {
  Core core({});
  test::CoreClient& other = core.connect();
  std::vector<test::CoreClient*> clients;
  for (int i = 0; i < 4; ++i) clients.push_back(&core.connect());
  core.call(other, "CLIENT PAUSE 1000 WRITE");
  for (const size_t i : {3, 1, 0, 2}) clients[i]->send("RPUSH list " + std::to_string(i) + "\r\n");
  core.clients.erase(core.clients.begin() + 1 + 1);
  CHECK(core.server.blocked_clients() == 3);
  core.call(other, "CLIENT UNPAUSE");
  CHECK(core.call(other, "LRANGE list 0 -1") == "*3\r\n$1\r\n3\r\n$1\r\n0\r\n$1\r\n2\r\n");
}

TEST_CASE("what a request with many arguments took is given back", "[input]") {
  Core core({});
  test::CoreClient& client = core.connect();
  CHECK(core.call(client, "DEL none") == ":0\r\n");
  const size_t before = core.server.buffer_memory();
  constexpr int kNames = 100'000;
  std::string request = fmt::format("*{}\r\n$3\r\nDEL\r\n", kNames + 1);
  for (int i = 0; i < kNames; ++i) request += "$5\r\nabcde\r\n";
  client.send(request);
  while (core.server.slice()) {
  }
  CHECK(client.take_output() == ":0\r\n");
  // The views of so many arguments take 1.6 MB; some blocks for replies may be kept.
  CHECK(core.server.buffer_memory() < before + 200'000);
}
