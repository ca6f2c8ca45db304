#include "requests.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "reply.h"

namespace quartet::test {

namespace {

// <s> <l> <h> <u> <z>: keys by the type that they mostly have; <k>: any of them; <e>: an element that is written once;
// <m>: one of few; <i> an integer, <n> a small count; <px> a time to live in ms, <wait> in seconds; <c> a channel; <id>
// a client's; <db> a database.
constexpr std::string_view kCommands[] = {
    "SET <s> <e>", "SET <s> <e> PX <px>", "SET <s> <e> KEEPTTL", "SET <s> <e> NX GET", "GET <s>", "GETDEL <s>",
    "GETEX <s> PX <px>", "APPEND <s> <m>", "STRLEN <s>", "MSET <s> <e> <s> <e>", "MGET <s> <s> <k>", "INCRBY <s> <i>",
    "SETRANGE <s> <n> <m>", "PTTL <s>", "PTTL <k>", "PEXPIRE <k> <px>", "PERSIST <k>", "EXISTS <k> <k>", "TYPE <k>",
    "DEL <k>", "DEL <k> <k>", "UNLINK <k>", "RENAME <k> <k>", "COPY <k> <k> REPLACE", "COPY <k> <k> DB <db> REPLACE",
    "MOVE <k> <db>", "TIME", "PING", "ECHO <e>", "SELECT <db>", "SELECT <db>", "RPUSH <l> <e>", "RPUSH <l> <e>",
    "LPUSH <l> <e>", "RPUSH <l> <e> <e> <e>", "LPUSHX <l> <e>", "LPOP <l>", "RPOP <l> <n>", "LLEN <l>",
    "LRANGE <l> 0 -1", "LINDEX <l> 0", "LREM <l> 0 <m>", "LTRIM <l> 0 5", "LMOVE <l> <l> LEFT RIGHT",
    "LMPOP 2 <l> <l> RIGHT", "SADD <u> <m> <m>", "SADD <u> <e>", "SREM <u> <m>", "SMEMBERS <u>", "SCARD <u>",
    "SISMEMBER <u> <m>", "SUNION <u> <u>", "SINTER <u> <u>", "SUNIONSTORE <u> <u> <u>", "SDIFFSTORE <u> <u> <u>",
    "SMOVE <u> <u> <m>", "HSET <h> <m> <e>", "HSET <h> <m> <e> <m> <e>", "HGET <h> <m>", "HDEL <h> <m>", "HGETALL <h>",
    "HKEYS <h>", "HINCRBY <h> <m> <i>", "ZADD <z> <i> <m>", "ZADD <z> <i> <e>", "ZREM <z> <m>",
    "ZRANGE <z> 0 -1 WITHSCORES", "ZPOPMIN <z>", "ZSCORE <z> <m>", "ZRANK <z> <m>", "ZUNIONSTORE <z> 2 <z> <z>",
    "ZRANGESTORE <z> <z> 0 5", "SORT <l> ALPHA", "SORT <u> ALPHA BY nothing* GET <s>*", "SORT <l> ALPHA STORE <l>",
    "SORT <l> BY <s>* STORE <l>", "KEYS <s>", "KEYS <l>", "GET <s> <s>", "NOSUCH <e>", "SET <s>", "LPUSH <s> <e>",
    "CLIENT ID", "CLIENT GETNAME", "CLIENT SETNAME <m>", "WATCH <k>", "WATCH <k> <k>", "UNWATCH", "OBJECT ENCODING <k>",
    "ACL WHOAMI", "SCRIPT KILL",
};

constexpr std::string_view kBlocking[] = {
    "BLPOP <l> <wait>", "BLPOP <l> <wait>", "BLPOP <l> <l> <wait>", "BRPOP <l> <wait>", "BRPOP <l> <l> <l> <wait>",
    "BLMOVE <l> <l> LEFT RIGHT <wait>", "BRPOPLPUSH <l> <l> <wait>", "BLMPOP <wait> 1 <l> LEFT",
    "BLMPOP <wait> 2 <l> <l> LEFT COUNT 2", "BZPOPMIN <z> <wait>", "BZPOPMAX <z> <z> <wait>", "BZMPOP <wait> 1 <z> MAX",
};

constexpr std::string_view kPubSub[] = {
    "SUBSCRIBE <c>", "SUBSCRIBE <c> <c>", "PSUBSCRIBE c*", "PSUBSCRIBE __key*__:*", "UNSUBSCRIBE <c>", "UNSUBSCRIBE",
    "PUNSUBSCRIBE", "PUBLISH <c> <e>", "PUBLISH <c> <e>", "PUBLISH <c> <e>", "SSUBSCRIBE <c>", "SPUBLISH <c> <e>",
    "SUNSUBSCRIBE", "PUBSUB NUMSUB <c>", "PUBSUB CHANNELS",
};

constexpr std::string_view kClients[] = {
    "CLIENT PAUSE <px> WRITE", "CLIENT PAUSE <px> ALL", "CLIENT UNPAUSE", "CLIENT KILL ID <id>",
    "CLIENT KILL ID <id> SKIPME no", "CLIENT KILL TYPE pubsub", "CLIENT KILL USER worker", "CLIENT UNBLOCK <id>",
    "CLIENT UNBLOCK <id> ERROR", "CLIENT REPLY SKIP", "CLIENT REPLY OFF", "CLIENT REPLY ON", "CLIENT REPLY ON",
    "CLIENT REPLY ON", "RESET", "RESET", "QUIT", "MULTI", "DISCARD", "EXEC", "HELLO 2", "HELLO 3",
    "HELLO 3 SETNAME <m>", "MONITOR", "AUTH worker right", "AUTH worker wrong", "AUTH worker wrong",
    "AUTH limited right", "HELLO 3 AUTH worker right", "HELLO 2 AUTH limited wrong",
    "ACL SETUSER worker on >right ~* &* +@all", "ACL SETUSER worker -set", "ACL SETUSER worker +set",
    "ACL SETUSER worker resetchannels", "ACL SETUSER worker resetkeys ~s* ~l0", "ACL DELUSER limited",
    "ACL SETUSER limited on >right ~l* &c0 +@all -@dangerous -lrange +client|id", "BGSAVE", "BGREWRITEAOF", "FLUSHDB",
    "FLUSHDB ASYNC", "FLUSHALL", "SWAPDB <db> <db>",
};

/// KEYS are two lists, a string and a set, ARGV elements and a channel.
constexpr std::string_view kScripts[] = {
    "redis.call('RPUSH', KEYS[1], ARGV[1]) redis.call('RPUSH', KEYS[2], ARGV[2]) return redis.call('LLEN', KEYS[1])",
    "redis.call('SET', KEYS[3], ARGV[1], 'PX', 50) redis.call('DEL', KEYS[1]) "
    "redis.call('LPUSH', KEYS[1], ARGV[2], ARGV[3]) return redis.call('TIME')",
    "redis.call('SADD', KEYS[4], ARGV[1]) redis.call('PUBLISH', ARGV[4], ARGV[2]) "
    "return redis.call('SMEMBERS', KEYS[4])",
    "redis.call('RPUSH', KEYS[2], ARGV[1]) error('half way')",
    "return {redis.call('GET', KEYS[3]), redis.pcall('BLPOP', KEYS[1], 0)}",
    "redis.setresp(3) return redis.call('HGETALL', 'h0')",
};

/// They look at the clock some times. The second one cannot be killed; nobody hears of what it changes.
constexpr std::string_view kBusyScripts[] = {
    "for i = 1, 350000 do end return redis.call('GET', KEYS[3])",
    "redis.call('SELECT', 2) redis.call('INCR', 'counter') for i = 1, 250000 do end "
    "return redis.call('INCR', 'counter')",
};

bool fits_a_line(const std::vector<std::string>& arguments) {
  return std::all_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return !argument.empty() && argument.find_first_of(" \r\n\"'") == std::string::npos && argument.size() < 50;
  });
}

}  // namespace

