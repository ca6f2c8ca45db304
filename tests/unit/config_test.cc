#include "server/config.h"

#include <catch2/catch.hpp>
#include <sys/stat.h>

#include "config_fixture.h"
#include "server/config_file.h"
#include "server/config_table.h"

using namespace quartet::test;

TEST_CASE("the defaults are shown as Redis shows them", "[config]") {
  const ConfigStore store;
  CHECK(get(store, "port") == "6379");
  CHECK(get(store, "bind") == "127.0.0.1 -::1");
  CHECK(get(store, "save") == "");
  CHECK(get(store, "appendonly") == "no");
  CHECK(get(store, "maxmemory") == "0");
  CHECK(get(store, "databases") == "16");
  CHECK(get(store, "unixsocketperm") == "0");
  CHECK(get(store, "proto-max-bulk-len") == "536870912");
  CHECK(get(store, "client-output-buffer-limit") == "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
  CHECK(get(store, "latency-tracking-info-percentiles") == "50 99 99.9");
  CHECK(get(store, "dir") == std::filesystem::current_path().string());
}

TEST_CASE("CONFIG GET takes names and patterns", "[config]") {
  ConfigStore store;
  using Found = std::vector<std::pair<std::string, std::string>>;
  CHECK(store.get({"nosuch"}).empty());
  CHECK(store.get({"nosuch*"}).empty());
  CHECK(store.get({"MAXMEMORY"}) == Found{{"MAXMEMORY", "0"}});
  CHECK(store.get({"Hz", "HZ", "h*z", "hz"}) == Found{{"Hz", "10"}});
  CHECK(store.get({"HASH-max-*-entries"}) == Found{{"hash-max-listpack-entries", "512"}, {"hash-max-ziplist-entries", "512"}});
  CHECK(store.get({"hash-max-ziplist-entries"}) == Found{{"hash-max-ziplist-entries", "512"}});
  CHECK(store.get({"slowlog-*", "hz"}).size() == 3);
  CHECK(store.get({"*"}).size() > 60);
}

TEST_CASE("CONFIG SET refuses what Redis refuses, in its words", "[config]") {
  ConfigStore store;
  SECTION("integers") {
    const std::string not_integer = "argument couldn't be parsed into an integer";
    for (const auto* text : {"abc", "1.5", "", " 5", "010", "+5", "10mb", "99999999999999999999"}) CHECK(reason(store, "timeout", text) == not_integer);
    CHECK(reason(store, "timeout", "-1") == "argument must be between 0 and 2147483647 inclusive");
    CHECK(reason(store, "timeout", "2147483648") == "argument must be between 0 and 2147483647 inclusive");
    CHECK(reason(store, "port", "65536") == "argument must be between 0 and 65535 inclusive");
    CHECK(reason(store, "maxclients", "0") == "argument must be between 1 and 4294967295 inclusive");
    CHECK(reason(store, "slowlog-log-slower-than", "-2") == "argument must be between -1 and 9223372036854775807 inclusive");
    CHECK(reason(store, "list-max-listpack-size", "2147483648") == "argument must be between -2147483648 and 2147483647 inclusive");
    CHECK(reason(store, "timeout", "2147483647") == "OK");
    CHECK(get(store, "timeout") == "2147483647");
  }
  SECTION("memory") {
    for (const auto* text : {"abc", "-1", "10xx", "1.5gb"}) CHECK(reason(store, "proto-max-bulk-len", text) == "argument must be a memory value");
    CHECK(reason(store, "proto-max-bulk-len", "1") == "argument must be between 1048576 and 9223372036854775807 inclusive");
    CHECK(reason(store, "proto-max-bulk-len", "10GB") == "OK");
    CHECK(get(store, "proto-max-bulk-len") == "10737418240");
    CHECK(reason(store, "hash-max-listpack-value", "1k") == "OK");
    CHECK(get(store, "hash-max-listpack-value") == "1000");
  }
  SECTION("yes and no") {
    for (const auto* text : {"maybe", "1", "", "true"}) CHECK(reason(store, "dynamic-hz", text) == "argument must be 'yes' or 'no'");
    CHECK(reason(store, "dynamic-hz", "NO") == "OK");
    CHECK(get(store, "dynamic-hz") == "no");
  }
  SECTION("enums") {
    CHECK(reason(store, "loglevel", "loud") == "argument(s) must be one of the following: debug, verbose, notice, warning");
    CHECK(reason(store, "appendfsync", "") == "argument(s) must be one of the following: everysec, always, no");
    CHECK(reason(store, "maxmemory-policy", "foo") ==
          "argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, "
          "allkeys-lfu, allkeys-random, noeviction");
    CHECK(reason(store, "maxmemory-policy", "ALLKEYS-LRU") == "OK");
    CHECK(get(store, "maxmemory-policy") == "allkeys-lru");
  }
  SECTION("names") {
    CHECK(set(store, {{"NoSuch", "1"}}) == "ERR Unknown option or number of arguments for CONFIG SET - 'NoSuch'");
    CHECK(reason(store, "databases", "5") == "can't set immutable config");
    CHECK(reason(store, "DIR", "/tmp") == "can't set protected config");
    CHECK(set(store, {{"PORT", "70000"}}) ==
          "ERR CONFIG SET failed (possibly related to argument 'port') - argument must be between 0 and 65535 inclusive");
    CHECK(set(store, {{"hz", "10"}, {"HZ", "20"}}) == "ERR CONFIG SET failed (possibly related to argument 'HZ') - duplicate parameter");
    // Names are looked at before values, the first wrong one is told.
    CHECK(set(store, {{"hz", "abc"}, {"nosuch", "2"}}) == "ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'");
    CHECK(set(store, {{"databases", "5"}, {"nosuch", "1"}}) ==
          "ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config");
  }
}

TEST_CASE("client-output-buffer-limit", "[config]") {
  ConfigStore store;
  const std::string_view name = "client-output-buffer-limit";
  const std::string wrong_count = "Wrong number of arguments in buffer limit configuration.";
  for (const auto* text : {"normal 1 2", "normal  1 2 3", "normal 1 2 3 ", "normal 1 2 3 pubsub 1 2"}) CHECK(reason(store, name, text) == wrong_count);
  for (const auto* text : {"foo 1 2 3", "master 1 1 1", "normal 1 2 4 foo 1 2 x"})
    CHECK(reason(store, name, text) == "Invalid client class specified in buffer limit configuration.");
  for (const auto* text : {"normal x 0 0", "normal 0 0 -1", "normal -1 0 1", "normal 1 2 3k", "normal 1 2 9223372036854775807"})
    CHECK(reason(store, name, text) == "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
  CHECK(get(store, name) == "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
  CHECK(reason(store, name, "") == "OK");
  CHECK(reason(store, name, "normal 1mb 2mb 3") == "OK");
  CHECK(get(store, name) == "normal 1048576 2097152 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60");
  CHECK(reason(store, name, "replica 1 2 3 NORMAL 1 1 1") == "OK");
  CHECK(get(store, name) == "normal 1 1 1 slave 1 2 3 pubsub 33554432 8388608 60");
}

TEST_CASE("notify-keyspace-events is shown in one order", "[config]") {
  ConfigStore store;
  const std::string_view name = "notify-keyspace-events";
  const std::pair<const char*, const char*> cases[] = {
      {"KEA", "AKE"},        {"AKE$", "AKE"}, {"gxE", "gxE"}, {"zxesthlg$KEmnd", "AKEm"}, {"KAn", "AK"},
      {"mE", "Em"},          {"d", "d"},      {"K", "K"},     {"dnmxezhsl$gEK", "g$lshzxednKEm"},
      {"g$lshzxet", "g$lshzxet"}, {"", ""}};
  for (const auto& [given, shown] : cases) {
    CHECK(reason(store, name, given) == "OK");
    CHECK(get(store, name) == shown);
  }
  CHECK(reason(store, name, "Kq") == "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
}

TEST_CASE("latency-tracking-info-percentiles", "[config]") {
  ConfigStore store;
  const std::string_view name = "latency-tracking-info-percentiles";
  for (const auto* text : {"abc", "nan", "50  99", " 50", "50.5abc"}) CHECK(reason(store, name, text) == "Invalid latency-tracking-info-percentiles parameters");
  for (const auto* text : {"101", "-1", "inf"})
    CHECK(reason(store, name, text) == "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
  CHECK(reason(store, name, "0.00 33.333333 1e1 1e-7 99.999999999") == "OK");
  CHECK(get(store, name) == "0 33.333333 10 0 100");
  CHECK(reason(store, name, "") == "OK");
  CHECK(get(store, name) == "");
}

TEST_CASE("proc-title-template, bind and hz", "[config]") {
  ConfigStore store;
  for (const auto* text : {"{foo}", "{title", "", "{}"})
    CHECK(reason(store, "proc-title-template", text) == "template format is invalid or contains unknown variables");
  CHECK(reason(store, "proc-title-template", "{title} {port} a}") == "OK");
  CHECK(reason(store, "bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17") == "Too many bind addresses specified.");
  CHECK(reason(store, "bind", "127.0.0.1 ::1") == "OK");
  CHECK(store.values().bind == std::vector<std::string>{"127.0.0.1", "::1"});
  CHECK(reason(store, "hz", "99999") == "OK");
  CHECK(get(store, "hz") == "500");
  CHECK(reason(store, "hz", "0") == "OK");
  CHECK(get(store, "hz") == "1");
}

TEST_CASE("what is not there yet is refused with a clear line", "[config]") {
  ConfigStore store;
  CHECK(reason(store, "aof-use-rdb-preamble", "no") == "the base of the append-only file is always an RDB file, only 'yes' is allowed");
  CHECK(reason(store, "aof-use-rdb-preamble", "yes") == "OK");
  CHECK(reason(store, "aof-timestamp-enabled", "yes") == "the append-only file has no timestamps, only 'no' is allowed");
  CHECK(get(store, "aof-timestamp-enabled") == "no");
  CHECK(load(store, {"--daemonize", "yes"}) ==
        "command line: --daemonize yes: not supported, the server runs in the foreground (conf/quartet.service runs it as a service); "
        "allowed: yes (true) or no (false)");
  CHECK(load(store, {"--daemonize", "no", "--save", "", "--appendonly", "no"}) == "OK");
}

TEST_CASE("save rules are kept parsed and shown in one form", "[config]") {
  ConfigStore store;
  CHECK(store.values().save_rules.empty());
  CHECK(reason(store, "save", "3600 1 300 100") == "OK");
  REQUIRE(store.values().save_rules.size() == 2);
  CHECK(store.values().save_rules[1].seconds == 300);
  CHECK(store.values().save_rules[1].changes == 100);
  for (const auto* text : {"3600 1 300", "a b", "0 1", "1 -1", "  60   5 ", " "}) CHECK(reason(store, "save", text) == "Invalid save parameters");
  CHECK(get(store, "save") == "3600 1 300 100");
  CHECK(reason(store, "save", "1 0") == "OK");
  CHECK(get(store, "save") == "1 0");
  CHECK(reason(store, "save", "") == "OK");
  CHECK(get(store, "save") == "");
  CHECK(store.values().save_rules.empty());
  CHECK(load(store, {"--save", "60", "1", "5", "9"}) == "OK");
  CHECK(get(store, "save") == "60 1 5 9");
}

TEST_CASE("names of files are no paths", "[config]") {
  ConfigStore store;
  const auto refusal = [&](const std::string& name, const std::string& value) {
    const std::string result = load(store, {"--" + name, value});
    const std::string prefix = "command line: --" + name + " " + value + ": ";
    REQUIRE(result.substr(0, prefix.size()) == prefix);
    return result.substr(prefix.size());
  };
  CHECK(refusal("appendfilename", "a/b") == "appendfilename can't be a path, just a filename; allowed: a string");
  CHECK(refusal("appenddirname", "a/b") == "appenddirname can't be a path, just a dirname; allowed: a string");
  CHECK(refusal("appendfilename", "") == "appendfilename can't be empty; allowed: a string");
  CHECK(refusal("appenddirname", "") == "appenddirname can't be empty; allowed: a string");
  CHECK(load(store, {"--appenddirname", "log", "--appendfilename", "data.aof"}) == "OK");
  CHECK(store.values().appenddirname == "log");
  CHECK(store.values().appendfilename == "data.aof");
}

TEST_CASE("protected settings follow enable-protected-configs", "[config]") {
  Folder folder;
  ConfigStore store;
  REQUIRE(load(store, {"--enable-protected-configs", "local"}) == "OK");
  CHECK(store.set({{"dbfilename", "a.rdb"}}, false).has_value());
  CHECK_FALSE(store.set({{"dbfilename", "a.rdb"}}, true).has_value());
  REQUIRE(load(store, {"--enable-protected-configs", "yes"}) == "OK");
  CHECK(reason(store, "dbfilename", "a/b") == "dbfilename can't be a path, just a filename");
  CHECK(reason(store, "dir", "/nonexistent") == "No such file or directory");
  CHECK(reason(store, "dir", "") == "No such file or directory");
  CHECK(reason(store, "dir", folder.path() + "/../" + std::filesystem::path(folder.path()).filename().string() + "/") == "OK");
  CHECK(get(store, "dir") == folder.path());
}

TEST_CASE("CONFIG SET sets all or nothing", "[config]") {
  ConfigStore store;
  CHECK(set(store, {{"hz", "20"}, {"timeout", "x"}}) != "OK");
  CHECK(get(store, "hz") == "10");
  CHECK(set(store, {{"hz", "20"}, {"timeout", "7"}}) == "OK");
  CHECK(get(store, "hz") == "20");
  CHECK(get(store, "timeout") == "7");
  CHECK(set(store, {{"busy-reply-threshold", "7"}, {"lua-time-limit", "8"}}) == "OK");
  CHECK(get(store, "busy-reply-threshold") == "8");
}

TEST_CASE("listeners are told of changes and can refuse them", "[config]") {
  ConfigStore store;
  std::vector<std::string> seen;
  bool refuse = false;
  store.on_change([&](const std::vector<std::string_view>& names) -> std::optional<std::string> {
    for (const auto name : names) seen.push_back(std::string(name) + "=" + std::to_string(store.values().port));
    return {};
  });
  store.on_change([&](const std::vector<std::string_view>&) -> std::optional<std::string> {
    if (refuse) return "Unable to listen on this port. Check server logs.";
    return {};
  });
  CHECK(set(store, {{"port", "7000"}, {"hz", "10"}}) == "OK");
  CHECK(seen == std::vector<std::string>{"port=7000"});
  CHECK(set(store, {{"port", "7000"}}) == "OK");
  CHECK(seen.size() == 1);
  refuse = true;
  CHECK(reason(store, "port", "7001") == "Unable to listen on this port. Check server logs.");
  CHECK(seen == std::vector<std::string>{"port=7000", "port=7001", "port=7000"});
  CHECK(get(store, "port") == "7000");
}

TEST_CASE("the setting at fault is blamed, by the name that the client gave", "[config]") {
  ConfigStore store;
  std::vector<std::string> at_fault;
  store.on_change([&](const std::vector<std::string_view>&) -> std::optional<quartet::server::ConfigFault> {
    return quartet::server::ConfigFault("no", at_fault);
  });
  const auto blamed = [&](std::vector<std::string> settings) {
    at_fault = std::move(settings);
    const std::string reply = set(store, {{"hz", "20"}, {"TIMEOUT", "7"}, {"lua-time-limit", "8"}, {"Db.3.Maxclients", "9"}, {"db.2.memcached-port", "1"}});
    CHECK(get(store, "hz") == "10");
    return reply.substr(reply.find('\''), reply.rfind('\'') - reply.find('\'') + 1);
  };
  CHECK(blamed({}) == "'hz'");
  CHECK(blamed({"timeout"}) == "'timeout'");
  CHECK(blamed({"busy-reply-threshold", "hz"}) == "'lua-time-limit'");
  CHECK(blamed({"port", "maxclients"}) == "'Db.3.Maxclients'");
  CHECK(blamed({"db.3.memcached-port", "db.2.memcached-port"}) == "'db.2.memcached-port'");
  CHECK(blamed({"port"}) == "'hz'");
}

TEST_CASE("a file that is set again is told of, because it may have changed", "[config]") {
  ConfigStore store;
  std::vector<std::string> seen;
  store.on_change([&](const std::vector<std::string_view>& names) -> std::optional<std::string> {
    seen.assign(names.begin(), names.end());
    return {};
  });
  CHECK(set(store, {{"tls-cert-file", "a.crt"}, {"tls-key-file", "a.key"}}) == "OK");
  CHECK(set(store, {{"hz", "10"}, {"tls-cert-file", "a.crt"}}) == "OK");
  CHECK(seen == std::vector<std::string>{"tls-cert-file"});
}

TEST_CASE("the command line", "[config]") {
  ConfigStore store;
  SECTION("takes all words up to the next option") {
    CHECK(load(store, {"--save", "", "--client-output-buffer-limit", "pubsub 1mb 1mb 1", "--bind", "127.0.0.1", "::1", "--PORT", "7000",
                       "--list-max-listpack-size", "-1"}) == "OK");
    CHECK(store.values().port == 7000);
    CHECK(store.values().bind == std::vector<std::string>{"127.0.0.1", "::1"});
    CHECK(store.values().list_max_listpack_size == -1);
    CHECK(get(store, "client-output-buffer-limit") == "normal 0 0 0 slave 268435456 67108864 60 pubsub 1048576 1048576 1");
    CHECK(load(store, {"--client-output-buffer-limit", "pubsub", "2mb", "1mb", "1", "--latency-tracking-info-percentiles", "--unixsocketperm", "700"}) == "OK");
    CHECK(store.values().client_output_buffer_limit[2].hard_bytes == 2 * 1024 * 1024);
    CHECK(store.values().latency_tracking_info_percentiles.empty());
    CHECK(store.values().unixsocketperm == 0700);
  }
  SECTION("errors name the option, what is wrong and what is allowed") {
    CHECK(load(store, {"--port", "abc"}) == "command line: --port abc: argument couldn't be parsed into an integer; allowed: an integer from 0 to 65535");
    CHECK(load(store, {"--port"}) == "command line: --port: wrong number of arguments; allowed: an integer from 0 to 65535");
    CHECK(load(store, {"--port", "1", "2"}) == "command line: --port 1 2: wrong number of arguments; allowed: an integer from 0 to 65535");
    CHECK(load(store, {"--unixsocketperm", "999"}) ==
          "command line: --unixsocketperm 999: argument couldn't be parsed as an octal number; allowed: an octal number from 0 to 777");
    CHECK(load(store, {"--unixsocketperm", "1000"}) ==
          "command line: --unixsocketperm 1000: argument must be between 0 and 777 inclusive; allowed: an octal number from 0 to 777");
    CHECK(load(store, {"--nosuch", "1"}) == "command line: --nosuch: unknown setting; conf/quartet.toml lists all");
    CHECK(load(store, {"--"}) == "command line: --: not an option; usage: quartet [FILE.toml] [--name value ...]");
    CHECK(load(store, {"/nonexistent.toml"}) == "/nonexistent.toml: No such file or directory");
    CHECK(load(store, {"/tmp"}) == "/tmp: Is a directory");
    CHECK(store.values().port == 6379);
  }
}

TEST_CASE("the file", "[config]") {
  SECTION("takes values in the forms of TOML") {
    Folder folder;
    folder.write(
        "port = 7000\n"
        "bind = [\"127.0.0.1\", \"::1\"]\n"
        "protected-mode = false\n"
        "enable-debug-command = true\n"
        "proto-max-bulk-len = \"64mb\"\n"
        "client-query-buffer-limit = 2097152\n"
        "unixsocketperm = 0o770\n"
        "client-output-buffer-limit = [\"normal 1 2 3\", [\"pubsub\", 4, 5, 6]]\n"
        "latency-tracking-info-percentiles = [50, 99.5]\n"
        "lua-time-limit = 100\n"
        "[[database]]\nindex = 1\nname = \"cache\"\n"
        "[[database]]\nindex = 0\nname = \"broker\"\n");
    ConfigStore store;
    REQUIRE(load(store, {folder.file(), "--port", "7001"}) == "OK");
    const auto& config = store.values();
    CHECK(config.port == 7001);
    CHECK(config.bind == std::vector<std::string>{"127.0.0.1", "::1"});
    CHECK_FALSE(config.protected_mode);
    CHECK(config.enable_debug_command == "yes");
    CHECK(config.proto_max_bulk_len == 64 << 20);
    CHECK(config.client_query_buffer_limit == 2097152);
    CHECK(config.unixsocketperm == 0770);
    CHECK(get(store, "client-output-buffer-limit") == "normal 1 2 3 slave 268435456 67108864 60 pubsub 4 5 6");
    CHECK(config.latency_tracking_info_percentiles == std::vector<double>{50, 99.5});
    CHECK(config.busy_reply_threshold == 100);
    CHECK(config.database.size() == 16);
    CHECK(config.database[0].name == "broker");
    CHECK(config.database[1].name == "cache");
    CHECK(config.database[2].name == "");
    CHECK(config.file == folder.file());
  }
  SECTION("errors name line, key, what is wrong and what is allowed") {
    CHECK(load_file("\nport = \"abc\"\n") == ":2: port = \"abc\": argument couldn't be parsed into an integer; allowed: an integer from 0 to 65535");
    CHECK(load_file("port = 70000") == ":1: port = \"70000\": argument must be between 0 and 65535 inclusive; allowed: an integer from 0 to 65535");
    CHECK(load_file("port = true") == ":1: port: wrong type; allowed: an integer from 0 to 65535");
    CHECK(load_file("requirepass = 12") == ":1: requirepass: wrong type; allowed: a string");
    CHECK(load_file("# x\nprot = 1\n").find(":2: prot: unknown key; allowed: bind, port, ") == 0);
    CHECK(load_file("busy-reply-threshold = 1\nlua-time-limit = 2\n").find("was given at line ") != std::string::npos);
    CHECK(load_file("port = \n").find(":1: ") == 0);
    CHECK(load_file("[server]\nport = 1\n").find(":1: server: unknown key; allowed: ") == 0);
  }
  SECTION("databases") {
    const std::string name_rule = "database.name: wrong value; allowed: a lower-case letter, then up to 63 of a-z, 0-9, _ and -";
    for (const std::string name : {"\"\"", "\"Cache\"", "\"1a\"", "\"a b\"", "7"})
      CHECK(load_file("[[database]]\nindex = 0\nname = " + name) == ":3: " + name_rule);
    CHECK(load_file("[[database]]\nindex = 0\nname = \"" + std::string(65, 'a') + '"') == ":3: " + name_rule);
    CHECK(load_file("[[database]]\nindex = -1\n") == ":2: database.index: wrong value; allowed: an integer from 0 to databases - 1");
    CHECK(load_file("[[database]]\nname = \"a\"\n") == ":1: database.index: missing");
    CHECK(load_file("[[database]]\nindex = 0\nport = 1\n").find(":3: database.port: unknown key; allowed: index, name, maxmemory-policy") == 0);
    CHECK(load_file("[[database]]\nindex = 16\n") == ":1: database.index: 16 is not below databases = 16");
    CHECK(load_file("databases = 17\n[[database]]\nindex = 16\n") == "OK");
    CHECK(load_file("[[database]]\nindex = 1\n[[database]]\nindex = 1\n") == ":3: database.index: 1 was given at line 1 already");
    CHECK(load_file("[[database]]\nindex = 0\nname = \"a\"\n[[database]]\nindex = 1\nname = \"a\"\n") ==
          ":4: database.name: \"a\" was given at line 1 already");
    CHECK(load_file("[database]\nindex = 0\n") == ":1: database: wrong type; allowed: [[database]] tables");
  }
}

TEST_CASE("conf/quartet.toml holds every setting with its default", "[config]") {
  quartet::server::ConfigFile file;
  file.path = QUARTET_CONF "/quartet.toml";
  REQUIRE(quartet::server::read_file(file.path, file.text) == "");
  REQUIRE(quartet::server::parse(file) == "");
  CHECK(file.settings.size() == quartet::server::directives().size());
  ConfigStore store;
  REQUIRE(load(store, {file.path}) == "OK");
  CHECK(store.get({"*"}) == ConfigStore().get({"*"}));
  CHECK(store.values().database[3].name == "jobs");
}

TEST_CASE("conf/quartet.toml tells what can be said for a database, with its default", "[config]") {
  std::string text;
  REQUIRE(quartet::server::read_file(QUARTET_CONF "/quartet.toml", text) == "");
  std::istringstream lines(text.substr(text.find("# --- Databases")));
  // `#   key = value`, with or without a comment behind it.
  std::string told = "[[database]]\n";
  for (std::string line; std::getline(lines, line);)
    if (line.substr(0, 4) == "#   ") told += line.substr(4) + "\n";
  told.replace(told.find("name = \"\""), 9, "name = \"a\"");  // which is no name

  Folder folder;
  folder.write(told);
  ConfigStore store;
  REQUIRE(load(store, {folder.file()}) == "OK");
  const auto& database = store.values().database[0];
  for (const auto* directive : quartet::server::database_directives()) CHECK(database.overrides(directive->name));
  CHECK(database.overridden.size() == quartet::server::database_directives().size());
  const auto values = [](const ConfigStore& of, const std::string& prefix) {
    std::vector<std::string> found;
    for (const auto* directive : quartet::server::database_directives()) found.push_back(get(of, prefix + std::string(directive->name)));
    return found;
  };
  CHECK(values(store, "db.0.") == values(ConfigStore(), "db.0."));
}

TEST_CASE("CONFIG REWRITE changes what differs and nothing else", "[config]") {
  Folder folder;
  const std::string text =
      "# Größe: comments and layout remain\n"
      "port   =  6379   # the port\n"
      "\n"
      "bind = [ \"127.0.0.1\",\n"
      "         \"::1\" ]  # two\n"
      "'loglevel' = 'notice'\n"
      "requirepass = \"ä\\u00e4\" # ü\n"
      "maxclients = 1_000\n"
      "\n"
      "# The broker.\n"
      "[[database]]\n"
      "index = 0\n";
  folder.write(text);
  REQUIRE(chmod(folder.file().c_str(), 0640) == 0);
  ConfigStore store;
  REQUIRE(load(store, {folder.file()}) == "OK");

  SECTION("nothing differs") {
    CHECK_FALSE(store.rewrite().has_value());
    CHECK(folder.read() == text);
  }
  SECTION("values are replaced where they stand, others added") {
    REQUIRE(set(store, {{"port", "7000"}, {"bind", "127.0.0.1"}, {"loglevel", "debug"}, {"requirepass", "a\"\\b\n"}, {"hz", "20"},
                        {"lazyfree-lazy-expire", "yes"}, {"lua-time-limit", "9"}, {"latency-tracking-info-percentiles", "1 99.5"},
                        {"client-output-buffer-limit", "normal 1 2 3"}}) == "OK");
    CHECK_FALSE(store.rewrite().has_value());
    CHECK(folder.read() ==
          "# Größe: comments and layout remain\n"
          "port   =  7000   # the port\n"
          "\n"
          "bind = [\"127.0.0.1\"]  # two\n"
          "'loglevel' = \"debug\"\n"
          "requirepass = \"a\\\"\\\\b\\u000A\" # ü\n"
          "maxclients = 1_000\n"
          "client-output-buffer-limit = \"normal 1 2 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60\"\n"
          "hz = 20\n"
          "lazyfree-lazy-expire = true\n"
          "latency-tracking-info-percentiles = [1, 99.5]\n"
          "busy-reply-threshold = 9\n"
          "\n"
          "# The broker.\n"
          "[[database]]\n"
          "index = 0\n");
    struct stat status;
    REQUIRE(stat(folder.file().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0640);
    CHECK(folder.files() == 1);

    ConfigStore again;
    REQUIRE(load(again, {folder.file()}) == "OK");
    CHECK(again.get({"*"}) == store.get({"*"}));
    CHECK(again.values().requirepass == "a\"\\b\n");
  }
  SECTION("a file without tables and without a last newline") {
    folder.write("port = 6379");
    REQUIRE(set(store, {{"hz", "20"}}) == "OK");
    CHECK_FALSE(store.rewrite().has_value());
    CHECK(folder.read().find("port = 6379\n") == 0);
    CHECK(folder.read().find("\nhz = 20\n") != std::string::npos);
  }
  SECTION("a value that TOML cannot hold leaves the file as it is") {
    REQUIRE(set(store, {{"requirepass", "\xff\xfe"}}) == "OK");
    const auto problem = store.rewrite();
    REQUIRE(problem.has_value());
    CHECK(problem->find("ERR Rewriting config file: ") == 0);
    CHECK(folder.read() == text);
  }
  SECTION("a link remains a link") {
    std::filesystem::create_directory(folder.path() + "/target");
    std::filesystem::rename(folder.file(), folder.path() + "/target/real.toml");
    std::filesystem::create_symlink(folder.path() + "/target/real.toml", folder.file());
    REQUIRE(set(store, {{"hz", "20"}}) == "OK");
    CHECK_FALSE(store.rewrite().has_value());
    CHECK(std::filesystem::is_symlink(folder.file()));
    CHECK(folder.read().find("hz = 20\n") != std::string::npos);
  }
  SECTION("the file is gone") {
    std::filesystem::remove(folder.file());
    CHECK(store.rewrite() == "ERR Rewriting config file: No such file or directory");
  }
}

TEST_CASE("CONFIG REWRITE needs a file", "[config]") {
  ConfigStore store;
  CHECK(store.rewrite() == "ERR The server is running without a config file");
}
