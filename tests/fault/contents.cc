#include "contents.h"

#include <fmt/format.h>

#include <stdexcept>

#include "persistence/dump_payload.h"
#include "rdb_fixture.h"
#include "server/commands/families.h"
#include "simulated_disk.h"

namespace quartet::test {

namespace {

/// The expiry that value_text begins with, behind the name of the type.
int64_t expiry_in(const std::string& text) { return std::strtoll(text.c_str() + text.find(' '), nullptr, 10); }

server::ConfigStore& with_databases(server::ConfigStore& config, int databases) {
  if (auto error = config.load({"--databases", std::to_string(databases), "--save", ""})) throw std::runtime_error(*error);
  return config;
}

}  // namespace

Contents contents_of(const server::Server& server) {
  Contents contents(server.databases.size());
  for (size_t i = 0; i < contents.size(); ++i) {
    storage::Keyspace& keyspace = *server.databases[i];
    keyspace.for_each([&](storage::Entry& entry) {
      contents[i].emplace(entry.key(), value_text(keyspace, entry));
      return true;
    });
  }
  return contents;
}

Contents without_expired(const Contents& contents, int64_t now_ms) {
  Contents live = contents;
  for (auto& database : live)
    std::erase_if(database, [&](const auto& item) { return expiry_in(item.second) >= 0 && expiry_in(item.second) <= now_ms; });
  return live;
}

Model::Model(int databases)
    : log_(clock_),
      disk_(std::make_unique<SimulatedDisk>(1)),
      server_(clock_, log_, with_databases(config_, databases), *disk_, background_, host_, server::all_families()),
      session_(server_.make_session()) {}

void Model::become(const server::Server& server) {
  saved_.clear();
  for (const auto& keyspace : server.databases) {
    keyspace->for_each([&](storage::Entry& entry) {
      Saved saved{keyspace->index(), std::string(entry.key()), std::to_string(entry.expires() ? entry.expiry() : 0), {}};
      persistence::append_dump_payload(saved.payload, entry, false);
      saved_.push_back(std::move(saved));
      return true;
    });
  }
  go_back();
}

void Model::go_back() {
  static_cast<void>(server_.flush(-1));  // nothing is protected there
  for (const Saved& saved : saved_) {
    const std::string problem = apply(saved.database, {"RESTORE", saved.key, saved.expiry, saved.payload, "ABSTTL"});
    if (!problem.empty()) throw std::logic_error("a copy of an entry: " + problem);
  }
}

std::string Model::apply(int database, const std::vector<std::string>& effect) {
  const std::vector<std::string_view> arguments(effect.begin(), effect.end());
  const Result<void> done = server_.replay(*session_, database, arguments);
  return done ? std::string() : done.error().text;
}

bool Model::holds(int database, const std::map<std::string, std::string>& expected) {
  storage::Keyspace& keyspace = server_.database(database);
  if (keyspace.size() != expected.size()) return false;
  const auto same = [&](const std::string& key, const std::string& text) {
    storage::Entry* entry = keyspace.find_raw(key);
    return entry && value_text(keyspace, *entry) == text;
  };
  if (different_in_ == database) {
    const auto suspect = expected.find(different_key_);
    if (suspect != expected.end() && !same(suspect->first, suspect->second)) return false;
  }
  for (const auto& [key, text] : expected) {
    if (same(key, text)) continue;
    different_in_ = database;
    different_key_ = key;
    return false;
  }
  return true;
}

}  // namespace quartet::test
