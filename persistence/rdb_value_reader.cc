#include "persistence/rdb_value_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "base/hash.h"
#include "base/numbers.h"
#include "storage/charge_guard.h"
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
constexpr const char* kNotANumber = "a score of a sorted set is not a number";
/// Collections up to this size are gathered before they are made, if they are to be packed: element by element, each
/// addition would look through those before.
constexpr int64_t kGathered = 1024;

bool within(uint64_t value, int64_t bound) { return bound >= 0 && value <= static_cast<uint64_t>(bound); }

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
  texts_.clear();
  hashes_.clear();
  gathered_.clear();
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
    case RdbType::Module2:
      return in_.fail(fmt::format("the value of a module (type {}) cannot be read", static_cast<int>(type)));
    case RdbType::Stream:
    case RdbType::Stream2:
      return in_.fail(
          fmt::format("a stream (type {}) cannot be read: there are no streams yet", static_cast<int>(type)));
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
  if (in_.ok() && left_ > 0 && !entry_) {
    const storage::Thresholds& thresholds = keyspace_->thresholds();
    if (type_ == RdbType::Set && within(left_, std::min(thresholds.set_max_listpack_entries, kGathered))) {
      read_small_set();
    } else if (type_ == RdbType::SortedSet2 &&
               within(left_, std::min(thresholds.zset_max_listpack_entries, kGathered))) {
      read_small_sorted_set();
    }
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
    case RdbType::Set: {
      const std::string_view member = in_.string();
      return in_.ok() && add_member(member);
    }
    case RdbType::Hash: return read_field();
    case RdbType::SortedSet:
    case RdbType::SortedSet2: return read_scored_member();
    default: return read_list_node();
  }
}

void RdbValueReader::read_string() {
  const std::string_view value = in_.string();
  if (in_.ok()) entry_ = storage::StringValue::assign(*keyspace_, nullptr, key_, value, expiry_ms_);
}

bool RdbValueReader::read_field() {
  texts_ = in_.string();
  const std::string_view value = in_.string();
  return in_.ok() && set_field(texts_, value);
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

bool RdbValueReader::read_scored_member() {
  texts_ = in_.string();
  const double score = type_ == RdbType::SortedSet ? text_score() : in_.number<double>();
  return in_.ok() && set_score(texts_, score);
}

/// A set that may be packed here is put together as a packed block.
void RdbValueReader::read_small_set() {
  const uint64_t count = left_;
  bool integers = true;
  size_t longest = 0;
  for (; left_ > 0; --left_) {
    const std::string_view member = in_.string();
    if (!in_.ok()) return;
    const auto number = parse_int(member);
    const size_t begin = texts_.size();
    texts_.resize(begin + packed::element_size(member, number));
    packed::write_element(texts_.data() + begin, member, number);
    hashes_.push_back(hash_bytes(std::string_view(texts_).substr(begin)));
    integers = integers && number;
    longest = std::max(longest, member.size());
  }
  if (!integers && within(longest, keyspace_->thresholds().set_max_listpack_value) &&
      texts_.size() < packed::kMaxBlockBytes && !any_hash_twice())
    return copy_packed(Type::Set, texts_, count);
  char scratch[kNumberChars];
  for (size_t offset = 0; offset < texts_.size();)
    if (!add_member(packed::read_element(texts_, offset, offset).text(scratch))) return;
}

void RdbValueReader::read_small_sorted_set() {
  std::string member;
  for (; left_ > 0; --left_) {
    member = in_.string();
    const double score = in_.number<double>();
    if (!in_.ok() || !gather(member, score)) return;
  }
  assign_gathered();
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
  if (copy_list_node(node)) return true;
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
    if (!gather(member.text(scratch), score_of(score))) return;
  }
  if (reader.error()) fail(reader.error());
  if (in_.ok()) assign_gathered();
}

