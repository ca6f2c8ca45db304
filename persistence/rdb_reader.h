#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "persistence/file.h"
#include "persistence/rdb_input.h"
#include "persistence/rdb_value_reader.h"
#include "storage/keyspace.h"

namespace quartet::persistence {

/// Whether a file begins as one of RDB does.
Result<bool> begins_as_rdb(File& file);

/// What a file's contents go into.
class RdbLoader {
 public:
  virtual ~RdbLoader() = default;
  /// The keyspace of this index, or null where there is none. It stays until the end of the load or the next call.
  virtual storage::Keyspace* database(uint64_t index) = 0;
  /// A fact about the file: redis-ver, ctime, aof-base, ... (and not kNoteFact)
  virtual void fact(std::string_view, std::string_view) {}
  /// An entry has been read to its end, and may be erased.
  virtual void loaded(storage::Keyspace&, storage::Entry*) {}
};

/// Loads an RDB file of version 1 to 10 (rdb_format.h) in slices. What cannot be kept is an error and not left out:
/// streams, functions, data of modules. Only how long ago and how often entries were used (kIdle, kFrequency) is passed
/// over.
class RdbReader {
 public:
  struct Options {
    /// The time in ms since the epoch: entries whose expiry is not behind it are read and dropped. 0 keeps all of them,
    /// as a base needs it whose increments follow.
    int64_t now_ms = 0;
    /// Whether the checksum at the end is compared (where the file has one: 0 stands for none).
    bool verify_checksum = true;
    /// The size of the file, which bounds what room is made for the entries that it says there are; 0: none is.
    uint64_t file_bytes = 0;
  };
  enum class Progress { More, Done, Failed };

  RdbReader(RdbInput& in, RdbLoader& loader, Options options)
      : in_(in), values_(in), loader_(loader), options_(options) {}
  RdbReader(const RdbReader&) = delete;
  RdbReader& operator=(const RdbReader&) = delete;
  ~RdbReader();

  /// Reads about so many bytes. Done after the checksum: the input then stands behind the file, where the commands of
  /// an append-only file may follow. Failed: the input's error says where and why, and what was loaded before remains.
  Progress step(uint64_t budget_bytes);

  /// The version of the format that the file says it has.
  int version() const { return version_; }
  /// Entries loaded, those dropped because they had expired, and empty collections passed over.
  uint64_t loaded() const { return loaded_; }
  uint64_t expired() const { return expired_; }
  uint64_t empty() const { return empty_; }

 private:
  enum class State : uint8_t { Start, Records, Value, End };

  /// A string that has been read, and waits until the bucket that it goes to has arrived in the cache.
  struct Arriving {
    storage::Entry* entry;
    uint64_t hash;
    uint64_t offset;  // of its record
    storage::Note note;
  };
  static constexpr size_t kArriving = 16;

  void read_start();
  void read_record();
  void read_fact();
  void select_database();
  void make_room();
  void begin_entry(rdb::RdbType type);
  void read_string(uint64_t begin);
  void take_in(const Arriving& arriving);
  void take_all_in();
  void end_entry();
  void count(storage::Entry* entry);
  void fail_twice(uint64_t offset, std::string_view key);
  void read_end();

  RdbInput& in_;
  RdbValueReader values_;
  RdbLoader& loader_;
  const Options options_;
  State state_ = State::Start;
  int version_ = 0;
  storage::Keyspace* keyspace_ = nullptr;
  int64_t expiry_ms_ = -1;  // of the entry that follows
  storage::Note note_;      // the same
  std::array<Arriving, kArriving> arriving_;  // a ring, all of keyspace_: those from arriving_begin_ to arriving_end_
  size_t arriving_begin_ = 0, arriving_end_ = 0;
  std::string key_;
  uint64_t loaded_ = 0, expired_ = 0, empty_ = 0;
};

}  // namespace quartet::persistence
