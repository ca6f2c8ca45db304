#pragma once

#include <catch2/catch.hpp>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/config.h"

/// What the tests of settings share.
namespace quartet::test {

using server::ConfigStore;

using Pairs = std::vector<std::pair<std::string_view, std::string_view>>;

/// A directory with a configuration file, gone at the end of the test.
class Folder {
 public:
  Folder() {
    char name[] = "/tmp/quartet-config-XXXXXX";
    REQUIRE(mkdtemp(name));
    path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string file() const { return path_ / "quartet.toml"; }
  std::string path() const { return path_; }
  void write(std::string_view text) const { std::ofstream(file(), std::ios::binary) << text; }
  std::string read() const {
    std::ostringstream text;
    text << std::ifstream(file(), std::ios::binary).rdbuf();
    return text.str();
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::filesystem::path path_;
};

inline std::string get(const ConfigStore& store, std::string_view name) {
  const auto found = store.get({name});
  REQUIRE(found.size() == 1);
  CHECK(found[0].first == name);
  return found[0].second;
}

/// The error of CONFIG SET, or "OK".
inline std::string set(ConfigStore& store, const Pairs& pairs) { return store.set(pairs).value_or("OK"); }

/// The reason in the error of CONFIG SET for one setting, or "OK".
inline std::string reason(ConfigStore& store, std::string_view name, std::string_view value) {
  const std::string reply = set(store, {{name, value}});
  const std::string prefix = "ERR CONFIG SET failed (possibly related to argument '" + std::string(name) + "') - ";
  if (reply == "OK") return reply;
  REQUIRE(reply.substr(0, prefix.size()) == prefix);
  return reply.substr(prefix.size());
}

inline std::string load(ConfigStore& store, const std::vector<std::string>& arguments) { return store.load(arguments).value_or("OK"); }

/// The error of loading a file with this text, without the file's path, or "OK".
inline std::string load_file(std::string_view text) {
  Folder folder;
  folder.write(text);
  ConfigStore store;
  const std::string result = load(store, {folder.file()});
  if (result == "OK") return result;
  REQUIRE(result.substr(0, folder.file().size()) == folder.file());
  return result.substr(folder.file().size());
}

}  // namespace quartet::test
