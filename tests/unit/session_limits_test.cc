// What clients can make a server hold, and for how long, with time in the test's hand.

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include "base/limits.h"
#include "core_fixture.h"

using namespace quartet;
using test::Core;

namespace {

/// The client leaves more unread than the first block of output, which no limit counts.
void fill_output(Core& core, test::CoreClient& client) {
  client.send("PING " + std::string(protocol::BlockPool::kBlockBytes + 1, 'x') + "\r\n");
  core.server.input.execute_received();
}

}  // namespace

TEST_CASE("who has not authenticated in time is shown out", "[limits]") {
  Core core({"--requirepass", "secret", "--handshake-timeout", "5"});
  test::CoreClient& silent = core.connect();
  test::CoreClient& known = core.connect();
  CHECK(core.call(known, "AUTH secret") == "+OK\r\n");
  core.advance_ms(3000);
  test::CoreClient& late = core.connect();
  CHECK(core.call(silent, "PING") == "-NOAUTH Authentication required.\r\n");
  core.advance_ms(1900);
  CHECK(silent.open());
  core.advance_ms(300);
  CHECK_FALSE(silent.open());  // that it has said something does not help
  CHECK(late.open());
  CHECK(known.open());
  CHECK(core.server.stats.handshake_timeouts == 1);

  SECTION("one that resets has as long again") {
    CHECK(core.call(known, "RESET") == "+RESET\r\n");
    core.advance_ms(4800);
    CHECK(known.open());
    core.advance_ms(400);
    CHECK_FALSE(known.open());
  }
  SECTION("0 turns it off") {
    REQUIRE_FALSE(core.config.set({{"handshake-timeout", "0"}}));
    core.advance_ms(20000);
    CHECK(late.open());
  }
}

TEST_CASE("without a password nobody is late", "[limits]") {
  Core core({"--handshake-timeout", "1"});
  test::CoreClient& silent = core.connect();
  core.advance_ms(10000);
  CHECK(silent.open());
}

TEST_CASE("many sessions are watched in slices, and all of them in the end", "[limits]") {
  constexpr size_t kCrowd = 10000;
  Core core({"--requirepass", "secret", "--handshake-timeout", "1"});
  for (size_t i = 0; i < kCrowd; ++i) core.connect();
  core.advance_ms(1000);
  CHECK(core.open() == kCrowd);
  size_t last = kCrowd;
  for (int rounds = 0; core.open() > 0 && rounds < 200; ++rounds) {
    core.advance_ms(100);
    CHECK(last - core.open() <= 100);  // what is closed at once costs the others time
    last = core.open();
  }
  CHECK(core.open() == 0);
  CHECK(core.server.stats.handshake_timeouts == kCrowd);
}

TEST_CASE("replies that are left unread by one who has not authenticated have a bound", "[limits]") {
  Core core({"--requirepass", "secret"});
  std::string pipeline;
  for (int i = 0; i < 1000; ++i) pipeline += "PING\r\n";
  test::CoreClient& unknown = core.connect();
  unknown.send(pipeline);
  CHECK(unknown.output_size() <= limits::kUnauthenticatedOutputBytes);
  for (int i = 0; i < 3; ++i) unknown.send(pipeline);
  unknown.close_if_finished();
  CHECK_FALSE(unknown.open());

  test::CoreClient& known = core.connect();
  CHECK(core.call(known, "AUTH secret") == "+OK\r\n");
  for (int i = 0; i < 30; ++i) known.send(pipeline);
  CHECK(known.open());
  CHECK(known.output_size() == 30 * 1000 * std::string("+PONG\r\n").size());
}

TEST_CASE("an unfinished request holds about what has come of it", "[limits]") {
  Core core({});
  test::CoreClient& slow = core.connect();
  const server::Session& session = *core.server.sessions().begin()->second;
  for (const char c : std::string("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$40000\r\n")) slow.send({&c, 1});
  CHECK(session.input.size() == 30);
  CHECK(session.input.capacity() < 1024);
  const std::string value(40000, 'v');
  for (size_t at = 0; at < value.size(); at += 1000) slow.send(value.substr(at, 1000));
  slow.send("\r\n");
  core.server.input.execute_received();
  CHECK(slow.take_output() == "+OK\r\n");
  CHECK(session.input.capacity() == 0);
}

