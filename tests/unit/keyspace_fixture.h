#pragma once

#include <malloc.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "storage/hash.h"
#include "storage/keyspace.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"
#include "storage/string.h"

namespace quartet::test {

/// Frees what a keyspace leaves to others at once, and remembers which keys expired.
class Observer final : public storage::KeyspaceObserver {
 public:
  void expired(storage::Keyspace&, std::string_view key) override { expired_keys.emplace_back(key); }
  void reclaim(std::unique_ptr<storage::Garbage>) override { ++reclaimed; }

  std::vector<std::string> expired_keys;
  size_t reclaimed = 0;
};

/// The memory that a keyspace should have charged: what all its entries take now, and its table.
inline size_t memory_by_counting(const storage::Keyspace& keyspace) {
  size_t bytes = keyspace.table_memory();
  keyspace.for_each([&](const storage::Entry& entry) {
    bytes += storage::memory_of(entry);
    return true;
  });
  return bytes;
}

/// What an entry holds, in a form that can be compared.
inline std::string contents(const storage::Entry& entry, storage::Keyspace& keyspace) {
  using namespace storage;
  auto* handled = const_cast<Entry*>(&entry);
  std::string out(type_name(entry.type()));
  std::multiset<std::string> members;
  const auto add = [&](auto... parts) {
    std::string member;
    ((member += parts, member += '|'), ...);
    members.insert(member);
    return true;
  };
  char scratch[kNumberChars];
  switch (entry.type()) {
    case Type::String: return out + ":" + std::string(StringValue(keyspace, handled).view(scratch));
    case Type::List: {
      const ListValue list(keyspace, handled);
      list.for_each(0, list.size(), [&](std::string_view text) { return out.append("|").append(text), true; });
      return out;
    }
    case Type::Set: SetValue(keyspace, handled).for_each([&](std::string_view member) { return add(member); }); break;
    case Type::Hash: HashValue(keyspace, handled).for_each([&](auto field, auto value) { return add(field, value); }); break;
    case Type::SortedSet:
      SortedSetValue(keyspace, handled).for_each([&](auto member, double score) { return add(member, format_double(score)); });
      break;
  }
  for (const std::string& member : members) out += "," + member;
  return out;
}

}  // namespace quartet::test
