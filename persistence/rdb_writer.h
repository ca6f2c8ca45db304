#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/pauses.h"
#include "persistence/rdb_format.h"
#include "storage/entry.h"

namespace quartet::persistence {

/// Appends RDB bytes (rdb_format.h) to a string. It does no I/O, so that it can run on the loop, and allocates nothing
/// but what the string grows by and one scratch buffer that it keeps.
class RdbWriter {
 public:
  /// `out` outlives the writer, and may be emptied or exchanged for another string's contents between two calls.
  /// `compress` is what `rdbcompression` says: strings of more than 20 bytes and up to kLongestCompressed by LZF, where
  /// that makes them shorter.
  RdbWriter(std::string& out, bool compress) : out_(out), compress_(compress) {}

  /// The beginning of a file, with facts about it: redis-server writes redis-ver, redis-bits, ctime, used-mem,
  /// aof-base.
  void header(std::span<const std::pair<std::string_view, std::string_view>> facts);
  /// The entries that follow are in this database; the numbers are hints.
  void begin_database(int index, size_t size, size_t expiring);
  /// One entry, whole.
  void entry(const storage::Entry& entry);
  /// The end of a file. The eight bytes of the checksum behind it are left to whoever writes the file.
  void end();

  // The parts of an entry, as DUMP and RdbEntrySlices need them.

  static rdb::RdbType type_of(const storage::Entry& entry);
  /// Note, expiry, type and key.
  void preface(const storage::Entry& entry);
  void value(const storage::Entry& entry) { value(entry, SIZE_MAX, nullptr); }
  /// The same with pauses after about so many bytes. The entry must not change, nor move, meanwhile.
  void value(const storage::Entry& entry, size_t piece_bytes, Pauses* pauses);

  void length(uint64_t length);
  void string(std::string_view text);
  /// A score as SortedSet2 has it.
  void score(double score);
  /// A node of a ListQuicklist2 from a run of packed elements.
  void list_node(std::string_view elements, size_t count);
  /// Bytes that belong to a string whose length has been written.
  void raw(std::string_view bytes) { out_.append(bytes); }
  bool compresses(size_t bytes) const {
    return compress_ && bytes > kShortestCompressed && bytes <= kLongestCompressed;
  }
  size_t written() const { return out_.size(); }

  /// In bytes. Longer strings are written as they are, so that no one call takes long.
  static constexpr size_t kShortestCompressed = 20, kLongestCompressed = 1024 * 1024;

 private:
  void byte(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void note(storage::Note note);
  void opcode(rdb::Opcode opcode) { byte(static_cast<uint8_t>(opcode)); }
  /// The decimal text of an integer.
  void integer(int64_t value);
  bool small_integer(int64_t value);
  bool compressed(std::string_view text);
  void listpack(std::string_view elements, size_t count);
  void intset(std::string_view block);
  void sorted_set(std::string_view block);

  std::string& out_;
  const bool compress_;
  std::string scratch_;  // a listpack before it is compressed
  std::string packed_;   // compressed bytes before they are known to be fewer
};

/// Writes one entry in slices. The entry must not change, nor move in memory, between the constructor and the last
/// step.
class RdbEntrySlices {
 public:
  RdbEntrySlices(RdbWriter& writer, const storage::Entry& entry);

  /// Appends about so many bytes (never less than one element, which is not divided unless it is a whole string value)
  /// and returns whether more is to come.
  bool step(size_t budget_bytes);

 private:
  bool string_step(size_t budget_bytes);
  bool list_step(size_t budget_bytes);
  bool set_step(size_t budget_bytes);
  bool hash_step(size_t budget_bytes);
  bool sorted_set_step(size_t budget_bytes);

  friend class RdbWriter;
  struct ValueOnly {};
  RdbEntrySlices(RdbWriter& writer, const storage::Entry& entry, ValueOnly) : writer_(writer), entry_(entry) {}

  RdbWriter& writer_;
  const storage::Entry& entry_;
  bool begun_ = false;
  size_t done_ = 0;      // bytes of a string, nodes of a list, members of a sorted set
  uint64_t cursor_ = 0;  // of a set's or hash's table
};

}  // namespace quartet::persistence
