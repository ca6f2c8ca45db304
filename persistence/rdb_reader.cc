#include "persistence/rdb_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/numbers.h"
#include "persistence/note_format.h"
#include "storage/string.h"

namespace quartet::persistence {

using rdb::Opcode;

namespace {
/// How much of a key an error shows, in bytes.
constexpr size_t kShown = 64;
}  // namespace

Result<bool> begins_as_rdb(File& file) {
  char bytes[rdb::kMagic.size()];
  size_t have = 0;
  while (have < sizeof bytes) {
    const Result<size_t> read = file.read(have, std::span(bytes).subspan(have));
    if (!read) return read.error();
    if (*read == 0) break;
    have += *read;
  }
  return std::string_view(bytes, have) == rdb::kMagic;
}

RdbReader::~RdbReader() {
  while (arriving_begin_ != arriving_end_) storage::dispose(arriving_[arriving_begin_++ % kArriving].entry);
}

RdbReader::Progress RdbReader::step(uint64_t budget_bytes) {
  const uint64_t until = in_.offset() + std::min(budget_bytes, UINT64_MAX - in_.offset());
  do {
    switch (state_) {
      case State::Start: read_start(); break;
      case State::Records: read_record(); break;
      case State::Value:
        if (!values_.step(until)) end_entry();
        break;
      case State::End: return Progress::Done;
    }
  } while (in_.ok() && in_.offset() < until);
  take_all_in();
  if (!in_.ok()) return Progress::Failed;
  return state_ == State::End ? Progress::Done : Progress::More;
}

void RdbReader::read_start() {
  constexpr size_t kBytes = 9;
  std::string_view start = in_.take(kBytes);
  if (!in_.ok()) return;
  const std::string_view digits = start.substr(rdb::kMagic.size());
  if (!start.starts_with(rdb::kMagic) || digits.find_first_not_of("0123456789") != digits.npos)
    return in_.fail_at(0, "this is no RDB file: it does not begin with REDIS and a version");
  for (const char digit : digits) version_ = 10 * version_ + (digit - '0');
  if (version_ < 1 || version_ > rdb::kVersion)
    return in_.fail_at(rdb::kMagic.size(),
                       fmt::format("version {} of the format is not known; 1 to {} are", version_, rdb::kVersion));
  state_ = State::Records;
  keyspace_ = loader_.database(0);
}

void RdbReader::read_record() {
  const uint8_t first = in_.byte();
  if (!in_.ok()) return;
  switch (static_cast<Opcode>(first)) {
    // A time before the epoch has passed as surely as the epoch has; storage knows no times below it.
    case Opcode::ExpirySeconds: expiry_ms_ = std::max<int64_t>(int64_t{in_.number<int32_t>()} * 1000, 0); return;
    case Opcode::ExpiryMs: expiry_ms_ = std::max<int64_t>(in_.number<int64_t>(), 0); return;
    case Opcode::Idle: in_.length(); return;
    case Opcode::Frequency: in_.byte(); return;
    case Opcode::SelectDatabase: return select_database();
    case Opcode::ResizeDatabase: return make_room();
    case Opcode::Aux: return read_fact();
    case Opcode::Function:
    case Opcode::FunctionPreview:
      return in_.fail("the file holds a library of functions, and there are no functions yet: delete it by FUNCTION "
                      "FLUSH before the file is made");
    case Opcode::ModuleAux: return in_.fail("the file holds data of a module, which cannot be read");
    case Opcode::Eof: return read_end();
  }
  begin_entry(static_cast<rdb::RdbType>(first));
}

void RdbReader::read_fact() {
  const uint64_t begin = in_.offset() - 1;
  const std::string name(in_.string());
  const std::string_view value = in_.string();
  if (!in_.ok()) return;
  if (name != kNoteFact) return loader_.fact(name, value);
  const std::optional<storage::Note> note = parse_note(value);
  if (!note)
    return in_.fail_at(begin, fmt::format("a note that makes no sense: {}", quoted_form(value.substr(0, kShown))));
  note_ = *note;
}

void RdbReader::select_database() {
  take_all_in();
  const uint64_t index = in_.length();
  if (!in_.ok()) return;
  keyspace_ = loader_.database(index);
  if (!keyspace_) in_.fail(fmt::format("there is no database {} here", index));
}

/// The numbers of a file are hints, and no more room is made than such a file could need.
void RdbReader::make_room() {
  const uint64_t entries = in_.length();
  in_.length();  // how many of them expire
  const uint64_t most = std::min<uint64_t>(options_.file_bytes / limits::kRdbEntryBytes, limits::kRdbReservedEntries);
  if (in_.ok() && keyspace_ && most > 0 && keyspace_->size() == 0 && arriving_begin_ == arriving_end_)
    keyspace_->reserve(std::min(entries, most));
}

void RdbReader::fail_twice(uint64_t offset, std::string_view key) {
  in_.fail_at(offset, fmt::format("the key {} is there twice", quoted_form(key.substr(0, kShown))));
}

void RdbReader::begin_entry(rdb::RdbType type) {
  const uint64_t begin = in_.offset() - 1;
  const std::string_view key = in_.string();
  if (!in_.ok()) return;
  if (!keyspace_) return in_.fail_at(begin, "there is no database 0 here");
  if (type == rdb::RdbType::String) {
    key_ = key;
    return read_string(begin);
  }
  take_all_in();
  if (keyspace_->find_raw(key)) return fail_twice(begin, key);
  values_.begin(type, *keyspace_, key, expiry_ms_);
  state_ = State::Value;
}

/// Strings are most often many and small. Each goes into the keyspace only when some others have been read behind it,
/// so that its bucket has arrived by then: one that is not in the cache costs as much as all the rest.
void RdbReader::read_string(uint64_t begin) {
  const std::string_view value = in_.string();
  if (!in_.ok()) return;
  if (arriving_end_ - arriving_begin_ == kArriving) take_in(arriving_[arriving_begin_++ % kArriving]);
  const uint64_t hash = storage::Keyspace::hash(key_);
  keyspace_->prefetch(hash);
  arriving_[arriving_end_++ % kArriving] = {storage::StringValue::make(*keyspace_, key_, value, expiry_ms_), hash,
                                            begin, std::exchange(note_, {})};
  expiry_ms_ = -1;
}

void RdbReader::take_all_in() {
  while (arriving_begin_ != arriving_end_) take_in(arriving_[arriving_begin_++ % kArriving]);
}

void RdbReader::take_in(const Arriving& arriving) {
  storage::Entry* entry = arriving.entry;
  if (!keyspace_->insert_new(arriving.hash, entry)) {
    fail_twice(arriving.offset, entry->key());
    return storage::dispose(entry);
  }
  keyspace_->set_note(entry, arriving.note);
  count(entry);
}

void RdbReader::end_entry() {
  if (!in_.ok()) return;
  state_ = State::Records;
  expiry_ms_ = -1;
  note_ = {};  // only strings have one
  if (storage::Entry* entry = values_.entry()) {
    count(entry);
  } else {
    ++empty_;
  }
}

void RdbReader::count(storage::Entry* entry) {
  if (entry->expired(options_.now_ms)) {
    keyspace_->erase(entry);
    ++expired_;
  } else {
    ++loaded_;
    loader_.loaded(*keyspace_, entry);
  }
}

void RdbReader::read_end() {
  take_all_in();
  state_ = State::End;
  if (version_ < rdb::kChecksumVersion) return;
  const uint64_t computed = options_.verify_checksum ? in_.checksum() : 0;
  const uint64_t begin = in_.offset(), stored = in_.number<uint64_t>();
  if (options_.verify_checksum && stored != 0 && in_.ok() && stored != computed)
    in_.fail_at(begin,
                fmt::format("the checksum is {:016x}, and that of the file {:016x}: it is damaged", stored, computed));
}

}  // namespace quartet::persistence
