#include "persistence/rdb_writer.h"

#include <lzf.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "base/numbers.h"
#include "base/shared_bytes.h"
#include "persistence/note_format.h"
#include "storage/hash.h"
#include "storage/intset.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"

namespace quartet::persistence {

using rdb::Opcode;
using rdb::RdbType;
using storage::Encoding;
using storage::Entry;
using storage::Type;
namespace packed = storage::packed;

static_assert(std::endian::native == std::endian::little, "integers are copied as they lie in memory");

namespace {

template <class T>
char* store(char* out, T value) {
  std::memcpy(out, &value, sizeof value);
  return out + sizeof value;
}

/// The longest a length and an encoded integer get, in bytes.
constexpr size_t kLengthBytes = 9;

char* store_length(char* out, uint64_t length) {
  if (length < 64) return store(out, static_cast<uint8_t>(length));
  if (length < 16384) return store(out, __builtin_bswap16(static_cast<uint16_t>(length | 0x4000)));
  if (length <= UINT32_MAX) return store(store(out, rdb::kLength32), __builtin_bswap32(static_cast<uint32_t>(length)));
  return store(store(out, rdb::kLength64), __builtin_bswap64(length));
}

/// Whether a score can be an integer of a listpack, which is exact up to there.
bool is_integral(double score) { return std::fabs(score) < 9007199254740992.0 && std::trunc(score) == score; }

/// The bytes of a long string, which lie in a block of their own.
std::string_view shared_view(const Entry& entry) {
  SharedBytes borrowed = SharedBytes::adopt(entry.pointer());
  const std::string_view bytes = borrowed.view();
  borrowed.release();
  return bytes;
}

/// Pairs in a listpack take about as little as integers do; other scores take up to 20 bytes as text and 8 as doubles.
bool all_integral(const storage::ScoredBlock& block) {
  for (size_t rank = 0; rank < block.size(); ++rank)
    if (!is_integral(block.score(rank))) return false;
  return true;
}

RdbType set_type(Encoding encoding) { return encoding == Encoding::Intset ? RdbType::SetIntset : RdbType::Set; }
RdbType hash_type(Encoding encoding) { return encoding == Encoding::Packed ? RdbType::HashListpack : RdbType::Hash; }
RdbType sorted_set_type(const Entry& entry) {
  const bool listpack = entry.encoding() == Encoding::Packed && all_integral(storage::ScoredBlock(entry.bytes()));
  return listpack ? RdbType::SortedSetListpack : RdbType::SortedSet2;
}

}  // namespace

RdbType RdbWriter::type_of(const Entry& entry) {
  switch (entry.type()) {
    case Type::String: return RdbType::String;
    case Type::List: return RdbType::ListQuicklist2;
    case Type::Set: return set_type(entry.encoding());
    case Type::Hash: return hash_type(entry.encoding());
    case Type::SortedSet: return sorted_set_type(entry);
  }
  std::abort();
}

// Records

void RdbWriter::header(std::span<const std::pair<std::string_view, std::string_view>> facts) {
  raw(rdb::kMagic);
  raw("0010");
  static_assert(rdb::kVersion == 10);
  for (const auto& [name, value] : facts) {
    opcode(Opcode::Aux);
    string(name);
    string(value);
  }
}

void RdbWriter::begin_database(int index, size_t size, size_t expiring) {
  opcode(Opcode::SelectDatabase);
  length(static_cast<uint64_t>(index));
  opcode(Opcode::ResizeDatabase);
  length(size);
  length(expiring);
}

void RdbWriter::entry(const Entry& entry) {
  preface(entry);
  value(entry);
}

void RdbWriter::end() { opcode(Opcode::Eof); }

void RdbWriter::preface(const Entry& entry) {
  if (entry.noted()) note(entry.note());
  char start[10];
  char* at = start;
  if (entry.expires()) {
    at = store(at, static_cast<uint8_t>(Opcode::ExpiryMs));
    at = store(at, entry.expiry());
  }
  at = store(at, static_cast<uint8_t>(type_of(entry)));
  raw({start, static_cast<size_t>(at - start)});
  string(entry.key());
}

void RdbWriter::note(storage::Note note) {
  note.cas = 0;
  if (note.empty()) return;
  opcode(Opcode::Aux);
  string(kNoteFact);
  string(note_text(note));
}

// Parts

void RdbWriter::length(uint64_t length) {
  char bytes[kLengthBytes];
  raw({bytes, static_cast<size_t>(store_length(bytes, length) - bytes)});
}

bool RdbWriter::small_integer(int64_t value) {
  char bytes[5];
  char* end;
  if (value >= INT8_MIN && value <= INT8_MAX) {
    end = store(store(bytes, rdb::kInteger8), static_cast<int8_t>(value));
  } else if (value >= INT16_MIN && value <= INT16_MAX) {
    end = store(store(bytes, rdb::kInteger16), static_cast<int16_t>(value));
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    end = store(store(bytes, rdb::kInteger32), static_cast<int32_t>(value));
  } else {
    return false;
  }
  raw({bytes, static_cast<size_t>(end - bytes)});
  return true;
}

void RdbWriter::integer(int64_t value) {
  if (small_integer(value)) return;
  char text[kNumberChars];
  const size_t size = format_int(value, text);
  length(size);
  raw({text, size});
}

void RdbWriter::string(std::string_view text) {
  constexpr size_t kLongestInteger = 11;  // of 32 bits, as text
  if (text.size() <= kLongestInteger) {
    if (const auto number = parse_int(text); number && small_integer(*number)) return;
  } else if (compresses(text.size()) && compressed(text)) {
    return;
  }
  length(text.size());
  raw(text);
}

bool RdbWriter::compressed(std::string_view text) {
  constexpr size_t kGain = 4;  // what compression has to win at least, as redis-server has it
  packed_.resize(text.size() - kGain);
  const unsigned size = lzf_compress(text.data(), static_cast<unsigned>(text.size()), packed_.data(),
                                     static_cast<unsigned>(packed_.size()));
  if (size == 0) return false;
  byte(rdb::kLzf);
  length(size);
  length(text.size());
  raw({packed_.data(), size});
  return true;
}

void RdbWriter::score(double score) {
  char bytes[sizeof score];
  store(bytes, score);
  raw({bytes, sizeof bytes});
}

// Values

void RdbWriter::listpack(std::string_view elements, size_t count) {
  const size_t bytes = rdb::kListpackHeaderBytes + elements.size() + 1;
  char header[rdb::kListpackHeaderBytes];
  store(store(header, static_cast<uint32_t>(bytes)), static_cast<uint16_t>(count < 65535 ? count : 65535));
  if (compresses(bytes)) {
    scratch_.assign(header, sizeof header);
    scratch_.append(elements);
    scratch_.push_back(static_cast<char>(rdb::kBlobEnd));
    return string(scratch_);
  }
  length(bytes);
  raw({header, sizeof header});
  raw(elements);
  byte(rdb::kBlobEnd);
}

void RdbWriter::list_node(std::string_view elements, size_t count) {
  length(rdb::kPackedNode);
  listpack(elements, count);
}

void RdbWriter::intset(std::string_view block) {
  char header[8];
  store(store(header, static_cast<uint32_t>(storage::intset::width(block))),
        static_cast<uint32_t>(storage::intset::count(block)));
  scratch_.assign(header, sizeof header);
  scratch_.append(block.substr(storage::intset::kHeaderBytes));
  string(scratch_);
}

void RdbWriter::sorted_set(std::string_view bytes) {
  const storage::ScoredBlock block(bytes);
  if (!all_integral(block)) {
    length(block.size());
    for (size_t rank = block.size(); rank-- > 0;) {
      string(block.member(rank));
      score(block.score(rank));
    }
    return;
  }
  // Elements first, into the other scratch buffer: `listpack` uses its own.
  packed_.clear();
  for (size_t rank = 0; rank < block.size(); ++rank) {
    const std::string_view member = block.member(rank);
    const auto number = parse_int(member);
    const auto score = static_cast<int64_t>(block.score(rank));
    const size_t before = packed_.size();
    packed_.resize(before + packed::element_size(member, number) + packed::element_size({}, score));
    char* at = packed::write_element(packed_.data() + before, member, number);
    packed::write_element(at, {}, score);
  }
  listpack(packed_, 2 * block.size());
}

void RdbWriter::value(const Entry& entry, size_t piece_bytes, Pauses* pauses) {
  switch (entry.encoding()) {
    case Encoding::Bytes: return string(entry.bytes());
    case Encoding::Int: return integer(entry.integer());
    case Encoding::Intset: return intset(entry.bytes());
    case Encoding::Shared:
    case Encoding::Table: {
      RdbEntrySlices slices(*this, entry, RdbEntrySlices::ValueOnly{});
      while (slices.step(piece_bytes)) breathe(pauses, piece_bytes / 32);
      return;
    }
    case Encoding::Packed: break;
  }
  const std::string_view block = entry.bytes();
  if (entry.type() == Type::SortedSet) return sorted_set(block);
  const size_t count = packed::count(block);
  const std::string_view elements = block.substr(packed::kHeaderBytes);
  if (entry.type() == Type::Hash) return listpack(elements, count);
  if (entry.type() == Type::List) {
    length(1);
    return list_node(elements, count);
  }
  length(count);
  char scratch[kNumberChars];
  for (size_t offset = 0; offset < elements.size();)
    string(packed::read_element(elements, offset, offset).text(scratch));
}

// Slices

RdbEntrySlices::RdbEntrySlices(RdbWriter& writer, const Entry& entry) : writer_(writer), entry_(entry) {
  writer.preface(entry);
}

bool RdbEntrySlices::step(size_t budget_bytes) {
  if (entry_.encoding() == Encoding::Shared) return string_step(budget_bytes);
  if (entry_.encoding() != Encoding::Table) {
    writer_.value(entry_);
    return false;
  }
  if (!begun_)
    writer_.length(entry_.type() == Type::List ? entry_.table<storage::ListTable>().nodes() : length_of(entry_));
  begun_ = true;
  switch (entry_.type()) {
    case Type::List: return list_step(budget_bytes);
    case Type::Set: return set_step(budget_bytes);
    case Type::Hash: return hash_step(budget_bytes);
    case Type::SortedSet: return sorted_set_step(budget_bytes);
    case Type::String: break;
  }
  std::abort();
}

bool RdbEntrySlices::string_step(size_t budget_bytes) {
  const std::string_view text = shared_view(entry_);
  if (writer_.compresses(text.size())) {
    writer_.string(text);
    return false;
  }
  if (!begun_) writer_.length(text.size());
  begun_ = true;
  const std::string_view slice = text.substr(done_, std::max<size_t>(budget_bytes, 1));
  writer_.raw(slice);
  done_ += slice.size();
  return done_ < text.size();
}

bool RdbEntrySlices::list_step(size_t budget_bytes) {
  const auto& list = entry_.table<storage::ListTable>();
  const size_t before = writer_.written();
  do {
    writer_.list_node(list.elements(done_), list.count(done_));
    ++done_;
  } while (done_ < list.nodes() && writer_.written() - before < budget_bytes);
  return done_ < list.nodes();
}

bool RdbEntrySlices::set_step(size_t budget_bytes) {
  const auto& set = entry_.table<storage::SetTable>();
  const size_t before = writer_.written();
  do {
    cursor_ = set.scan(cursor_, [&](const storage::MemberItem& item) { writer_.string(item.text()); });
  } while (cursor_ != 0 && writer_.written() - before < budget_bytes);
  return cursor_ != 0;
}

bool RdbEntrySlices::hash_step(size_t budget_bytes) {
  const auto& hash = entry_.table<storage::HashTable>();
  const size_t before = writer_.written();
  do {
    cursor_ = hash.scan(cursor_, [&](const storage::FieldItem& item) {
      writer_.string(item.field());
      writer_.string(item.value());
    });
  } while (cursor_ != 0 && writer_.written() - before < budget_bytes);
  return cursor_ != 0;
}

bool RdbEntrySlices::sorted_set_step(size_t budget_bytes) {
  // From the highest member down, as redis-server has it, which is the order that its skiplist is fastest to fill in.
  const auto& set = entry_.table<storage::SortedSetTable>();
  const size_t before = writer_.written(), left = set.size() - done_;
  storage::RankTree::visit(set.tree().at(left - 1), left, true, [&](const storage::RankedItem& item) {
    writer_.string(item.member());
    writer_.score(item.score());
    ++done_;
    return writer_.written() - before < budget_bytes;
  });
  return done_ < set.size();
}

}  // namespace quartet::persistence
