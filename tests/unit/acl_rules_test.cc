#include "server/acl_rules.h"

#include <catch2/catch.hpp>

#include <algorithm>

#include "base/limits.h"
#include "base/random.h"
#include "server/absent_commands.h"
#include "server/commands/families.h"
#include "server/config_target.h"

using namespace quartet;
using namespace quartet::server;

namespace {

/// The commands of the server, and databases of which two have names.
struct Terms {
  Terms() : commands(all_families()), config(default_config()) {
    make_databases(config);
    config.database[0].name = "broker";
    config.database[1].name = "cache";
  }
  AclTerms terms() const { return {commands, config}; }

  CommandTable commands;
  Config config;
};

const Terms& shared() {
  static const Terms kTerms;
  return kTerms;
}

/// Applies rules that are separated by spaces; what is wrong with the first that is, or "".
std::string apply_rule(User& user, std::string_view rules) {
  std::vector<std::string> joined;
  std::string_view unmatched;
  if (!join_selectors(split_words(rules), joined, unmatched)) return "unmatched " + std::string(unmatched);
  for (const std::string& rule : joined)
    if (const Problem problem = apply_rule(user, rule, shared().terms()); !problem.empty()) return problem;
  user.settle();
  return {};
}

User user_with(std::string_view rules) {
  User user = make_user("alice", shared().terms());
  REQUIRE(apply_rule(user, rules) == "");
  return user;
}

std::string line_of(std::string_view rules) { return describe(user_with(rules), shared().config); }
std::string commands_of(std::string_view rules) { return describe_commands(user_with(rules).root); }

/// Why a request in a database is refused: the reason's first letter, or "".
std::string refusal(const User& user, const std::vector<std::string_view>& args, int database = 0) {
  const CommandEntry* command = shared().commands.find(args[0]);
  REQUIRE(command);
  if (!command->subcommands.empty()) command = CommandTable::find_subcommand(*command, args[1]);
  REQUIRE(command);
  std::vector<KeyUse> room;
  const auto denial = user.check(*command, args, database, shared().config, room);
  return denial ? std::string(1, "CDKH"[static_cast<size_t>(denial->reason)]) : "";
}

}  // namespace

TEST_CASE("rules for commands are told without those that are void", "[acl]") {
  CHECK(commands_of("") == "-@all");
  CHECK(commands_of("+get +get -@string +@read") == "-@all +@read");
  CHECK(commands_of("+@all -get +get") == "+@all");
  CHECK(commands_of("+@all -@dangerous +keys") == "+@all -@dangerous +keys");
  CHECK(commands_of("+@admin +@dangerous") == "-@all +@dangerous");
  CHECK(commands_of("+config|get +config") == "-@all +config");
  CHECK(commands_of("+config -config|set") == "-@all +config -config|set");
  CHECK(commands_of("+select|0 +SELECT|1") == "-@all +select|0 +select|1");
  CHECK(commands_of("+select|0 +select") == "-@all +select");
  CHECK(commands_of("+select|0 -@connection") == "-@all");
  CHECK(commands_of("+@all +select|0") == "+@all");
  CHECK(commands_of("+memcached|GET -memcached|get") == "-@all");
  CHECK(commands_of("+@all -memcached|mg") == "+@all -memcached|mg");
  // What the second rule has an effect on goes with the first one.
  CHECK(commands_of("+client -@dangerous -client") == "-@all");
}

TEST_CASE("a line makes the same user again", "[acl]") {
  for (const char* rules :
       {"on nopass", "off >a >b ~x %R~y %W~z &c", "allkeys allchannels allcommands", "+@all -@dangerous +info (~a +get) (&b -@all +publish)",
        "db=cache,3 +@read", "resetdbs", "+select|0 +select|a*b", "skip-sanitize-payload", "~ &"}) {
    INFO(rules);
    const std::string line = line_of(rules);
    REQUIRE(line.starts_with("user alice "));
    CHECK(line_of(line.substr(11)) == line);
  }
}

