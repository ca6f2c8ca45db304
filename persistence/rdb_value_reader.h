#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "persistence/rdb_blobs.h"
#include "persistence/rdb_input.h"
#include "storage/keyspace.h"
#include "storage/scored_block.h"

namespace quartet::persistence {

/// Reads the value of one entry after the other and makes the entries in a keyspace, large ones in slices. Elements go
/// through the value types, so that what was written under other thresholds, or in an encoding that is no longer
/// written, gets the encoding that it has here. What no writer would have written is an error of the input: a member
/// that stands twice, a score that is no number.
class RdbValueReader {
 public:
  explicit RdbValueReader(RdbInput& in) : in_(in) {}

  /// Begins with the value of `key`. `expiry_ms` is -1 where there is none. REQUIRES: the key is not there, and the
  /// last value has been read to its end or its error.
  void begin(rdb::RdbType type, storage::Keyspace& keyspace, std::string_view key, int64_t expiry_ms);
  /// Goes on until the input's offset has passed `until`, and returns whether more is to come. After an error of the
  /// input nothing of the entry is left.
  bool step(uint64_t until);
  /// The entry, once it has been read; null where it was an empty collection, which is no entry.
  storage::Entry* entry() const { return entry_; }

 private:
  bool next_piece();
  void read_blob();
  void read_string();
  bool read_list_node();
  bool read_field();
  double text_score();
  bool read_scored_member();
  void read_small_set();
  void read_small_sorted_set();

  template <class Reader>
  void fill_list(Reader reader);
  template <class Reader>
  void fill_hash(Reader reader);
  template <class Reader>
  void fill_sorted_set(Reader reader);
  void fill_set(const rdb::IntsetBlob& blob);
  bool copy_packed_hash(std::string_view blob);
  bool copy_list_node(std::string_view blob);
  void copy_packed(storage::Type type, std::string_view elements, size_t count);
  bool any_hash_twice();

  template <class Value>
  Value value();
  bool push(std::string_view value);
  bool add_member(std::string_view member);
  bool set_field(std::string_view field, std::string_view value);
  bool set_score(std::string_view member, double score);
  bool gather(std::string_view member, double score);
  void assign_gathered();
  bool fail(std::string text);
  bool fail_twice(std::string_view name, std::string_view in_what);

  /// A member whose bytes are in texts_.
  struct Gathered {
    double score;
    size_t begin, size;
  };

  RdbInput& in_;
  rdb::RdbType type_{};
  storage::Keyspace* keyspace_ = nullptr;
  storage::Entry* entry_ = nullptr;
  std::string key_;
  int64_t expiry_ms_ = -1;
  uint64_t left_ = 0;  // elements, pairs or nodes
  // Scratch, kept for the next value: texts while others are read, hashes of members, members of a sorted set.
  std::string texts_;
  std::vector<uint64_t> hashes_;
  std::vector<Gathered> gathered_;
  std::vector<storage::ScoredMember> members_;
};

}  // namespace quartet::persistence
