#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "keyspace_fixture.h"
#include "persistence/crc64.h"
#include "persistence/rdb_reader.h"
#include "persistence/rdb_writer.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"
#include "storage/string.h"

namespace quartet::test {

/// Databases 0 to 3, into which a file is loaded.
class Databases final : public persistence::RdbLoader {
 public:
  explicit Databases(const storage::Thresholds& thresholds = storage::kDefaultThresholds) {
    for (int i = 0; i < 4; ++i) keyspaces.push_back(std::make_unique<storage::Keyspace>(i, observer, thresholds));
  }
  storage::Keyspace* database(uint64_t index) override { return index < keyspaces.size() ? keyspaces[index].get() : nullptr; }
  void fact(std::string_view name, std::string_view value) override { facts.emplace(name, value); }
  storage::Keyspace& operator[](size_t index) { return *keyspaces[index]; }

  Observer observer;
  std::vector<std::unique_ptr<storage::Keyspace>> keyspaces;
  std::map<std::string, std::string> facts;
};

/// The value of an entry as text that is equal for equal values, whatever the encodings.
inline std::string value_text(storage::Keyspace& keyspace, storage::Entry& entry) {
  using namespace storage;
  std::vector<std::string> parts;
  const auto add = [&](std::string_view text) {
    parts.push_back(std::to_string(text.size()) + ":" + std::string(text));
    return true;
  };
  bool ordered = false;
  switch (entry.type()) {
    case Type::String: {
      char scratch[kNumberChars];
      add(StringValue(keyspace, &entry).view(scratch));
      break;
    }
    case Type::List:
      ListValue(keyspace, &entry).for_each(0, ListValue(keyspace, &entry).size(), add);
      ordered = true;
      break;
    case Type::Set: SetValue(keyspace, &entry).for_each(add); break;
    case Type::Hash:
      HashValue(keyspace, &entry).for_each([&](std::string_view field, std::string_view value) {
        add(field);
        parts.back() += '=';
        parts.back() += value;
        return true;
      });
      break;
    case Type::SortedSet:
      SortedSetValue(keyspace, &entry).for_each([&](std::string_view member, double score) {
        add(member);
        parts.back() += ' ' + format_double(score + 0.0);  // -0 may become 0 where a set was small for a while
        return true;
      });
      ordered = true;
  }
  if (!ordered) std::sort(parts.begin(), parts.end());
  std::string text(type_name(entry.type()));
  text += ' ' + std::to_string(entry.expiry());
  for (const std::string& part : parts) text += ' ' + part;
  return text;
}

inline std::map<std::string, std::string> contents(storage::Keyspace& keyspace) {
  std::map<std::string, std::string> texts;
  keyspace.for_each([&](storage::Entry& entry) {
    texts.emplace(entry.key(), value_text(keyspace, entry));
    return true;
  });
  return texts;
}

inline std::string little_endian(uint64_t value, size_t bytes) {
  return {reinterpret_cast<const char*>(&value), bytes};
}

/// A whole file with database 0 of these bytes, and a checksum where it is asked for.
inline std::string file_of(const std::string& records, bool with_checksum = false) {
  std::string file = "REDIS0010" + records + '\xff';
  return file + little_endian(with_checksum ? persistence::crc64(0, file) : 0, 8);
}

/// Loads a file from memory; what is wrong with it, or "" where nothing is.
inline std::string load_error(const std::string& file, Databases& databases, persistence::RdbReader::Options options = {}) {
  persistence::RdbInput in{std::string_view(file)};
  persistence::RdbReader reader(in, databases, options);
  persistence::RdbReader::Progress progress;
  do {
    progress = reader.step(64);
  } while (progress == persistence::RdbReader::Progress::More);
  return progress == persistence::RdbReader::Progress::Done ? "" : std::to_string(in.error()->offset) + ": " + in.error()->text;
}

}  // namespace quartet::test