TEST_CASE("random rules: what is told permits what was permitted", "[acl]") {
  const uint64_t seed = entropy();
  INFO("seed " << seed);
  Random random(seed);
  std::vector<std::string> names;
  shared().commands.for_each_acl_name([&](const AclName& command) { names.emplace_back(command.name); });
  for (const std::string_view category : category_names()) names.push_back("@" + std::string(category));
  names.push_back("@all");
  for (int turn = 0; turn < 300; ++turn) {
    User user = make_user("alice", shared().terms());
    // A model without any thought of what is told: the last rule about a command counts.
    std::vector<bool> permitted(shared().commands.id_count());
    for (size_t left = random.below(30); left > 0; --left) {
      const std::string& name = names[random.below(names.size())];
      const bool permits = random.below(2) == 0;
      REQUIRE(apply_rule(user, (permits ? "+" : "-") + name) == "");
      const auto set = [&](const CommandEntry& command) {
        const bool meant = name == "@all" || (name[0] == '@' ? (command.categories & category_bit(std::string_view(name).substr(1))) != 0
                                                             : command.full_name == name || command.full_name.starts_with(name + "|"));
        if (meant) permitted[command.id] = permits;
      };
      shared().commands.for_each(set);
      shared().commands.for_each_memcached(set);
    }
    const User again = user_with(describe_commands(user.root));
    INFO(describe_commands(user.root));
    CHECK(describe_commands(again.root) == describe_commands(user.root));
    const auto same = [&](const CommandEntry& command) {
      if (user.root.commands.contains(command.id) != permitted[command.id]) FAIL(command.full_name);
      if (again.root.commands.contains(command.id) != permitted[command.id]) FAIL("again: " << command.full_name);
    };
    shared().commands.for_each(same);
    shared().commands.for_each_memcached(same);
  }
}

TEST_CASE("nobody is unrestricted but who may do everything", "[acl]") {
  CHECK(user_with("+@all ~* &*").unrestricted());
  CHECK(user_with("(+@all ~* &*)").unrestricted());
  CHECK(user_with("+@all -get +get allkeys allchannels").unrestricted());
  for (const char* rules : {"", "+@all ~*", "+@all &*", "~* &*", "+@all ~* &* -get", "+@all ~* &* db=broker", "+@all ~* &* resetdbs",
                            "+@all %R~* %W~* &*", "+@all ~* (&* ~*)", "+@read +@write ~* &*"}) {
    INFO(rules);
    CHECK_FALSE(user_with(rules).unrestricted());
  }
}

TEST_CASE("requests are permitted by one selector as a whole", "[acl]") {
  const User user = user_with("+set ~a (+get ~b) (+publish &c)");
  CHECK(refusal(user, {"set", "a", "v"}) == "");
  CHECK(refusal(user, {"get", "b"}) == "");
  CHECK(refusal(user, {"set", "b", "v"}) == "K");
  CHECK(refusal(user, {"get", "a"}) == "K");
  CHECK(refusal(user, {"publish", "c", "m"}) == "");
  CHECK(refusal(user, {"publish", "d", "m"}) == "H");
  CHECK(refusal(user, {"del", "a"}) == "C");
  CHECK(refusal(user, {"auth", "x"}) == "");
}