std::string Requests::value(std::string_view sort) {
  if (sort == "e") {
    std::string element = "e" + std::to_string(++elements_);
    const uint64_t kind = below(200);
    if (kind > 185) element.append(kind < 198 ? 600 : 20'000, '.');
    return element;
  }
  if (sort == "m") return "m" + std::to_string(below(12));
  if (sort == "i") return std::to_string(static_cast<int64_t>(below(40)) - 20);
  if (sort == "n") return std::to_string(1 + below(3));
  if (sort == "px") return std::to_string(1 + below(below(2) ? 40 : 1500));
  if (sort == "wait") return below(3) ? "0" : "0." + std::to_string(1 + below(9));
  if (sort == "c") return "c" + std::to_string(below(3));
  if (sort == "id") return std::to_string(1 + clients_ - std::min(clients_, below(14)));
  if (sort == "db") return std::to_string(below(3));
  static constexpr std::string_view kTypes = "slhuz";
  const char type = sort == "k" || below(50) == 0 ? kTypes[below(kTypes.size())] : sort[0];
  return std::string(1, type) + std::to_string(below(type == 'l' ? 3 : 4));
}

Request Requests::fill(std::string_view words, Request::Kind kind) {
  Request request{{}, {}, kind};
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    // In the middle of a word there is at most one place, at its beginning.
    if (word.front() == '<') {
      const size_t close = word.find('>');
      request.arguments.push_back(value(word.substr(1, close - 1)).append(word.substr(close + 1)));
    } else {
      request.arguments.emplace_back(word);
    }
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  if (below(40) == 0) request.bytes = below(2) ? "\r\n" : "*0\r\n";
  if (below(10) == 0 && fits_a_line(request.arguments)) {
    request.bytes += fmt::format("{}\r\n", fmt::join(request.arguments, " "));
  } else {
    request.bytes += encode_command(request.arguments);
  }
  return request;
}

Request Requests::script(bool busy) {
  const std::string_view text =
      busy ? kBusyScripts[below(std::size(kBusyScripts))] : kScripts[below(std::size(kScripts))];
  Request request{{}, {"EVAL", std::string(text), "4"}, busy ? Request::Kind::Busy : Request::Kind::Plain};
  for (const std::string_view sort : {"l", "l", "s", "u", "e", "e", "e", "c"}) request.arguments.push_back(value(sort));
  request.bytes = encode_command(request.arguments);
  return request;
}

/// A script that is called busy, in a transaction or not. Others are served meanwhile, and would hear of what a
/// transaction has changed before it has ended: so it is not in one with what others hear of.
std::vector<Request> Requests::busy() {
  std::vector<Request> requests;
  const bool multi = below(4) == 0;
  requests.push_back(fill("DISCARD", Request::Kind::Plain));
  if (multi) requests.push_back(fill("MULTI", Request::Kind::Plain));
  if (multi && below(2)) requests.push_back(fill("LRANGE <l> 0 -1", Request::Kind::Plain));
  requests.push_back(script(true));
  if (multi) requests.push_back(fill("EXEC", Request::Kind::Plain));
  return requests;
}

/// What makes entries that are read and written in slices, and some that a snapshot saves in slices.
Request Requests::large() {
  const bool set = below(2) == 0;
  Request request{{}, {set ? "SADD" : "RPUSH", set ? value("u") : value("l")}, Request::Kind::Plain};
  const uint64_t most = below(25) ? 60 : 3000;
  const std::string rest(most > 60 ? 60 : 0, '-');
  for (uint64_t i = 5 + below(most); i > 0; --i) request.arguments.push_back("x" + std::to_string(++elements_) + rest);
  request.bytes = encode_command(request.arguments);
  return request;
}

std::vector<Request> Requests::transaction() {
  std::vector<Request> requests;
  if (below(3) == 0) requests.push_back(fill("WATCH <k>", Request::Kind::Plain));
  requests.push_back(fill("MULTI", Request::Kind::Plain));
  for (uint64_t i = 1 + below(4); i > 0; --i) {
    const uint64_t choice = below(20);
    if (choice == 0) {
      requests.push_back(fill(kBlocking[below(std::size(kBlocking))], Request::Kind::Blocking));
    } else if (choice == 1) {
      requests.push_back(fill(kPubSub[below(std::size(kPubSub))], Request::Kind::Plain));
    } else if (choice == 2) {
      requests.push_back(script(false));
    } else {
      requests.push_back(fill(kCommands[below(std::size(kCommands))], Request::Kind::Plain));
    }
  }
  requests.push_back(fill(below(20) ? "EXEC" : "DISCARD", Request::Kind::Plain));
  return requests;
}

Request Requests::malformed(bool memcached) {
  static constexpr std::string_view kBytes[] = {"*x\r\n", "*1\r\n+PING\r\n", "*1\r\n$-5\r\n",
                                                "*2147483648\r\n", "*1\r\n$9999999999999\r\n", "SET \"a\r\n"};
  // This one is a request, after which nothing is read any more.
  if (!memcached && below(5) == 0) return {"POST / HTTP/1.1\r\n", {}, Request::Kind::Plain};
  std::string bytes(memcached ? std::string(3000, 'g') : std::string(kBytes[below(std::size(kBytes))]));
  return {std::move(bytes), {}, Request::Kind::Malformed};
}

Request Requests::memcached() {
  const auto key = [&] { return "m" + std::to_string(below(5)); };
  const auto data = [&] { return fmt::format("v{}{}", ++elements_, std::string(below(30) ? 0 : 3000, '.')); };
  const std::string reply = below(6) ? "" : " noreply";
  const std::string text = data();
  static constexpr std::string_view kStores[] = {"set", "set", "add", "replace", "append", "prepend"};
  const auto line = [&]() -> std::string {
    switch (below(16)) {
      case 0:
      case 1:
      case 2:
        return fmt::format("{} {} {} {} {}{}\r\n{}\r\n", kStores[below(std::size(kStores))], key(), below(9),
                           below(3) ? 0 : 1 + below(2), text.size(), reply, text);
      case 3:
      case 4: return fmt::format("get {}\r\n", key());
      case 5: return fmt::format("gets {} {}\r\n", key(), key());
      case 6: return fmt::format("set n {} 0 2{}\r\n10\r\n", below(3), reply);
      case 7: return fmt::format("incr n {}{}\r\n", below(9), reply);
      case 8: return fmt::format("delete {}{}\r\n", key(), reply);
      case 9: return fmt::format("touch {} {}{}\r\n", key(), below(3), reply);
      case 10: return fmt::format("mg {} v t{}\r\n", key(), below(3) ? "" : " q");
      case 11: return fmt::format("ms {} {} c{}\r\n{}\r\n", key(), text.size(), below(3) ? "" : " q", text);
      case 12: return "mn\r\n";
      case 13: return fmt::format("md {}{}\r\n", key(), below(3) ? "" : " q");
      case 14: return below(2) ? "nonsense\r\n" : "set\r\n";
      default: return below(10) ? fmt::format("gat 2 {}\r\n", key()) : below(2) ? "flush_all\r\n" : "quit\r\n";
    }
  };
  return {line(), {}, Request::Kind::Plain};
}

std::vector<Request> Requests::log_in() {
  return {fill(below(3) ? "AUTH worker right" : "HELLO 3 AUTH worker right", Request::Kind::Plain)};
}

std::vector<Request> Requests::next(bool is_memcached, uint64_t clients) {
  clients_ = clients;
  const uint64_t choice = below(1000);
  if (choice < 4) return {malformed(is_memcached)};
  if (is_memcached) return {memcached()};
  if (choice < 130) return {fill(kBlocking[below(std::size(kBlocking))], Request::Kind::Blocking)};
  if (choice < 180) return transaction();
  if (choice < 230) return {fill(kPubSub[below(std::size(kPubSub))], Request::Kind::Plain)};
  if (choice < 300) {
    const std::string_view words = kClients[below(std::size(kClients))];
    const bool local = words.starts_with("CLIENT UNBLOCK") || words.starts_with("BG");
    // Within a transaction it would silence a part of EXEC's reply.
    if (words.starts_with("CLIENT REPLY"))
      return {fill("DISCARD", Request::Kind::Plain), fill(words, Request::Kind::Plain)};
    return {fill(words, local ? Request::Kind::Local : Request::Kind::Plain)};
  }
  if (choice < 340) return below(12) ? std::vector{script(false)} : busy();
  if (choice < 380) return {large()};
  return {fill(kCommands[below(std::size(kCommands))], Request::Kind::Plain)};
}

}  // namespace quartet::test