TEST_CASE("one of many who wait for a key can go from anywhere in the queue", "[limits]") {
  Core core({});
  constexpr int kWaiting = 1000;
  for (int i = 0; i < kWaiting; ++i) {
    CHECK(core.call(core.connect(), "BLPOP one two one 0").empty());
  }
  for (int i = 0; i < kWaiting; i += 2) core.clients[static_cast<size_t>(i)].reset();
  core.clients.erase(std::remove(core.clients.begin(), core.clients.end(), nullptr), core.clients.end());
  CHECK(core.server.blocked_clients() == kWaiting / 2);
  test::CoreClient& pusher = core.connect();
  for (int i = 0; i < kWaiting / 2; ++i) {
    core.call(pusher, i % 2 ? "LPUSH one x" : "LPUSH two x");
    CHECK(core.clients[static_cast<size_t>(i)]->take_output() == (i % 2 ? "*2\r\n$3\r\none\r\n$1\r\nx\r\n" : "*2\r\n$3\r\ntwo\r\n$1\r\nx\r\n"));
  }
  CHECK(core.server.blocked_clients() == 0);
}

TEST_CASE("who is disconnected while another client of the queue is served is passed over", "[limits]") {
  for (const bool another_waits : {false, true}) {
    CAPTURE(another_waits);
    Core core({"--notify-keyspace-events", "KEA"});
    test::CoreClient& first = core.connect();
    core.call(first, "BLPOP one 0");
    // As RESP3 allows, it waits for the key and hears at the same time of what others take from it.
    test::CoreClient& deaf = core.connect();
    core.call(deaf, "HELLO 3");
    core.call(deaf, "SUBSCRIBE __keyevent@0__:lpop");
    fill_output(core, deaf);
    deaf.send("BLPOP one 0\r\n");
    test::CoreClient& third = core.connect();
    if (another_waits) core.call(third, "BLPOP one 0");
    test::CoreClient& pusher = core.connect();
    CHECK(core.call(pusher, "CONFIG SET client-output-buffer-limit \"pubsub 1 0 0\"") == "+OK\r\n");

    CHECK(core.call(pusher, "RPUSH one a b") == ":2\r\n");
    CHECK(first.take_output() == "*2\r\n$3\r\none\r\n$1\r\na\r\n");
    deaf.close_if_finished();
    CHECK_FALSE(deaf.open());
    CHECK(third.take_output() == (another_waits ? "*2\r\n$3\r\none\r\n$1\r\nb\r\n" : ""));
    CHECK(core.call(pusher, "LLEN one") == (another_waits ? ":0\r\n" : ":1\r\n"));
    CHECK(core.server.blocked_clients() == 0);
  }
}

TEST_CASE("who is disconnected by what its own wait ends with is served once", "[limits]") {
  const std::string_view command = GENERATE(as<std::string_view>{}, "BLPOP one 0", "BLMOVE one two LEFT RIGHT 0", "BLMPOP 0 1 one LEFT");
  CAPTURE(command);
  Core core({"--notify-keyspace-events", "KEA", "--appendonly", "yes", "--appendfsync", "always"});
  test::CoreClient& deaf = core.connect();
  core.call(deaf, "HELLO 3");
  core.call(deaf, "SUBSCRIBE __keyevent@0__:lpop");
  fill_output(core, deaf);
  deaf.send(std::string(command) + "\r\n");
  test::CoreClient& pusher = core.connect();
  CHECK(core.call(pusher, "CONFIG SET client-output-buffer-limit \"pubsub 1 0 0\"") == "+OK\r\n");

  core.call(pusher, "RPUSH one a b");
  deaf.close_if_finished();
  CHECK_FALSE(deaf.open());
  core.advance_ms(100);  // until the changes are synced
  CHECK(pusher.take_output() == ":2\r\n");
  CHECK(core.call(pusher, "LLEN one") == ":1\r\n");
  CHECK(core.server.blocked_clients() == 0);
}