TEST_CASE("a user is bound to databases", "[acl]") {
  const User user = user_with("+@all ~* &* db=CACHE,3");
  CHECK(describe_databases(user.root, shared().config) == "db=cache,3");
  CHECK((user.root.may_reach(1) && user.root.may_reach(3) && !user.root.may_reach(0) && !user.root.may_reach(15)));
  CHECK(refusal(user, {"get", "k"}, 0) == "D");
  CHECK(refusal(user, {"get", "k"}, 1) == "");
  CHECK(refusal(user, {"dbsize"}, 0) == "D");
  CHECK(refusal(user, {"ping"}, 0) == "");
  CHECK(refusal(user, {"eval", "return 1", "0"}, 0) == "");
  CHECK(refusal(user, {"eval", "return 1", "1", "k"}, 0) == "D");
  CHECK(refusal(user, {"select", "cache"}, 0) == "");
  CHECK(refusal(user, {"select", "broker"}, 1) == "D");
  CHECK(refusal(user, {"select", "99"}, 0) == "");  // the command itself refuses it
  CHECK(refusal(user, {"move", "k", "0"}, 1) == "D");
  CHECK(refusal(user, {"copy", "a", "b", "DB", "3", "db", "broker"}, 1) == "D");
  CHECK(refusal(user, {"swapdb", "1", "2"}, 1) == "D");
  CHECK(refusal(user, {"swapdb", "1", "3"}, 1) == "");
  CHECK(refusal(user, {"flushall"}, 1) == "D");
  CHECK(refusal(user, {"flushdb"}, 1) == "");
  CHECK(refusal(user, {"config", "set", "db.cache.appendfsync", "no", "DB.0.appendfsync", "no"}, 1) == "D");
  CHECK(refusal(user, {"config", "set", "db.cache.appendfsync", "no"}, 1) == "");

  const User nowhere = user_with("+@all ~* &* resetdbs");
  CHECK(describe_databases(nowhere.root, shared().config) == "");
  CHECK(describe(nowhere, shared().config) == "user alice off ~* &* resetdbs +@all");
  CHECK(refusal(nowhere, {"get", "k"}, 0) == "D");
  CHECK(refusal(nowhere, {"subscribe", "__keyspace@15__:k"}, 0) == "H");
  CHECK(describe_databases(user_with("db=1 alldbs").root, shared().config) == "alldbs");
  CHECK(describe_databases(user_with("db=1,2 db=5").root, shared().config) == "db=5");
  User wrong = make_user("alice", shared().terms());
  for (const char* rule : {"db=", "db=,", "db=1,", "db=1,,2"}) CHECK(apply_rule(wrong, rule) == "Syntax error");
  for (const char* rule : {"db=16", "db=-1"}) CHECK(apply_rule(wrong, rule) == "The provided database ID is out of range");
  for (const char* rule : {"db=nosuch", "db=01", "db=99999999999999999999"}) CHECK(apply_rule(wrong, rule) == "Unknown database in ACL");
  CHECK(wrong.root.all_databases);
}

TEST_CASE("each selector has databases of its own", "[acl]") {
  const User user = user_with("+@all ~* &* db=broker (db=1 ~r* +get +move) (resetdbs ~* +set)");
  CHECK(refusal(user, {"set", "k", "v"}, 0) == "");
  CHECK(refusal(user, {"get", "r"}, 1) == "");
  CHECK(refusal(user, {"set", "r", "v"}, 1) == "D");
  CHECK(refusal(user, {"get", "k"}, 1) == "K");
  CHECK(refusal(user, {"get", "r"}, 2) == "D");
  // No selector permits both ends.
  CHECK(refusal(user, {"move", "r", "1"}, 0) == "D");
  CHECK(refusal(user, {"move", "r", "0"}, 1) == "D");
  CHECK(user_with("db=0 (+@all ~* &*)").unrestricted());
  CHECK(line_of("db=0 (db=cache,3 +get)") == "user alice off resetchannels db=broker -@all (resetchannels db=cache,3 -@all +get)");
  const CommandEntry& info = *shared().commands.find("info");
  CHECK((user.may_use(info, 0) && !user.may_use(info, 1)));
}

TEST_CASE("of several selectors, the one that came farthest says why", "[acl]") {
  const User user = user_with("~a (+mget ~a ~b) (+mget ~a ~c) (+get ~x)");
  const auto denied_argument = [&](const std::vector<std::string_view>& args) {
    std::vector<KeyUse> room;
    const auto denial = user.check(*shared().commands.find(args[0]), args, 0, shared().config, room);
    REQUIRE(denial);
    return args[denial->argument];
  };
  CHECK(denied_argument({"mget", "a", "b", "c"}) == "c");
  CHECK(denied_argument({"mget", "a", "c", "b"}) == "b");
  CHECK(denied_argument({"mget", "b", "c", "a"}) == "c");
  CHECK(denied_argument({"mget", "z", "a"}) == "z");
}

