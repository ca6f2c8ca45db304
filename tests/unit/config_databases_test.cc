#include <catch2/catch.hpp>

#include "config_fixture.h"
#include "server/config_table.h"

using namespace quartet::test;

TEST_CASE("the databases follow the defaults but where they have their own value", "[config]") {
  ConfigStore store;
  const auto& database = store.values().database;
  REQUIRE(database.size() == 16);
  CHECK(database[15].appendfsync == "everysec");
  CHECK(set(store, {{"appendfsync", "always"}, {"appendonly", "yes"}}) == "OK");
  CHECK(database[0].appendfsync == "always");
  CHECK(database[15].appendonly);
  CHECK_FALSE(database[0].overrides("appendfsync"));

  // In whatever order they are given.
  CHECK(set(store, {{"db.1.appendonly", "no"}, {"DB.2.AppendFsync", "EVERYSEC"}, {"appendonly", "yes"}, {"appendfsync", "no"}}) == "OK");
  CHECK_FALSE(database[1].appendonly);
  CHECK(database[1].appendfsync == "no");
  CHECK(database[1].overrides("appendonly"));
  CHECK_FALSE(database[1].overrides("appendfsync"));
  CHECK(database[2].appendfsync == "everysec");
  CHECK(database[2].appendonly);
  CHECK(database[3].appendfsync == "no");
  CHECK(set(store, {{"appendonly", "no"}}) == "OK");
  CHECK_FALSE(database[2].appendonly);

  // A value of its own that is the default's remains when the default changes.
  CHECK(set(store, {{"db.3.appendonly", "no"}}) == "OK");
  CHECK(set(store, {{"appendonly", "yes"}}) == "OK");
  CHECK_FALSE(database[3].appendonly);
}

TEST_CASE("settings of databases are refused as those of the server", "[config]") {
  ConfigStore store;
  CHECK(reason(store, "db.1.appendfsync", "often") == "argument(s) must be one of the following: everysec, always, no");
  CHECK(reason(store, "db.1.appendonly", "maybe") == "argument must be 'yes' or 'no'");
  CHECK_FALSE(store.values().database[1].overrides("appendonly"));
  for (const std::string name : {"db.16.appendonly", "db.-1.appendonly", "db.x.appendonly", "db..appendonly", "db.1.port", "db.1.nosuch", "db.1.",
                                 "db.1", "db.", "db", "db.01.appendonly", "db.1.appendonly.x"})
    CHECK(set(store, {{name, "yes"}}) == "ERR Unknown option or number of arguments for CONFIG SET - '" + name + "'");
  CHECK(set(store, {{"db.1.appendonly", "yes"}, {"db.2.appendonly", "x"}}) != "OK");
  CHECK_FALSE(store.values().database[1].appendonly);
  CHECK(reason(store, "db.1.appendonly", "yes") == "OK");
}

TEST_CASE("CONFIG GET shows databases to those who ask for them", "[config]") {
  Folder folder;
  folder.write("[[database]]\nindex = 1\nname = \"cache\"\n[[database]]\nindex = 2\n[[database]]\nindex = 3\nappendfsync = \"no\"\n");
  ConfigStore store;
  REQUIRE(load(store, {folder.file(), "--appendonly", "yes", "--db.cache.appendonly", "no"}) == "OK");
  using Found = std::vector<std::pair<std::string, std::string>>;
  const Found cache = {{"db.cache.appendonly", "no"}, {"db.cache.appendfsync", "everysec"}};
  const Found third = {{"db.3.appendonly", "yes"}, {"db.3.appendfsync", "no"}};
  CHECK(store.get({"db.cache.append*"}) == cache);
  CHECK(store.get({"DB.*.append*"}) == Found{cache[0], cache[1], third[0], third[1]});
  CHECK(store.get({"db.*.appendfsync", "db.*.append*"}) == Found{cache[0], cache[1], third[0], third[1]});
  CHECK(store.get({"db.*"}).size() == 2 * quartet::server::database_directives().size());
  CHECK(store.get({"db.1.appendonly", "db.1.appendonly", "db.CACHE.appendonly"}) == Found{{"db.1.appendonly", "no"}});
  CHECK(store.get({"db.9.appendonly"}) == Found{{"db.9.appendonly", "yes"}});
  CHECK(store.get({"db.9.*"}).empty());
  CHECK(store.get({"db.99.appendonly"}).empty());
  CHECK(store.get({"db*"}) == Found{{"dbfilename", "dump.rdb"}});
  for (const auto& [name, value] : store.get({"*", "*.*"})) CHECK(name.substr(0, 3) != "db.");
}

