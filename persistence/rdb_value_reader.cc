#include "persistence/rdb_value_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/hash.h"
#include "base/numbers.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"
#include "storage/string.h"

namespace quartet::persistence {

using rdb::RdbType;
using storage::Encoding;
using storage::Type;
namespace packed = storage::packed;

namespace {

bool is_blob(RdbType type) {
  switch (type) {
    case RdbType::HashZipmap:
    case RdbType::ListZiplist:
    case RdbType::SetIntset:
    case RdbType::SortedSetZiplist:
    case RdbType::HashZiplist:
    case RdbType::HashListpack:
    case RdbType::SortedSetListpack: return true;
    default: return false;
  }
}

/// How much of a name an error shows, in bytes.
constexpr size_t kShown = 64;

bool within(size_t value, int64_t bound) { return static_cast<int64_t>(value) <= bound; }

/// An element of a sorted set's blob as a score; NaN where it is none.
double score_of(const packed::Element& element) {
  if (element.is_integer()) return static_cast<double>(element.integer);
  return parse_double(element.bytes).value_or(std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

void RdbValueReader::begin(RdbType type, storage::Keyspace& keyspace, std::string_view key, int64_t expiry_ms) {
  type_ = type;
  keyspace_ = &keyspace;
  entry_ = nullptr;
  key_ = key;
  expiry_ms_ = expiry_ms;
  left_ = 0;
  switch (type) {
    case RdbType::String: return;
    case RdbType::List:
    case RdbType::Set:
    case RdbType::SortedSet:
    case RdbType::Hash:
    case RdbType::SortedSet2:
    case RdbType::ListQuicklist:
    case RdbType::ListQuicklist2: left_ = in_.length(); return;
    case RdbType::Module:
    case RdbType::Module2: return in_.fail(fmt::format("the value of a module (type {}) cannot be read", static_cast<int>(type)));
    case RdbType::Stream:
    case RdbType::Stream2: return in_.fail(fmt::format("a stream (type {}) cannot be read: there are no streams yet", static_cast<int>(type)));
    default:
      if (!is_blob(type)) in_.fail(fmt::format("there is no type {}", static_cast<int>(type)));
  }
}

bool RdbValueReader::step(uint64_t until) {
  if (in_.ok() && type_ == RdbType::String) {
    read_string();
  } else if (in_.ok() && is_blob(type_)) {
    read_blob();
  }
  while (left_ > 0 && in_.ok() && next_piece()) {
    --left_;
    if (left_ > 0 && in_.offset() >= until) return true;
  }
  if (!in_.ok() && entry_) {
    keyspace_->erase(entry_);
    entry_ = nullptr;
  }
  return false;
}

bool RdbValueReader::fail(std::string text) {
  in_.fail(std::move(text));
  return false;
}

// Pieces

bool RdbValueReader::next_piece() {
  switch (type_) {
    case RdbType::List: {
      const std::string_view value = in_.string();
      return in_.ok() && push(value);
    }
    case RdbType::Set: return read_member();
    case RdbType::Hash: return read_field();
    case RdbType::SortedSet: return read_scored_member(true);
    case RdbType::SortedSet2: return read_scored_member(false);
    default: return read_list_node();
  }
}

void RdbValueReader::read_string() {
  const std::string_view value = in_.string();
  if (in_.ok()) entry_ = storage::StringValue::assign(*keyspace_, nullptr, key_, value, expiry_ms_);
}

bool RdbValueReader::read_member() {
  const std::string_view member = in_.string();
  return in_.ok() && add_member(member);
}

bool RdbValueReader::read_field() {
  first_ = in_.string();
  const std::string_view value = in_.string();
  return in_.ok() && set_field(first_, value);
}

double RdbValueReader::text_score() {
  const uint8_t length = in_.byte();
  switch (length) {
    case rdb::kScoreNan: return std::numeric_limits<double>::quiet_NaN();
    case rdb::kScoreInfinite: return std::numeric_limits<double>::infinity();
    case rdb::kScoreMinusInfinite: return -std::numeric_limits<double>::infinity();
    default: return parse_double(in_.take(length)).value_or(std::numeric_limits<double>::quiet_NaN());
  }
}

bool RdbValueReader::read_scored_member(bool as_text) {
  first_ = in_.string();
  const double score = as_text ? text_score() : in_.number<double>();
  return in_.ok() && set_score(first_, score);
}

bool RdbValueReader::read_list_node() {
  if (type_ == RdbType::ListQuicklist) {
    const std::string_view blob = in_.string();
    if (in_.ok()) fill_list(rdb::ZiplistReader(blob));
    return in_.ok();
  }
  const uint64_t kind = in_.length();
  const std::string_view node = in_.string();
  if (!in_.ok()) return false;
  if (kind == rdb::kPlainNode) return push(node);
  if (kind != rdb::kPackedNode) return fail(fmt::format("the node of a list is of the unknown kind {}", kind));
  if (!entry_ && left_ == 1 && copy_packed_list(node)) return true;
  fill_list(rdb::ListpackReader(node));
  return in_.ok();
}

// Blobs

void RdbValueReader::read_blob() {
  const std::string_view blob = in_.string();
  if (!in_.ok()) return;
  switch (type_) {
    case RdbType::HashZipmap: return fill_hash(rdb::ZipmapReader(blob));
    case RdbType::HashZiplist: return fill_hash(rdb::ZiplistReader(blob));
    case RdbType::HashListpack:
      if (!copy_packed_hash(blob)) fill_hash(rdb::ListpackReader(blob));
      return;
    case RdbType::ListZiplist: return fill_list(rdb::ZiplistReader(blob));
    case RdbType::SetIntset: return fill_set(rdb::IntsetBlob(blob));
    case RdbType::SortedSetZiplist: return fill_sorted_set(rdb::ZiplistReader(blob));
    default: return fill_sorted_set(rdb::ListpackReader(blob));
  }
}

template <class Reader>
void RdbValueReader::fill_list(Reader reader) {
  packed::Element element;
  char scratch[kNumberChars];
  while (reader.next(element)) push(element.text(scratch));
  if (reader.error()) fail(reader.error());
}

template <class Reader>
void RdbValueReader::fill_hash(Reader reader) {
  packed::Element field, value;
  char field_scratch[kNumberChars], value_scratch[kNumberChars];
  while (reader.next(field)) {
    if (!reader.next(value)) {
      if (!reader.error()) fail("the last field of a hash has no value");
      break;
    }
    if (!set_field(field.text(field_scratch), value.text(value_scratch))) return;
  }
  if (reader.error()) fail(reader.error());
}

template <class Reader>
void RdbValueReader::fill_sorted_set(Reader reader) {
  packed::Element member, score;
  char scratch[kNumberChars];
  while (reader.next(member)) {
    if (!reader.next(score)) {
      if (!reader.error()) fail("the last member of a sorted set has no score");
      break;
    }
    if (!set_score(member.text(scratch), score_of(score))) return;
  }
  if (reader.error()) fail(reader.error());
}

void RdbValueReader::fill_set(const rdb::IntsetBlob& blob) {
  if (blob.error) {
    fail(blob.error);
    return;
  }
  if (blob.count == 0) return;
  if (within(blob.count, keyspace_->thresholds().set_max_intset_entries) && blob.integers.size() < packed::kMaxBlockBytes) {
    const size_t bytes = storage::intset::kHeaderBytes + blob.integers.size();
    entry_ = keyspace_->create(key_, Type::Set, Encoding::Intset, bytes, expiry_ms_);
    char* block = entry_->mutable_bytes();
    storage::intset::set_width(block, blob.width);
    std::memcpy(block + storage::intset::kHeaderBytes, blob.integers.data(), blob.integers.size());
    return;
  }
  char scratch[kNumberChars];
  for (size_t i = 0; i < blob.count; ++i) add_member({scratch, format_int(blob.at(i), scratch)});
}

/// The usual case, that a listpack holds what a packed block here would hold: the elements are copied as they are. False,
/// and nothing done, where that is not so or not known; then it is read element by element.
bool RdbValueReader::copy_packed_hash(std::string_view blob) {
  const storage::Thresholds& thresholds = keyspace_->thresholds();
  rdb::ListpackReader reader(blob);
  packed::Element element;
  size_t count = 0;
  hashes_.clear();
  for (size_t begin = 0; reader.next(element); ++count) {
    if (!reader.canonical() || !within(element.text_size(), thresholds.hash_max_listpack_value)) return false;
    const size_t end = reader.position();
    // Equal fields are equal bytes.
    if (count % 2 == 0) hashes_.push_back(hash_bytes(reader.elements().substr(begin, end - begin)));
    begin = end;
  }
  if (reader.error() || count == 0 || count % 2 != 0 || !within(count / 2, thresholds.hash_max_listpack_entries))
    return false;
  const std::string_view elements = reader.elements();
  if (elements.size() > packed::kMaxBlockBytes) return false;
  std::sort(hashes_.begin(), hashes_.end());
  if (std::adjacent_find(hashes_.begin(), hashes_.end()) != hashes_.end()) return false;
  copy_packed(Type::Hash, elements, count);
  return true;
}

/// The same for a list of one node.
bool RdbValueReader::copy_packed_list(std::string_view blob) {
  const auto limit = storage::NodeLimit::from_setting(keyspace_->thresholds().list_max_listpack_size);
  rdb::ListpackReader reader(blob);
  packed::Element element;
  size_t count = 0;
  for (; reader.next(element); ++count)
    if (!reader.canonical()) return false;
  if (reader.error() || count == 0 || count > limit.elements ||
      packed::kHeaderBytes + reader.elements().size() > limit.bytes)
    return false;
  copy_packed(Type::List, reader.elements(), count);
  return true;
}

void RdbValueReader::copy_packed(Type type, std::string_view elements, size_t count) {
  entry_ = keyspace_->create(key_, type, Encoding::Packed, packed::kHeaderBytes + elements.size(), expiry_ms_);
  packed::set_count(entry_->mutable_bytes(), count);
  std::memcpy(entry_->mutable_bytes() + packed::kHeaderBytes, elements.data(), elements.size());
}

// Elements

/// The entry comes to be with its first element: an empty collection is none.
template <class Value>
Value RdbValueReader::value() {
  if (entry_) return {*keyspace_, entry_};
  Value made = Value::create(*keyspace_, key_);
  if (expiry_ms_ != -1) keyspace_->set_expiry(made.entry, expiry_ms_);
  return made;
}

bool RdbValueReader::push(std::string_view element) {
  auto list = value<storage::ListValue>();
  list.push(storage::End::Tail, element);
  entry_ = list.entry;
  return true;
}

bool RdbValueReader::add_member(std::string_view member) {
  auto set = value<storage::SetValue>();
  const bool added = set.add(member);
  entry_ = set.entry;
  return added || fail(fmt::format("{} is twice in the set", quoted_form(member.substr(0, kShown))));
}

bool RdbValueReader::set_field(std::string_view field, std::string_view text) {
  auto hash = value<storage::HashValue>();
  const bool added = hash.set(field, text);
  entry_ = hash.entry;
  return added || fail(fmt::format("{} is twice in the hash", quoted_form(field.substr(0, kShown))));
}

bool RdbValueReader::set_score(std::string_view member, double score) {
  if (std::isnan(score)) return fail("a score of a sorted set is not a number");
  auto set = value<storage::SortedSetValue>();
  const bool added = set.set(member, score).change == storage::ScoreChange::Added;
  entry_ = set.entry;
  return added || fail(fmt::format("{} is twice in the sorted set", quoted_form(member.substr(0, kShown))));
}

}  // namespace quartet::persistence
