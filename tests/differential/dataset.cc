#include "dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "command.h"

namespace quartet::test {

namespace {

constexpr long tolerance_ms = 10000;
constexpr int max_scan_rounds = 100000;

std::vector<std::string> reading_command(const std::string& type, const std::string& key) {
  if (type == "string") return {"GET", key};
  if (type == "list") return {"LRANGE", key, "0", "-1"};
  if (type == "set") return {"SMEMBERS", key};
  if (type == "hash") return {"HGETALL", key};
  if (type == "zset") return {"ZRANGE", key, "0", "-1", "WITHSCORES"};
  throw std::runtime_error("a type that is not compared: " + type);
}

Entry read_entry(PeerConnection& connection, const std::string& key) {
  Entry entry;
  connection.send({"TYPE", key});
  connection.send({"OBJECT", "ENCODING", key});
  connection.send({"PTTL", key});
  connection.flush();
  entry.type = connection.receive().text;
  entry.encoding = connection.receive().text;
  entry.ttl_ms = std::atol(connection.receive().text.c_str());
  const Reply value = connection.call(reading_command(entry.type, key));
  const bool ordered = entry.type == "string" || entry.type == "list" || entry.type == "zset";
  entry.value = ordered ? value : sorted_items(value, entry.type == "hash" ? 2 : 1);
  return entry;
}

std::string describe(const Entry& entry) {
  return fmt::format("{} ({}) ttl {} {}", entry.type, entry.encoding, entry.ttl_ms, to_text(entry.value));
}

bool same(const Entry& a, const Entry& b) {
  const bool near = (a.ttl_ms < 0) == (b.ttl_ms < 0) && std::labs(a.ttl_ms - b.ttl_ms) <= tolerance_ms;
  return near && a.type == b.type && a.encoding == b.encoding && a.value == b.value;
}

}  // namespace

Dataset read_dataset(PeerConnection& connection) {
  Dataset dataset;
  for (int database = 0; database < compared_databases; ++database) {
    connection.call({"SELECT", std::to_string(database)});
    for (const Reply& key : whole_scan(connection, {"SCAN"}, {"COUNT", "1000"}).items)
      dataset[fmt::format("{}/{}", database, key.text)] = read_entry(connection, key.text);
  }
  connection.call({"SELECT", "0"});
  return dataset;
}

std::vector<std::string> differences(const Dataset& a, const Dataset& b) {
  std::vector<std::string> out;
  for (const auto& [key, entry] : a) {
    const auto other = b.find(key);
    if (other == b.end()) out.push_back(fmt::format("{}\n  A: {}\n  B: no such key", key, describe(entry)));
    else if (!same(entry, other->second))
      out.push_back(fmt::format("{}\n  A: {}\n  B: {}", key, describe(entry), describe(other->second)));
  }
  for (const auto& [key, entry] : b)
    if (!a.contains(key)) out.push_back(fmt::format("{}\n  A: no such key\n  B: {}", key, describe(entry)));
  return out;
}

Reply whole_scan(PeerConnection& connection, const std::vector<std::string>& command,
                 const std::vector<std::string>& options) {
  const bool paired = command[0] == "HSCAN" || command[0] == "ZSCAN";
  Reply all{Kind::array, "", "", {}};
  std::string cursor = "0";
  for (int round = 0; round < max_scan_rounds; ++round) {
    std::vector<std::string> arguments = command;
    arguments.push_back(cursor);
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Reply reply = connection.call(arguments);
    if (reply.kind != Kind::array || reply.items.size() != 2) return reply;
    cursor = reply.items[0].text;
    all.items.insert(all.items.end(), reply.items[1].items.begin(), reply.items[1].items.end());
    if (cursor == "0") break;
  }
  if (cursor != "0") throw std::runtime_error(command[0] + " does not end");
  if (paired) {
    // Each pair becomes one item, so that repetitions can be dropped.
    Reply pairs{Kind::array, "", "", {}};
    for (std::size_t i = 0; i + 1 < all.items.size(); i += 2)
      pairs.items.push_back({Kind::array, "", "", {all.items[i], all.items[i + 1]}});
    all = pairs;
  }
  all = sorted_items(all, 1);
  all.items.erase(std::unique(all.items.begin(), all.items.end()), all.items.end());
  return all;
}

}  // namespace quartet::test