TEST_CASE("listeners are told of databases by their index, and the values are undone where one refuses", "[config]") {
  Folder folder;
  folder.write("[[database]]\nindex = 1\nname = \"cache\"\n");
  ConfigStore store;
  REQUIRE(load(store, {folder.file()}) == "OK");
  std::vector<std::string> seen;
  bool refuse = false;
  store.on_change([&](const std::vector<std::string_view>& names) -> std::optional<std::string> {
    seen.assign(names.begin(), names.end());
    if (refuse) return "no";
    return {};
  });
  CHECK(set(store, {{"db.cache.appendfsync", "always"}, {"appendonly", "yes"}, {"appendfsync", "everysec"}}) == "OK");
  CHECK(seen == std::vector<std::string>{"db.1.appendfsync", "appendonly"});
  seen.clear();
  CHECK(set(store, {{"db.1.appendfsync", "always"}}) == "OK");
  CHECK(seen.empty());
  // Its value is the same, and is its own now.
  CHECK(set(store, {{"db.1.appendonly", "yes"}}) == "OK");
  CHECK(seen == std::vector<std::string>{"db.1.appendonly"});
  refuse = true;
  CHECK(reason(store, "db.2.appendonly", "no") == "no");
  CHECK(store.values().database[2].appendonly);
  CHECK_FALSE(store.values().database[2].overrides("appendonly"));
  CHECK(reason(store, "appendonly", "no") == "no");
  // The error names the first that was given.
  CHECK(set(store, {{"timeout", "5"}, {"appendonly", "no"}}) == "ERR CONFIG SET failed (possibly related to argument 'timeout') - no");
  CHECK(store.values().database[2].appendonly);
}

TEST_CASE("a database's maxmemory is its own, whatever is said for the server", "[config]") {
  ConfigStore store;
  CHECK(set(store, {{"maxmemory", "0"}, {"db.1.maxmemory", "0"}}) == "OK");
  CHECK(store.values().database[1].overrides("maxmemory"));
  CHECK_FALSE(store.values().database[2].overrides("maxmemory"));
  CHECK(store.get({"maxmemory", "db.1.maxmemory"}) ==
        std::vector<std::pair<std::string, std::string>>{{"maxmemory", "0"}, {"db.1.maxmemory", "0"}});
}

TEST_CASE("the command line has settings of databases", "[config]") {
  Folder folder;
  folder.write("appendfsync = \"no\"\n[[database]]\nindex = 1\nname = \"cache\"\nappendfsync = \"always\"\nappendonly = true\n");
  ConfigStore store;
  // The number of databases and the defaults count wherever they stand.
  REQUIRE(load(store, {folder.file(), "--db.cache.appendonly", "no", "--db.19.appendfsync", "always", "--databases", "20", "--appendonly", "yes",
                       "--appendfsync", "everysec"}) == "OK");
  const auto& database = store.values().database;
  REQUIRE(database.size() == 20);
  CHECK_FALSE(database[1].appendonly);
  CHECK(database[1].appendfsync == "always");
  CHECK(database[19].appendfsync == "always");
  CHECK(database[19].appendonly);
  CHECK(database[0].appendfsync == "everysec");
  CHECK(load(store, {"--db.20.appendfsync", "always"}) == "command line: --db.20.appendfsync: unknown setting; conf/quartet.toml lists all");
  CHECK(load(store, {"--db.1.appendfsync", "often"}) ==
        "command line: --db.1.appendfsync often: argument(s) must be one of the following: everysec, always, no; allowed: everysec, always, no");
  CHECK(load(store, {"--db.1.appendfsync"}) == "command line: --db.1.appendfsync: wrong number of arguments; allowed: everysec, always, no");
}

TEST_CASE("errors in a database's table name line, key, what is wrong and what is allowed", "[config]") {
  const std::string table = "[[database]]\nindex = 1\n";
  CHECK(load_file(table + "appendfsync = \"often\"\n") ==
        ":3: database.appendfsync = \"often\": argument(s) must be one of the following: everysec, always, no; allowed: everysec, always, no");
  CHECK(load_file(table + "appendonly = 1\n") == ":3: database.appendonly: wrong type; allowed: yes (true) or no (false)");
  CHECK(load_file(table + "port = 1\n").find(":3: database.port: unknown key; allowed: index, name, maxmemory-policy, maxmemory-samples") == 0);
  CHECK(load_file(table + "AppendOnly = true\nappendonly = true\n").find("was given at line ") != std::string::npos);
  CHECK(load_file("appendonly = \"yes\"\ndb.1.appendonly = true\n").find(":2: db: unknown key; allowed: ") == 0);
}