void RdbValueReader::fill_set(const rdb::IntsetBlob& blob) {
  if (blob.error) {
    fail(blob.error);
    return;
  }
  if (blob.count == 0) return;
  if (within(blob.count, keyspace_->thresholds().set_max_intset_entries) &&
      blob.integers.size() < packed::kMaxBlockBytes) {
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

/// The usual case, that a listpack holds what a packed block here would hold: the elements are copied as they are.
/// False, and nothing done, where that is not so or not known; then it is read element by element.
bool RdbValueReader::copy_packed_hash(std::string_view blob) {
  constexpr size_t kLongestInteger = 20;
  const storage::Thresholds& thresholds = keyspace_->thresholds();
  rdb::ListpackReader reader(blob);
  packed::Element element;
  size_t count = 0;
  for (size_t begin = 0; reader.next(element); ++count) {
    const size_t longest = element.is_integer() ? kLongestInteger : element.bytes.size();
    if (!reader.canonical() || !within(longest, thresholds.hash_max_listpack_value)) return false;
    const size_t end = reader.position();
    // Equal fields are equal bytes.
    if (count % 2 == 0) hashes_.push_back(hash_bytes(reader.elements().substr(begin, end - begin)));
    begin = end;
  }
  if (reader.error() || count == 0 || count % 2 != 0 || !within(count / 2, thresholds.hash_max_listpack_entries))
    return false;
  const std::string_view elements = reader.elements();
  if (elements.size() > packed::kMaxBlockBytes || any_hash_twice()) return false;
  copy_packed(Type::Hash, elements, count);
  return true;
}

/// The same for a node of a list: the only one becomes a packed list, others nodes of a table.
bool RdbValueReader::copy_list_node(std::string_view blob) {
  const auto limit = storage::NodeLimit::from_setting(keyspace_->thresholds().list_max_listpack_size);
  rdb::ListpackReader reader(blob);
  packed::Element element;
  size_t count = 0;
  for (; reader.next(element); ++count)
    if (!reader.canonical()) return false;
  if (reader.error() || count == 0 || count > limit.elements) return false;
  const std::string_view elements = reader.elements();
  if (packed::kHeaderBytes + elements.size() > limit.bytes) return false;
  if (!entry_ && left_ == 1) {
    copy_packed(Type::List, elements, count);
    return true;
  }
  if (!entry_) {
    entry_ = keyspace_->create(key_, Type::List, Encoding::Table, 0, expiry_ms_);
    auto table = std::make_unique<storage::ListTable>();
    keyspace_->charge(static_cast<int64_t>(table->memory()));
    entry_->set_pointer(table.release());
  }
  if (entry_->encoding() != Encoding::Table) return false;
  auto& table = entry_->table<storage::ListTable>();
  storage::ChargeGuard guard(*keyspace_, table);
  table.append_run(elements, count, {elements.size(), limit.elements});
  return true;
}

/// Whether two of the hashes gathered are equal.
bool RdbValueReader::any_hash_twice() {
  std::sort(hashes_.begin(), hashes_.end());
  return std::adjacent_find(hashes_.begin(), hashes_.end()) != hashes_.end();
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

bool RdbValueReader::fail_twice(std::string_view name, std::string_view in_what) {
  return fail(fmt::format("{} is twice in the {}", quoted_form(name.substr(0, kShown)), in_what));
}

bool RdbValueReader::add_member(std::string_view member) {
  auto set = value<storage::SetValue>();
  const bool added = set.add(member);
  entry_ = set.entry;
  return added || fail_twice(member, "set");
}

bool RdbValueReader::set_field(std::string_view field, std::string_view text) {
  auto hash = value<storage::HashValue>();
  const bool added = hash.set(field, text);
  entry_ = hash.entry;
  return added || fail_twice(field, "hash");
}

bool RdbValueReader::set_score(std::string_view member, double score) {
  if (std::isnan(score)) return fail(kNotANumber);
  auto set = value<storage::SortedSetValue>();
  const bool added = set.set(member, score).change == storage::ScoreChange::Added;
  entry_ = set.entry;
  return added || fail_twice(member, "sorted set");
}

/// Remembers a member of a sorted set for `assign_gathered`.
bool RdbValueReader::gather(std::string_view member, double score) {
  if (std::isnan(score)) return fail(kNotANumber);
  gathered_.push_back({score, texts_.size(), member.size()});
  texts_ += member;
  hashes_.push_back(hash_bytes(member));
  return true;
}

/// Makes a sorted set of the members gathered, where there are any.
void RdbValueReader::assign_gathered() {
  if (gathered_.empty()) return;
  members_.clear();
  for (const Gathered& each : gathered_)
    members_.push_back({std::string_view(texts_).substr(each.begin, each.size), each.score});
  if (any_hash_twice()) {
    std::vector<std::string_view> names;
    for (const storage::ScoredMember& each : members_) names.push_back(each.member);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) {
      fail_twice(*twice, "sorted set");
      return;
    }
  }
  std::sort(members_.begin(), members_.end(), [](const storage::ScoredMember& a, const storage::ScoredMember& b) {
    return storage::scored_less(a.score, a.member, b.score, b.member);
  });
  auto set = storage::SortedSetValue::assign(*keyspace_, nullptr, key_, members_);
  if (expiry_ms_ != -1) keyspace_->set_expiry(set.entry, expiry_ms_);
  entry_ = set.entry;
}

}  // namespace quartet::persistence