namespace {

/// As much as the first block of output and the limit allow, and what a vector keeps beside it.
constexpr size_t kOutputLimit = 1'000'000;
constexpr size_t kHeldAtMost = kOutputLimit + 2 * protocol::BlockPool::kBlockBytes;

/// Sends the requests and turns the loop until the client has been answered, or is closed. Returns the most memory that its output held.
size_t most_output(Core& core, test::CoreClient& client, uint64_t id, std::string_view requests) {
  size_t most = 0;
  const auto look = [&] {
    if (const server::Session* session = core.server.find_session(id)) most = std::max(most, session->out.memory());
  };
  client.on_output = look;
  client.send(requests);
  look();
  while (core.server.slice()) look();
  core.server.end_turn();
  return most;
}

}  // namespace

// --- Output ----------------------------------------------------------------------------------------------------------

TEST_CASE("a reply that is more than its client may leave unread is not built", "[limits]") {
  Core core({"--client-output-buffer-limit", "normal 1000000 0 0"});
  test::CoreClient& other = core.connect();
  const std::string field(100, 'f');
  CHECK(core.call(other, "HSET h " + field + " v") == ":1\r\n");
  CHECK(core.call(other, "SADD s " + field) == ":1\r\n");
  CHECK(core.call(other, "ZADD z 1 " + field) == ":1\r\n");
  for (int i = 0; i < 200; ++i) core.call(other, "RPUSH l " + std::string(20'000, 'e'));
  for (int i = 0; i < 30; ++i) core.call(other, "RPUSH few " + std::string(20'000, 'e'));
  core.call(other, "SET string " + std::string(60'000, 's'));
  for (int i = 0; i < 10; ++i) core.call(other, "APPEND string " + std::string(60'000, 's'));
  core.server.long_commands.set_bounds({.work = 64, .slice_us = GENERATE(0, 250)});

  test::CoreClient& greedy = core.connect();
  const uint64_t id = core.server.sessions().rbegin()->first;
  const auto closes = [&](std::string_view requests) {
    CHECK(most_output(core, greedy, id, requests) <= kHeldAtMost);
    greedy.close_if_finished();
    CHECK_FALSE(greedy.open());
    CHECK(core.server.stats.output_buffer_limit_disconnections == 1);
    CHECK(core.call(other, "GET after") == "$-1\r\n");
  };
  SECTION("HRANDFIELD") { closes("HRANDFIELD h -4000000\r\nSET after 1\r\n"); }
  SECTION("HRANDFIELD WITHVALUES") { closes("HRANDFIELD h -4000000 WITHVALUES\r\nSET after 1\r\n"); }
  SECTION("SRANDMEMBER") { closes("SRANDMEMBER s -4000000\r\nSET after 1\r\n"); }
  SECTION("ZRANDMEMBER") { closes("ZRANDMEMBER z -4000000 WITHSCORES\r\nSET after 1\r\n"); }
  SECTION("LRANGE") { closes("LRANGE l 0 -1\r\nSET after 1\r\n"); }
  SECTION("many within a pipeline") { closes("LRANGE few 0 -1\r\nLRANGE few 0 -1\r\nSET after 1\r\n"); }
  SECTION("values that are referred to") { closes("GET string\r\nGET string\r\nSET after 1\r\n"); }
  SECTION("MGET") { closes("MGET string string string\r\nSET after 1\r\n"); }
  SECTION("a transaction, which goes on") {
    closes("MULTI\r\nLRANGE l 0 -1\r\nSET within 1\r\nHRANDFIELD h -100000\r\nEXEC\r\nSET after 1\r\n");
    CHECK(core.call(other, "GET within") == "$1\r\n1\r\n");
  }
  SECTION("a transaction that tells its own client of a change on the way") {
    core.call(other, "CONFIG SET notify-keyspace-events KEA client-output-buffer-limit \"normal 1000000 0 0 pubsub 1000000 0 0\"");
    core.call(greedy, "HELLO 3");
    core.call(greedy, "SUBSCRIBE __keyevent@0__:set");
    closes("MULTI\r\nLRANGE l 0 -1\r\nSET within 1\r\nEXEC\r\nSET after 1\r\n");
    CHECK(core.call(other, "GET within") == "$1\r\n1\r\n");
  }
  SECTION("a script, which goes on") {
    closes("EVAL \"local l = redis.call('LRANGE', 'l', 0, -1) redis.call('SET', 'within', 1) return l\" 0\r\nSET after 1\r\n");
    CHECK(core.call(other, "GET within") == "$1\r\n1\r\n");
  }
  SECTION("one that changes data ends first") {
    closes("LPOP l 200\r\nSET after 1\r\n");
    CHECK(core.call(other, "EXISTS l") == ":0\r\n");
  }
  SECTION("replies before it are sent") {
    greedy.send("SET before 1\r\nLRANGE l 0 -1\r\n");
    while (core.server.slice()) {
    }
    CHECK(greedy.output_size() == 5);
  }
  SECTION("not where the client wants none") {
    CHECK(most_output(core, greedy, id, "CLIENT REPLY OFF\r\nLRANGE l 0 -1\r\nSET unanswered 1\r\nCLIENT REPLY ON\r\n") <= kHeldAtMost);
    CHECK(greedy.take_output() == "+OK\r\n");
    CHECK(core.call(other, "EXISTS unanswered") == ":1\r\n");
  }
  SECTION("a reply within a script that does not leave it") {
    CHECK(core.call(greedy, "EVAL \"return #redis.call('LRANGE', 'l', 0, -1)\" 0") == ":200\r\n");
  }
  SECTION("a client that has waited") {
    CHECK(core.call(greedy, "BLMPOP 0 1 queue LEFT COUNT 1000").empty());
    std::string push = "RPUSH queue";
    for (int i = 0; i < 3; ++i) push += " " + std::string(20'000, 'q');
    core.call(other, "MULTI");
    for (int i = 0; i < 30; ++i) core.call(other, push);
    core.call(other, "EXEC");
    greedy.close_if_finished();
    CHECK_FALSE(greedy.open());
    CHECK(core.call(other, "EXISTS queue") == ":0\r\n");
  }
  SECTION("as much as the limit is sent") {
    greedy.send("LRANGE l 0 47\r\n");
    while (core.server.slice()) {
    }
    CHECK(greedy.take_output().size() > 48 * 20'000);
    CHECK(greedy.open());
  }
}

TEST_CASE("the limit of unread output follows what the client is, and the setting", "[limits]") {
  Core core({"--client-output-buffer-limit", "normal 20000 0 0", "pubsub 0 0 0"});
  test::CoreClient& other = core.connect();
  test::CoreClient& client = core.connect();
  const std::string large(60'000, 'x');
  core.call(client, "SUBSCRIBE one");
  CHECK(core.call(other, "PUBLISH one " + large) == ":1\r\n");
  CHECK(client.take_output().size() > large.size());
  CHECK(core.call(other, "CONFIG SET client-output-buffer-limit \"pubsub 20000 0 0\"") == "+OK\r\n");
  CHECK(core.call(other, "CONFIG SET client-output-buffer-limit \"pubsub 0 0 0\"") == "+OK\r\n");
  CHECK(core.call(other, "PUBLISH one " + large) == ":1\r\n");
  CHECK(client.take_output().size() > large.size());
  core.call(client, "UNSUBSCRIBE");
  core.call(other, "SET large " + large);
  core.call(client, "GET large");
  client.close_if_finished();
  CHECK_FALSE(client.open());
}

TEST_CASE("the soft limit of unread output gives its time", "[limits]") {
  Core core({"--client-output-buffer-limit", "normal 0 20000 1"});
  test::CoreClient& client = core.connect();
  client.send("PING " + std::string(60'000, 'x') + "\r\n");
  core.server.input.execute_received();
  core.advance_ms(900);
  CHECK(client.open());
  core.advance_ms(300);
  CHECK_FALSE(client.open());
}
