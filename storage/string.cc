#include "storage/string.h"

#include <malloc.h>

#include <algorithm>
#include <cassert>

#include "base/limits.h"

namespace quartet::storage {

namespace {

size_t block_memory(const void* pointer) { return malloc_usable_size(const_cast<void*>(pointer)); }

/// The block of a Shared entry, borrowed: the entry keeps its reference.
class Borrowed {
 public:
  explicit Borrowed(const Entry& entry) : bytes_(SharedBytes::adopt(entry.pointer())) {}
  Borrowed(const Borrowed&) = delete;
  ~Borrowed() { bytes_.release(); }
  SharedBytes& operator*() { return bytes_; }
  SharedBytes* operator->() { return &bytes_; }

 private:
  SharedBytes bytes_;
};

/// Room for a block that grows: Redis's users append in small pieces, so the block doubles up to a megabyte at a time.
size_t grown_capacity(size_t size) { return size + std::min<size_t>(size, 1024 * 1024); }

/// What an entry has beside its value, as if it had just been made.
void renew(Keyspace& keyspace, Entry*& entry, int64_t expiry_ms, const Note& note) {
  if (entry->expiry() != expiry_ms) keyspace.set_expiry(entry, expiry_ms);
  if (entry->noted() || !note.empty()) keyspace.set_note(entry, note);
  entry->set_fetched(false);
}

}  // namespace

Entry* StringValue::assign(Keyspace& keyspace, Entry* entry, std::string_view key, std::string_view value,
                           int64_t expiry_ms, const Note& note) {
  if (entry) keyspace.before_replace(entry);
  const std::optional<int64_t> number = parse_int(value);
  if (!number) return assign_text(keyspace, entry, key, value, expiry_ms, note);
  if (!entry) {
    entry = keyspace.create(key, Type::String, Encoding::Int, 0, expiry_ms, note);
  } else {
    if (entry->type() != Type::String || entry->encoding() != Encoding::Int)
      keyspace.reset(entry, Type::String, Encoding::Int);
    renew(keyspace, entry, expiry_ms, note);
  }
  entry->set_integer(*number);
  return entry;
}

Entry* StringValue::assign_text(Keyspace& keyspace, Entry* entry, std::string_view key, std::string_view value,
                                int64_t expiry_ms, const Note& note) {
  if (!entry) {
    const bool inside = value.size() <= limits::kInlineStringBytes;
    entry = keyspace.create(key, Type::String, inside ? Encoding::Bytes : Encoding::Shared, inside ? value.size() : 0,
                            expiry_ms, note);
    if (inside) {
      std::memcpy(entry->mutable_bytes(), value.data(), value.size());
      return entry;
    }
  } else {
    keyspace.before_replace(entry);
    if (entry->type() != Type::String) keyspace.reset(entry, Type::String, Encoding::Bytes);
    renew(keyspace, entry, expiry_ms, note);
  }
  StringValue string(keyspace, entry);
  string.assign_bytes(value);
  return string.entry;
}

Entry* StringValue::make(const Keyspace& keyspace, std::string_view key, std::string_view value, int64_t expiry_ms) {
  if (const std::optional<int64_t> number = parse_int(value)) {
    Entry* entry = keyspace.make(key, Type::String, Encoding::Int, 0, expiry_ms);
    entry->set_integer(*number);
    return entry;
  }
  if (value.size() > limits::kInlineStringBytes) {
    SharedBytes block = SharedBytes::copy_of(value);
    Entry* entry = keyspace.make(key, Type::String, Encoding::Shared, 0, expiry_ms);
    entry->set_pointer(block.release());
    return entry;
  }
  Entry* entry = keyspace.make(key, Type::String, Encoding::Bytes, value.size(), expiry_ms);
  if (!value.empty()) std::memcpy(entry->mutable_bytes(), value.data(), value.size());
  return entry;
}

size_t StringValue::size() const {
  char scratch[kNumberChars];
  return view(scratch).size();
}

std::string_view StringValue::view(char* scratch) const {
  switch (entry->encoding()) {
    case Encoding::Int: return {scratch, format_int(entry->integer(), scratch)};
    case Encoding::Shared: return Borrowed(*entry)->view();
    case Encoding::Bytes:
    case Encoding::Packed:
    case Encoding::Intset:
    case Encoding::Table: break;
  }
  assert(entry->encoding() == Encoding::Bytes);
  return entry->bytes();
}

SharedBytes StringValue::shared() const {
  if (entry->encoding() != Encoding::Shared) return {};
  return *Borrowed(*entry);
}

std::optional<int64_t> StringValue::integer() const {
  if (entry->encoding() == Encoding::Int) return entry->integer();
  char scratch[kNumberChars];
  return parse_int(view(scratch));
}

void StringValue::set(std::string_view value) {
  if (const auto number = parse_int(value)) {
    set_integer(*number);
  } else {
    assign_bytes(value);
    entry->forget_cas();
  }
}

void StringValue::set_integer(int64_t value) {
  if (entry->encoding() != Encoding::Int) keyspace.reset(entry, Type::String, Encoding::Int);
  entry->set_integer(value);
  entry->forget_cas();
}

void StringValue::assign_bytes(std::string_view value) {
  if (value.size() <= limits::kInlineStringBytes) {
    keyspace.reset(entry, Type::String, Encoding::Bytes, value.size());
    if (!value.empty()) std::memcpy(entry->mutable_bytes(), value.data(), value.size());
    return;
  }
  assign_block(SharedBytes::copy_of(value));
}

void StringValue::assign_block(SharedBytes block) {
  keyspace.reset(entry, Type::String, Encoding::Shared);
  keyspace.charge(static_cast<int64_t>(block_memory(block.allocation())));
  entry->set_pointer(block.release());
}

void StringValue::take(SharedBytes block) {
  if (block.size() > limits::kInlineStringBytes) {
    assign_block(std::move(block));
  } else {
    assign_bytes(block.view());
  }
  entry->set_modified();
}

size_t StringValue::bytes_to_write(size_t size) const {
  const size_t old_size = this->size();
  if (entry->encoding() == Encoding::Shared) {
    Borrowed block(*entry);
    if (block->unique() && block->capacity() >= size) return size > old_size ? size - old_size : 0;
  }
  return std::max(size, old_size);
}

char* StringValue::writable(size_t size, Pauses* pauses) {
  entry->forget_cas();
  char scratch[kNumberChars];
  const std::string_view old = view(scratch);
  const size_t old_size = old.size();
  size = std::max(size, old_size);
  const bool shared = entry->encoding() == Encoding::Shared;
  if (shared) {
    Borrowed block(*entry);
    if (block->unique() && block->capacity() >= size) {
      clear_bytes(block->data() + old_size, size - old_size, pauses);
      block->set_size(size);
      entry->set_modified();
      return block->data();
    }
  }
  if (shared || size > limits::kInlineStringBytes) {
    // The entry keeps the old value until the new one is whole.
    SharedBytes block = SharedBytes::allocate(size, size > old_size ? grown_capacity(size) : size);
    copy_bytes(block.data(), old.data(), old_size, pauses);
    clear_bytes(block.data() + old_size, size - old_size, pauses);
    char* data = block.data();
    assign_block(std::move(block));
    entry->set_modified();
    return data;
  }
  if (entry->encoding() == Encoding::Int) {
    keyspace.reset(entry, Type::String, Encoding::Bytes, old_size);
    std::memcpy(entry->mutable_bytes(), old.data(), old_size);
  }
  keyspace.resize(entry, size);
  std::memset(entry->mutable_bytes() + old_size, 0, size - old_size);
  entry->set_modified();
  return entry->mutable_bytes();
}

char* StringValue::writable_or_new(Keyspace& keyspace, Entry* entry, std::string_view key, size_t size,
                                   Pauses* pauses) {
  if (entry) return StringValue(keyspace, entry).writable(size, pauses);
  StringValue made(keyspace, keyspace.create(key, Type::String, Encoding::Bytes));
  try {
    return made.writable(size, pauses);
  } catch (...) {
    keyspace.erase(made.entry);
    throw;
  }
}

void StringValue::append(std::string_view tail, Pauses* pauses) {
  const size_t old_size = size();
  char* data = writable(old_size + tail.size(), pauses);
  if (!tail.empty()) std::memcpy(data + old_size, tail.data(), tail.size());
}

}  // namespace quartet::storage
