#include "workload.h"

#include <algorithm>
#include <iterator>

namespace quartet::test {

namespace {

// <s> <l> <h> <u> <z>: keys by the type that they mostly have; <k>: any of them; <v>: a value that is written once; <m>: one of
// few elements; <i> an integer, <f> a score, <n> a small count, <px> a time to live and <at> a moment near now, in ms; <db> a
// database that may take what this one holds.
constexpr std::string_view kCommands[] = {
    "SET <s> <v>", "SET <s> <v>", "SET <s> <v> PX <px>", "SET <s> <v> KEEPTTL", "SET <s> <v> NX GET", "SET <s> <v> PXAT <at>",
    "SETNX <s> <v>", "PSETEX <s> <px> <v>", "GETSET <s> <v>", "GETDEL <s>", "GETEX <s> PX <px>", "GETEX <s> PERSIST",
    "APPEND <s> <v>", "SETRANGE <s> <n> <v>", "MSET <s> <v> <s> <v>", "MSETNX <s> <v> <s> <v>", "SET <s> <i>", "INCR <s>",
    "INCRBY <s> <i>", "INCRBYFLOAT <s> <f>", "SETBIT <s> <n> 1", "BITOP NOT <s> <s>", "BITFIELD <s> INCRBY u8 0 <n>",
    "GET <s>", "MGET <s> <k>", "STRLEN <s>", "EXISTS <k>", "TTL <k>", "TYPE <k>", "DBSIZE", "RANDOMKEY", "SCAN 0",
    "RPUSH <l> <v> <m>", "LPUSH <l> <v>", "LPUSHX <l> <v>", "LPOP <l>", "RPOP <l> <n>", "LSET <l> 0 <v>", "LREM <l> 0 <m>",
    "LTRIM <l> 0 <n>", "LINSERT <l> BEFORE <m> <v>", "LMOVE <l> <l> LEFT RIGHT", "RPOPLPUSH <l> <l>", "LMPOP 2 <l> <l> RIGHT",
    "LRANGE <l> 0 -1",
    "SADD <u> <m> <m>", "SADD <u> <v>", "SREM <u> <m>", "SPOP <u>", "SPOP <u> <n>", "SMOVE <u> <u> <m>", "SUNIONSTORE <u> <u> <u>",
    "SINTERSTORE <u> <u> <u>", "SDIFFSTORE <u> <u> <u>", "SMEMBERS <u>", "SRANDMEMBER <u>",
    "HSET <h> <m> <v>", "HSET <h> <m> <v> <m> <v>", "HDEL <h> <m>", "HINCRBY <h> <m> <i>", "HINCRBYFLOAT <h> <m> <f>", "HSETNX <h> <m> <v>",
    "HGETALL <h>",
    "ZADD <z> <f> <m>", "ZADD <z> GT CH <f> <m> <f> <m>", "ZADD <z> INCR <f> <m>", "ZINCRBY <z> <f> <m>", "ZREM <z> <m>", "ZPOPMIN <z>", "ZPOPMAX <z> <n>",
    "ZMPOP 2 <z> <z> MIN COUNT <n>", "ZREMRANGEBYRANK <z> 0 0", "ZREMRANGEBYSCORE <z> 0 <f>", "ZUNIONSTORE <z> 2 <z> <u>",
    "ZINTERSTORE <z> 2 <z> <z> WEIGHTS 2 1", "ZDIFFSTORE <z> 2 <z> <z>", "ZRANGESTORE <z> <z> 0 <n>", "ZRANGE <z> 0 -1 WITHSCORES",
    "DEL <k>", "DEL <k> <k> <k>", "UNLINK <k>", "EXPIRE <k> <n>", "PEXPIRE <k> <px>", "PEXPIREAT <k> <at>", "PEXPIREAT <k> <at> GT",
    "PERSIST <k>", "RENAME <k> <k>", "RENAMENX <k> <k>", "COPY <k> <k> REPLACE", "TOUCH <k>", "SORT <l> ALPHA STORE <l>",
    "COPY <k> <k> DB <db> REPLACE", "COPY <k> <k> DB <db>", "MOVE <k> <db>",
};

constexpr std::string_view kRare[] = {"FLUSHDB", "FLUSHDB ASYNC", "SWAPDB <here> <db>", "SWAPDB <db> <db>", "FLUSHALL"};

constexpr std::string_view kBlocking[] = {"BLPOP <l> <l> <wait>", "BRPOP <l> <wait>", "BLMOVE <l> <l> LEFT LEFT <wait>",
                                          "BLMPOP <wait> 2 <l> <l> LEFT COUNT 2", "BZPOPMIN <z> <wait>", "BZMPOP <wait> 1 <z> MAX"};

/// Scripts with several writes; KEYS are a list, a string, a set and a hash, ARGV are values of the database.
constexpr std::string_view kScripts[] = {
    "redis.call('RPUSH', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[2]) return redis.call('LLEN', KEYS[1])",
    "for i = 1, 3 do redis.call('HSET', KEYS[4], ARGV[i], i) redis.call('SADD', KEYS[3], ARGV[i]) end return redis.call('SPOP', KEYS[3])",
    "redis.call('SET', KEYS[2], ARGV[1], 'PX', 50) redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], ARGV[2]) return 1",
    "redis.call('SADD', KEYS[3], ARGV[1]) redis.pcall('INCR', KEYS[1]) redis.call('SET', KEYS[2], ARGV[3]) error('half way')",
    "redis.call('DEL', KEYS[2]) return redis.call('INCR', KEYS[2])",
    "return redis.call('GET', KEYS[2])",
};

}  // namespace

std::string Workload::text(int database) {
  std::string text = database == secret_ ? std::string(kSecret) : "v" + std::to_string(database);
  text += '-' + std::to_string(++texts_) + '-';
  const uint64_t kind = random_.below(100);
  const size_t more = kind < 90 ? random_.below(20) : kind < 99 ? random_.below(300) : random_.below(large_ ? 60'000 : 5'000);
  return text.append(more, static_cast<char>('a' + random_.below(26)));
}

std::string Workload::value(std::string_view sort, int database, int64_t now_ms) {
  const std::string prefix = database == secret_ ? std::string(kSecret) + "-" : std::string();
  if (sort == "v") return text(database);
  if (sort == "m") return prefix + "m" + std::to_string(random_.below(large_ && random_.below(4) ? 3000 : 8));
  if (sort == "i") return std::to_string(static_cast<int64_t>(random_.below(200)) - 100);
  if (sort == "f") return std::to_string(static_cast<int64_t>(random_.below(40)) - 10) + ".25";
  if (sort == "n") return std::to_string(1 + random_.below(4));
  if (sort == "px") return std::to_string(1 + random_.below(random_.below(2) ? 100 : 4000));
  if (sort == "at") return std::to_string(now_ms - 200 + static_cast<int64_t>(random_.below(2000)));
  if (sort == "wait") return random_.below(4) ? "0." + std::to_string(1 + random_.below(9)) : "0";
  if (sort == "here") return std::to_string(database);
  if (sort == "db") {
    // What is in the secret database stays there.
    int other = static_cast<int>(random_.below(static_cast<uint64_t>(databases_)));
    return std::to_string(database == secret_ ? secret_ : other == secret_ ? database : other);
  }
  static constexpr std::string_view kTypes = "slhuz";
  const char type = sort == "k" || random_.below(40) == 0 ? kTypes[random_.below(kTypes.size())] : sort[0];
  return prefix + std::string(1, type) + std::to_string(random_.below(5));
}

Workload::Command Workload::fill(std::string_view words, int database, int64_t now_ms) {
  Command command;
  while (!words.empty()) {
    const size_t end = std::min(words.find(' '), words.size());
    const std::string_view word = words.substr(0, end);
    command.push_back(word.front() == '<' ? value(word.substr(1, word.size() - 2), database, now_ms) : std::string(word));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return command;
}

Workload::Command Workload::command(int database, int64_t now_ms) {
  const uint64_t choice = random_.below(1000);
  if (choice < 12) return fill(kRare[random_.below(std::size(kRare) - (choice < 4 ? 0 : 1))], database, now_ms);
  if (choice < 60) {
    Command command = {"EVAL", std::string(kScripts[random_.below(std::size(kScripts))]), "4"};
    for (const std::string_view sort : {"l", "s", "u", "h", "v", "v", "v"}) command.push_back(value(sort, database, now_ms));
    return command;
  }
  if (large_ && choice < 100) {
    Command command = {"SADD", value("u", database, now_ms)};
    for (uint64_t i = random_.below(2000); i > 0; --i) command.push_back(value("m", database, now_ms) + "-and-so-on-until-it-is-long-enough");
    command.push_back(value("m", database, now_ms));
    return command;
  }
  return fill(kCommands[random_.below(std::size(kCommands))], database, now_ms);
}

Workload::Command Workload::blocking(int database, int64_t now_ms) {
  return fill(kBlocking[random_.below(std::size(kBlocking))], database, now_ms);
}

std::vector<Workload::Command> Workload::transaction(int database, int64_t now_ms) {
  std::vector<Command> commands = {{"MULTI"}};
  int selected = database;
  for (uint64_t i = 1 + random_.below(5); i > 0; --i) {
    if (random_.below(6) == 0) {
      selected = static_cast<int>(random_.below(static_cast<uint64_t>(databases_)));
      commands.push_back({"SELECT", std::to_string(selected)});
    }
    commands.push_back(random_.below(8) ? command(selected, now_ms) : blocking(selected, now_ms));
  }
  commands.push_back({random_.below(20) ? "EXEC" : "DISCARD"});
  return commands;
}

Workload::Command Workload::plain_write(int database, int64_t now_ms) {
  return {"SET", value("s", database, now_ms), text(database)};
}

}  // namespace quartet::test