TEST_CASE("CONFIG REWRITE writes the values of databases into their tables", "[config]") {
  Folder folder;
  folder.write(
      "port = 6379\n"
      "\n"
      "# The broker.\n"
      "[[database]]\n"
      "appendfsync = \"always\"  # no order may be lost\n"
      "index = 0  # the first\n"
      "\n"
      "# The cache.\n"
      "[[database]]\n"
      "index = 1\n"
      "name = \"cache\"");
  ConfigStore store;
  REQUIRE(load(store, {folder.file()}) == "OK");

  SECTION("as little as differs") {
    const std::string before = folder.read();
    REQUIRE(set(store, {{"db.0.appendfsync", "no"}}) == "OK");
    REQUIRE(set(store, {{"db.0.appendfsync", "always"}}) == "OK");
    CHECK_FALSE(store.rewrite().has_value());
    CHECK(folder.read() == before);
  }
  SECTION("in the table, or a new one") {
    REQUIRE(set(store, {{"appendonly", "yes"}, {"db.0.appendfsync", "no"}, {"db.0.appendonly", "no"}, {"db.cache.appendonly", "yes"},
                        {"db.7.appendfsync", "everysec"}}) == "OK");
    CHECK_FALSE(store.rewrite().has_value());
    CHECK(folder.read() ==
          "port = 6379\n"
          "appendonly = true\n"
          "\n"
          "# The broker.\n"
          "[[database]]\n"
          "appendfsync = \"no\"  # no order may be lost\n"
          "index = 0  # the first\n"
          "appendonly = false\n"
          "\n"
          "# The cache.\n"
          "[[database]]\n"
          "index = 1\n"
          "name = \"cache\"\n"
          "appendonly = true\n"
          "\n"
          "[[database]]\n"
          "index = 7\n"
          "appendfsync = \"everysec\"\n");
    ConfigStore again;
    REQUIRE(load(again, {folder.file()}) == "OK");
    CHECK(again.get({"*", "db.*"}) == store.get({"*", "db.*"}));
    CHECK(again.values().database[7].overrides("appendfsync"));
    CHECK_FALSE(again.values().database[7].overrides("appendonly"));
    const std::string written = folder.read();
    CHECK_FALSE(again.rewrite().has_value());
    CHECK(folder.read() == written);
  }
  SECTION("in inline tables") {
    folder.write("database = [{ index = 0 }, { name = \"cache\", index = 1 }]\n");
    REQUIRE(load(store, {folder.file()}) == "OK");
    REQUIRE(set(store, {{"db.0.appendonly", "yes"}, {"db.1.appendfsync", "no"}, {"db.1.appendonly", "yes"}}) == "OK");
    CHECK_FALSE(store.rewrite().has_value());
    CHECK(folder.read() ==
          "database = [{ index = 0, appendonly = true }, { name = \"cache\", index = 1, appendonly = true, appendfsync = \"no\" }]\n");
  }
}

TEST_CASE("the settings of memcached's protocol belong to databases alone", "[config]") {
  ConfigStore store;
  const auto& database = store.values().database;
  CHECK(database[1].memcached_port == 0);
  CHECK(database[1].memcached_bind == std::vector<std::string>{"127.0.0.1", "-::1"});
  CHECK(set(store, {{"db.1.memcached-port", "11211"}, {"db.1.memcached-bind", "* ::*"}, {"db.1.memcached-item-size-max", "1mb"}}) == "OK");
  CHECK(database[1].memcached_port == 11211);
  CHECK(database[1].memcached_bind == std::vector<std::string>{"*", "::*"});
  CHECK(database[1].memcached_item_size_max == 1024 * 1024);
  CHECK(database[2].memcached_port == 0);
  CHECK(set(store, {{"memcached-port", "11211"}}) == "ERR Unknown option or number of arguments for CONFIG SET - 'memcached-port'");
  CHECK(reason(store, "db.1.memcached-port", "65536") == "argument must be between 0 and 65535 inclusive");
  CHECK(reason(store, "db.1.memcached-item-size-max", "2gb") == "argument must be between 0 and 1073741824 inclusive");
  CHECK(reason(store, "db.1.memcached-unixsocket", "/tmp/s") == "can't set immutable config");
  CHECK(reason(store, "db.1.memcached-bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17") == "Too many bind addresses specified.");

  Folder folder;
  folder.write("[[database]]\nindex = 1\nname = \"cache\"\nmemcached-port = 11211\nmemcached-bind = [\"::1\"]\nmemcached-unixsocket = \"/run/c.sock\"\n");
  REQUIRE(load(store, {folder.file()}) == "OK");
  CHECK(store.values().database[1].memcached_unixsocket == "/run/c.sock");
  CHECK(store.get({"db.cache.memcached-p*"}) == std::vector<std::pair<std::string, std::string>>{{"db.cache.memcached-port", "11211"}});
}
