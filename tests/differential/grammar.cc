#include "grammar.h"

#include <fmt/format.h>

#include <cstdlib>
#include <sstream>
#include <string_view>

namespace quartet::test {

namespace {

// Agreement, weight, template. Agreement: = exact, ~ unordered, % pairs, ? kind, t seconds, T milliseconds;
// with ! the command is never mutated, because a mistake in it could make its answer a matter of chance.
// Commands whose effect is a matter of chance appear only where they take everything.
constexpr std::string_view templates[] = {
    // Strings
    "= 8 SET <s> <v> [ NX | XX ] [ GET ] [ EX <ttl> | PX <pttl> | EXAT <later> | PXAT <plater> | KEEPTTL ]",
    "= 4 SET <s> <v>", "= 4 GET <s>", "= 1 GETSET <s> <v>", "= 1 GETDEL <s>", "= 1 SETNX <s> <v>",
    "= 2 GETEX <s> [ EX <ttl> | PX <pttl> | EXAT <at> | PXAT <pat> | PERSIST ]",
    "= 1 SETEX <s> <ttl> <v>", "= 1 PSETEX <s> <pttl> <v>", "= 2 APPEND <s> <v>", "= 1 STRLEN <s>",
    "= 2 INCR <s>", "= 1 DECR <s>", "= 2 INCRBY <s> <i>", "= 1 DECRBY <s> <i>", "= 3 INCRBYFLOAT <s> <f>",
    "= 1 MGET { <k> }", "= 1 MSET { <s> <v> }", "= 1 MSETNX { <s> <v> }",
    "= 2 SETRANGE <s> <off> <v>", "= 2 GETRANGE <s> <idx> <idx>", "= 1 SUBSTR <s> <idx> <idx>",
    "= 1 LCS <s> <s> [ LEN | IDX | IDX MINMATCHLEN <n> WITHMATCHLEN | IDX WITHMATCHLEN ]",
    // Bitmaps
    "= 2 SETBIT <s> <off> <bit>", "= 1 GETBIT <s> <off>", "= 2 BITCOUNT <s> [ <idx> <idx> | <idx> <idx> ( BIT | BYTE ) ]",
    "= 2 BITPOS <s> <bit> [ <idx> | <idx> <idx> | <idx> <idx> ( BIT | BYTE ) ]",
    "= 1 BITOP ( AND | OR | XOR ) <s> { <s> }", "= 1 BITOP NOT <s> <s>",
    "= 2 BITFIELD <s> { ( GET <bits> <off> | SET <bits> <off> <field> | INCRBY <bits> <off> <field> | OVERFLOW ( WRAP | SAT | FAIL ) ) }",
    "= 1 BITFIELD_RO <s> { GET <bits> <off> }",
    // Lists
    "= 5 RPUSH <l> { <m> }", "= 4 LPUSH <l> { <m> }", "= 1 LPUSHX <l> { <m> }", "= 1 RPUSHX <l> <m>",
    "= 2 LPOP <l> [ <n> ]", "= 2 RPOP <l> [ <n> ]", "= 1 LLEN <l>", "= 2 LRANGE <l> <idx> <idx>", "= 1 LINDEX <l> <idx>",
    "= 1 LSET <l> <idx> <m>", "= 1 LINSERT <l> ( BEFORE | AFTER ) <m> <m>", "= 2 LREM <l> <idx> <m>", "= 1 LTRIM <l> <idx> <idx>",
    "= 2 LPOS <l> <m> [ RANK <idx> ] [ COUNT <n> ] [ MAXLEN <n> ]", "= 2 LMOVE <l> <l> <end> <end>", "= 1 RPOPLPUSH <l> <l>",
    "= 1 LMPOP ( 1 <l> | 2 <l> <l> | <n> <l> ) <end> [ COUNT <n> ]",
    // Commands that block, with timeouts that are refused, and what is refused before.
    "=! 1 BLPOP <l> <l> <badtime>", "=! 1 BRPOPLPUSH <l> <l> <badtime>", "=! 1 BLMOVE <l> <l> <end> <end> <badtime>",
    "=! 1 BLMPOP <badtime> ( 1 <l> | 2 <l> <l> | <n> <l> ) <end> [ COUNT <n> ]",
    "=! 1 BZPOPMAX <z> <badtime>", "=! 1 BZMPOP <badtime> ( 1 <z> | 2 <z> <z> | <n> <z> ) <minmax> [ COUNT <n> ]",
    // Sets
    "= 6 SADD <u> { <m> }", "= 2 SADD <u> { <i> }", "= 3 SREM <u> { <m> }", "= 1 SCARD <u>", "= 1 SISMEMBER <u> <m>",
    "= 1 SMISMEMBER <u> { <m> }", "~ 2 SMEMBERS <u>", "= 2 SMOVE <u> <u> <m>", "~ 1 SINTER { <u> }", "~ 1 SUNION { <u> }",
    "~ 1 SDIFF { <u> }", "= 1 SINTERSTORE <u> { <u> }", "= 1 SUNIONSTORE <u> { <u> }", "= 1 SDIFFSTORE <u> { <u> }",
    "= 1 SINTERCARD ( 1 <u> | 2 <u> <u> | <n> <u> ) [ LIMIT <n> ]", "~! 1 SPOP <u> 100000", "~! 1 SRANDMEMBER <u> 100000",
    // Hashes
    "= 6 HSET <h> { <m> <v> }", "= 1 HMSET <h> { <m> <v> }", "= 1 HSETNX <h> <m> <v>", "= 2 HGET <h> <m>", "= 1 HMGET <h> { <m> }",
    "% 2 HGETALL <h>", "~ 1 HKEYS <h>", "~ 1 HVALS <h>", "= 1 HLEN <h>", "= 1 HSTRLEN <h> <m>", "= 1 HEXISTS <h> <m>",
    "= 3 HDEL <h> { <m> }", "= 2 HINCRBY <h> <m> <i>", "= 2 HINCRBYFLOAT <h> <m> <f>", "~! 1 HRANDFIELD <h> 100000",
    // Sorted sets
    "= 6 ZADD <z> { <f> <m> }", "= 3 ZADD <z> [ NX | XX ] [ GT | LT ] [ CH ] [ INCR ] { <f> <m> }", "= 2 ZINCRBY <z> <f> <m>",
    "= 3 ZREM <z> { <m> }", "= 1 ZSCORE <z> <m>", "= 1 ZMSCORE <z> { <m> }", "= 1 ZCARD <z>", "= 1 ZCOUNT <z> <bound> <bound>",
    "= 1 ZRANK <z> <m>", "= 1 ZREVRANK <z> <m>",
    "= 2 ZRANGE <z> <idx> <idx> [ REV ] [ WITHSCORES ]",
    "= 2 ZRANGE <z> <bound> <bound> BYSCORE [ REV ] [ LIMIT <idx> <idx> ] [ WITHSCORES ]",
    "= 1 ZREVRANGE <z> <idx> <idx> [ WITHSCORES ]", "= 1 ZRANGEBYSCORE <z> <bound> <bound> [ WITHSCORES ] [ LIMIT <idx> <idx> ]",
    "= 1 ZREVRANGEBYSCORE <z> <bound> <bound> [ WITHSCORES ] [ LIMIT <idx> <idx> ]",
    "= 1 ZRANGESTORE <z> <z> ( <idx> <idx> | <bound> <bound> BYSCORE ) [ REV ] [ LIMIT <idx> <idx> ]",
    "= 1 ZPOPMIN <z> [ <n> ]", "= 1 ZPOPMAX <z> [ <n> ]", "= 1 ZMPOP ( 1 <z> | 2 <z> <z> | <n> <z> ) <minmax> [ COUNT <n> ]",
    "= 1 ZREMRANGEBYRANK <z> <idx> <idx>", "= 1 ZREMRANGEBYSCORE <z> <bound> <bound>",
    "= 1 ZUNION 2 ( <z> | <u> ) <z> [ WEIGHTS <f> <f> ] [ AGGREGATE ( SUM | MIN | MAX ) ] [ WITHSCORES ]",
    "= 1 ZINTER 2 ( <z> | <u> ) <z> [ WEIGHTS <f> <f> ] [ AGGREGATE ( SUM | MIN | MAX ) ] [ WITHSCORES ]",
    "= 1 ZDIFF 2 <z> ( <z> | <u> ) [ WITHSCORES ]",
    "= 1 ZUNIONSTORE <z> 2 <z> <z> [ WEIGHTS <f> <f> ] [ AGGREGATE ( SUM | MIN | MAX ) ]",
    "= 1 ZINTERSTORE <z> 2 <z> ( <z> | <u> ) [ WEIGHTS <f> <f> ] [ AGGREGATE ( SUM | MIN | MAX ) ]",
    "= 1 ZDIFFSTORE <z> 2 <z> <z>", "= 1 ZINTERCARD ( 1 <z> | 2 <z> <z> | <n> <z> ) [ LIMIT <n> ]", "~! 1 ZRANDMEMBER <z> 100000",
    // Sorted sets whose members have one score. The answers by lex are defined for those only, therefore they have
    // keys of their own, which no other command gives other scores.
    "=! 4 ZADD <x> { 0 <m> }", "= 1 ZREM <x> { <m> }", "= 1 ZLEXCOUNT <x> <lex> <lex>",
    "= 1 ZRANGE <x> <lex> <lex> BYLEX [ REV ] [ LIMIT <idx> <idx> ]", "= 1 ZRANGEBYLEX <x> <lex> <lex> [ LIMIT <idx> <idx> ]",
    "= 1 ZREVRANGEBYLEX <x> <lex> <lex> [ LIMIT <idx> <idx> ]", "= 1 ZREMRANGEBYLEX <x> <lex> <lex>",
    "=! 1 ZRANGESTORE <x> <x> <lex> <lex> BYLEX [ LIMIT <idx> <idx> ]", "=! 1 DEL <x>", "=! 1 COPY <x> <x> [ REPLACE ]",
    "= 1 ZRANK <x> <m>", "= 1 ZRANGE <x> <idx> <idx> [ REV ] [ WITHSCORES ]", "=! 1 ZPOPMIN <x> [ 2 ]",
    // Keys
    "= 4 DEL { <k> }", "= 1 UNLINK { <k> }", "= 1 EXISTS { <k> }", "= 1 TOUCH { <k> }", "= 2 TYPE <k>", "= 2 RENAME <k> <k>",
    "= 1 RENAMENX <k> <k>", "= 2 COPY <k> <k> [ DB <db> ] [ REPLACE ]", "= 1 MOVE <k> <db>", "= 3 OBJECT ENCODING <k>",
    "= 1 OBJECT FREQ <k>", "? 1 OBJECT IDLETIME <k>", "? 1 MEMORY USAGE <k> [ SAMPLES <n> ]", "~ 1 KEYS <glob>", "= 1 DBSIZE",
    "? 1 RANDOMKEY", "= 2 EXPIRE <k> <ttl> [ NX | XX ]", "= 1 PEXPIRE <k> <pttl> [ NX | XX ]",
    "= 1 EXPIREAT <k> <at> [ NX | XX | GT | LT ]", "= 1 PEXPIREAT <k> <pat> [ NX | XX | GT | LT ]", "= 1 PERSIST <k>",
    "t 1 TTL <k>", "T 1 PTTL <k>", "t 1 EXPIRETIME <k>", "T 1 PEXPIRETIME <k>",
    // Databases, connection
    "= 2 SELECT <db>", "= 1 ECHO <v>", "= 1 PING [ <v> ]", "= 1 CLIENT SETNAME <m>", "= 1 CLIENT GETNAME", "? 1 CLIENT ID",
    "= 1 PUBLISH <k> <v>", "=! 1 WAIT 0 0", "= 1 NOSUCH <v> <v>", "= 1 PUBSUB NUMSUB <k>",
    "= 1 COMMAND GETKEYS ( GET <k> | MSET <k> <v> <k> <v> )",
    // Never mutated: redis-server finds keys by a number such as 1.5, which the command itself would refuse.
    "=! 1 COMMAND GETKEYS ( ZUNIONSTORE <z> 2 <z> <z> | SORT <l> STORE <l> | EVAL x 1 <k> <v> )",
    // Scripts
    "= 1 EVAL return(redis.call('GET',KEYS[1])) 1 <k>", "= 1 EVAL return{KEYS[1],ARGV[1],#ARGV} 1 <k> { <v> }",
    "= 1 EVAL return(cjson.encode(redis.call('LRANGE',KEYS[1],0,-1))) 1 <l>",
    "= 1 EVAL return(redis.call('INCRBY',KEYS[1],ARGV[1])) 1 <s> <i>", "= 1 EVALSHA ffffffffffffffffffffffffffffffffffffffff 0",
    "= 1 EVAL return(tonumber(ARGV[1])) 0 <f>", "= 1 EVAL_RO return(redis.call('SET',KEYS[1],'x')) 1 <s>",
};

constexpr std::string_view sorting_templates[] = {
    "= 4 SORT ( <l> | <u> | <z> ) [ LIMIT <idx> <idx> ] [ ASC | DESC ] [ ALPHA ] [ STORE <l> ]",
    "=! 3 SORT <l> BY s* [ GET # GET s* GET h*->m1 ] [ LIMIT <idx> <idx> ] [ DESC ]", "~! 3 SORT <u> BY nosort",
    "= 3 SORT_RO <l> [ LIMIT <idx> <idx> ] [ ALPHA ]", "~! 3 SORT <z> BY nosort [ DESC ]",
};

// Rare, because each costs the state that the others have built.
constexpr std::string_view rare_templates[] = {"= 1 FLUSHDB", "= 1 FLUSHALL", "= 1 SWAPDB <db> <db>", "=! 1 BLPOP <l> <l> 0.002",
                                               "=! 1 BZPOPMIN <z> 0.002", "=! 1 BLMOVE <l> <l> <end> <end> 0.002",
                                               "=! 1 BRPOP <l> 0.002", "=! 1 BLMPOP 0.002 2 <l> <l> <end> COUNT 3",
                                               "=! 1 BZMPOP 0.002 2 <z> <z> <minmax>", "? 1 HELLO 2", "? 1 HELLO 3"};
constexpr unsigned rare_one_in = 1500;

constexpr std::string_view junk[] = {"abc", "", "-1", "0", "1.5", "9223372036854775807", "NX", "LIMIT", "COUNT", "\xff", "s0", "z1"};

Agreement agreement_of(char mark) {
  switch (mark) {
    case '=': return Agreement::exact;
    case '~': return Agreement::unordered;
    case '%': return Agreement::pairs;
    case '?': return Agreement::kind;
    case 't': return Agreement::near_seconds;
    case 'T': return Agreement::near_millis;
    default: std::abort();
  }
}

std::vector<Node> parse_sequence(std::istringstream& words, const std::string& close, bool& ended_by_bar);

Node parse_group(std::istringstream& words, Node::Type type, const std::string& close) {
  Node node{type, "", {}};
  for (bool more = true; more;) node.alternatives.push_back(parse_sequence(words, close, more));
  return node;
}

// Reads nodes up to `close` or a bar.
std::vector<Node> parse_sequence(std::istringstream& words, const std::string& close, bool& ended_by_bar) {
  std::vector<Node> nodes;
  ended_by_bar = false;
  for (std::string word; words >> word;) {
    if (word == close) return nodes;
    if (word == "|") {
      ended_by_bar = true;
      return nodes;
    }
    if (word == "[") nodes.push_back(parse_group(words, Node::Type::optional, "]"));
    else if (word == "(") nodes.push_back(parse_group(words, Node::Type::choice, ")"));
    else if (word == "{") nodes.push_back(parse_group(words, Node::Type::repeat, "}"));
    else if (word.front() == '<') nodes.push_back({Node::Type::value, word.substr(1, word.size() - 2), {}});
    else nodes.push_back({Node::Type::word, word, {}});
  }
  return nodes;
}

}  // namespace

Grammar::Grammar(bool sorting) {
  const auto add = [&](std::string_view text, std::size_t times) {
    std::istringstream words{std::string(text)};
    std::string mark;
    std::size_t weight = 0;
    words >> mark >> weight;
    bool bar = false;
    templates_.push_back({agreement_of(mark[0]), mark.size() == 1, parse_sequence(words, "", bar)});
    weighted_.insert(weighted_.end(), weight * times, templates_.size() - 1);
  };
  for (std::string_view text : rare_templates) add(text, 1);
  // The pool is filled up so that each rare one comes once in rare_one_in.
  std::size_t total = 0;
  for (std::string_view text : templates) total += static_cast<std::size_t>(text[text.find(' ') + 1] - '0');
  const std::size_t times = rare_one_in / total + 1;
  for (std::string_view text : templates) add(text, times);
  if (sorting)
    for (std::string_view text : sorting_templates) add(text, times);
}

Command Grammar::command(Random& random) const {
  const Template& chosen = templates_[random.pick(weighted_)];
  Command command{{}, chosen.agreement};
  expand(chosen.nodes, random, command.arguments);
  if (chosen.may_be_mutated && random.percent(3)) mutate(random, command.arguments);
  return command;
}

void Grammar::expand(const std::vector<Node>& nodes, Random& random, std::vector<std::string>& out) const {
  for (const Node& node : nodes) expand_one(node, random, out);
}

void Grammar::expand_one(const Node& node, Random& random, std::vector<std::string>& out) const {
  switch (node.type) {
    case Node::Type::word: out.push_back(node.text); break;
    case Node::Type::value: out.push_back(random_value(node.text, random)); break;
    case Node::Type::optional:
      if (random.percent(40)) expand(random.pick(node.alternatives), random, out);
      break;
    case Node::Type::choice: expand(random.pick(node.alternatives), random, out); break;
    case Node::Type::repeat: {
      // Now and then so many that small encodings are outgrown.
      const std::size_t times = random.percent(1) ? 20 + random.below(300) : 1 + random.below(3);
      for (std::size_t i = 0; i < times; ++i) expand(node.alternatives[0], random, out);
      break;
    }
  }
}

// One mistake: an argument too few, too many, twice, or replaced. The name stays, so that a harmless command
// does not become another one.
void Grammar::mutate(Random& random, std::vector<std::string>& arguments) const {
  if (arguments.size() < 2) {
    arguments.emplace_back(random.pick(junk));
    return;
  }
  const auto at = arguments.begin() + 1 + static_cast<std::ptrdiff_t>(random.below(arguments.size() - 1));
  switch (random.below(4)) {
    case 0: arguments.erase(at); break;
    case 1: arguments.insert(at, std::string(random.pick(junk))); break;
    case 2:
      // The keys of the lexical ranges stay, because others hold many scores.
      if (!is_lexical_key(*at)) *at = std::string(random.pick(junk));
      break;
    default: arguments.emplace_back(random.pick(junk)); break;
  }
}

}  // namespace quartet::test