TEST_CASE("the names of Redis 7.0 that are not commands here are none of the server's", "[acl]") {
  // Whoever adds a command deletes its name from the table in server/absent_commands.cc.
  std::string_view last;
  for (const AbsentCommand& absent : absent_commands()) {
    INFO(absent.name);
    CHECK(last < absent.name);
    last = absent.name;
    CHECK_FALSE(shared().commands.find_full(absent.name));
    CHECK(shared().commands.find_acl_name(absent.name)->name == absent.name);
  }
}

TEST_CASE("rules can name what only Redis has", "[acl]") {
  CHECK(commands_of("-cluster +xadd +XGROUP|help -@stream +migrate") == "-@all +migrate");
  CHECK(commands_of("+@all -cluster -xgroup|help +@geo") == "+@all -cluster -xgroup|help");
  CHECK(commands_of("+cluster -cluster|info") == "-@all +cluster -cluster|info");
  CHECK(commands_of("+cluster|info +cluster") == "-@all +cluster");
  CHECK(commands_of("+client|tracking +client") == "-@all +client");
  CHECK(commands_of("+xadd|key") == "-@all +xadd|key");
  User user = make_user("alice", shared().terms());
  CHECK(apply_rule(user, "+xgroup|nosuch") == "Unknown command or category name in ACL");
  CHECK(apply_rule(user, "+xgroup|") == "Syntax error");
  CHECK(apply_rule(user, "-xadd|foo") == "Unknown command or category name in ACL");
  CHECK(apply_rule(user, "+xgroup|help|x") == "Allowing first-arg of a subcommand is not supported");
  CHECK(apply_rule(user, "+nosuch") == "Unknown command or category name in ACL");
}

TEST_CASE("events of other databases cannot be subscribed to", "[acl]") {
  const User user = user_with("+@all ~* &* db=1,2");
  for (const char* channel : {"__keyspace@1__:k", "__keyevent@2__:del", "__keyspace@0__", "__keyspace@x__:k", "news"}) {
    INFO(channel);
    CHECK(refusal(user, {"subscribe", channel}) == "");
    CHECK(user.permits_channel(channel, false));
  }
  CHECK(refusal(user, {"subscribe", "__keyevent@0__:del"}) == "H");
  CHECK(refusal(user, {"publish", "__keyspace@15__:k", "set"}) == "H");
  for (const char* pattern : {"*", "__*", "?_keyspace@0__:x", "__key[es]*", "\\__keyspace@\\0__:x", "__keyspace@[^1]__:", "__keyevent@1?__:*",
                              "*1", "__keyspace@1*", "__keyspace@[0-9]__:*"}) {
    INFO(pattern);
    CHECK(refusal(user, {"psubscribe", pattern}) == "H");
    CHECK_FALSE(user.permits_channel(pattern, true));
  }
  for (const char* pattern : {"news.*", "__keyspace@1__:*", "__keyspace@[12]__:*", "__keyspace@[1]__:?*", "__keyspace@?", "__keyspace@0_:*", ""}) {
    INFO(pattern);
    CHECK(refusal(user, {"psubscribe", pattern}) == "");
  }
}

TEST_CASE("a user has a bounded number of rules", "[acl]") {
  User user = make_user("alice", shared().terms());
  for (const char* sign : {"~", "&", ">", "+select|"}) {
    for (size_t i = 0; i < limits::kAclRules; ++i) REQUIRE(apply_rule(user, sign + std::to_string(i), shared().terms()).empty());
    CHECK(apply_rule(user, std::string(sign) + "more", shared().terms()) == "Too many rules of one kind");
  }
}
