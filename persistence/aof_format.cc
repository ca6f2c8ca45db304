#include "persistence/aof_format.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/crc32c.h"
#include "base/limits.h"
#include "persistence/note_format.h"

namespace quartet::persistence {
namespace {

constexpr size_t kLengthDigits = 10, kSyncedDigits = 12, kCrcDigits = 8;
/// What the head's checksum covers.
constexpr size_t kHeadBytes = kAnnotationBytes - kCrcDigits - 2;
/// A type, a number and a line end; behind an argument another line end.
constexpr size_t kHeaderBytes = 1 + 20 + 2, kLineEndBytes = 2;

uint32_t head_crc(const char* annotation, uint64_t offset) {
  char place[8];
  for (size_t i = 0; i < 8; ++i) place[i] = static_cast<char>(offset >> (8 * i));
  return crc32c({annotation, kHeadBytes}, crc32c({place, 8}));
}

char* write_hex(char* out, uint64_t value, size_t digits) {
  for (size_t i = digits; i > 0; --i, value >>= 4) out[i - 1] = "0123456789abcdef"[value & 15];
  return out + digits;
}

/// Reads exactly `digits` digits and the byte `end` behind them.
bool read_hex(const char*& p, size_t digits, char end, uint64_t& value) {
  value = 0;
  for (size_t i = 0; i < digits; ++i) {
    const char c = *p++;
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return false;
    }
  }
  return *p++ == end;
}

char* write_header(char* p, char type, size_t count) {
  *p++ = type;
  p = std::to_chars(p, p + 20, count).ptr;
  *p++ = '\r';
  *p++ = '\n';
  return p;
}

}  // namespace

void write_annotation(const Annotation& annotation, uint64_t offset, char* out) {
  char* p = std::copy(kAnnotationMark.begin(), kAnnotationMark.end(), out);
  p = write_hex(p, annotation.length, kLengthDigits);
  *p++ = ':';
  p = write_hex(p, annotation.synced, kSyncedDigits);
  *p++ = ':';
  p = write_hex(p, annotation.body_crc, kCrcDigits);
  *p++ = ':';
  p = write_hex(p, head_crc(out, offset), kCrcDigits);
  *p++ = '\r';
  *p++ = '\n';
}

std::optional<Annotation> read_annotation(std::string_view text, uint64_t offset) {
  if (text.size() < kAnnotationBytes || !text.starts_with(kAnnotationMark)) return std::nullopt;
  const char* p = text.data() + kAnnotationMark.size();
  Annotation annotation;
  uint64_t body_crc, head;
  if (!read_hex(p, kLengthDigits, ':', annotation.length) || !read_hex(p, kSyncedDigits, ':', annotation.synced) ||
      !read_hex(p, kCrcDigits, ':', body_crc) || !read_hex(p, kCrcDigits, '\r', head) || *p != '\n' ||
      head != head_crc(text.data(), offset)) {
    return std::nullopt;
  }
  annotation.body_crc = static_cast<uint32_t>(body_crc);
  return annotation;
}

size_t AofBuffer::memory() const { return malloc_usable_size(data_); }

AofBuffer::~AofBuffer() { std::free(data_); }

void AofBuffer::swap(AofBuffer& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  batches_.swap(other.batches_);
}

void AofBuffer::reserve(size_t more) {
  if (capacity_ - size_ >= more) return;
  const size_t capacity = std::max(size_ + more, std::max<size_t>(2 * capacity_, 4096));
  void* data = std::realloc(data_, capacity);
  if (!data) throw std::bad_alloc();
  data_ = static_cast<char*>(data);
  capacity_ = capacity;
}

void AofBuffer::start_batch() {
  reserve(kAnnotationBytes);
  batches_.push_back(size_);
  size_ += kAnnotationBytes;
}

void AofBuffer::append_empty_batch() { start_batch(); }

size_t AofBuffer::append(std::span<const std::string_view> arguments, bool starts_batch, const storage::Note* note) {
  if (batches_.empty() || (starts_batch && size_ - batches_.back() >= limits::kAofBatchBytes)) start_batch();
  size_t most = kHeaderBytes;
  if (note) most += kNoteMark.size() + kNoteTextBytes + kLineEndBytes;
  for (const std::string_view argument : arguments) most += kHeaderBytes + argument.size() + kLineEndBytes;
  reserve(most);
  char* p = data_ + size_;
  if (note) {
    p = std::copy(kNoteMark.begin(), kNoteMark.end(), p);
    const std::string text = note_text(*note);
    p = std::copy(text.begin(), text.end(), p);
    *p++ = '\r';
    *p++ = '\n';
  }
  p = write_header(p, '*', arguments.size());
  for (const std::string_view argument : arguments) {
    p = write_header(p, '$', argument.size());
    p = std::copy(argument.begin(), argument.end(), p);
    *p++ = '\r';
    *p++ = '\n';
  }
  const size_t before = size_;
  size_ = static_cast<size_t>(p - data_);
  return size_ - before;
}

void AofBuffer::erase(size_t offset, size_t count) {
  std::memmove(data_ + offset, data_ + offset + count, size_ - offset - count);
  size_ -= count;
}

void AofBuffer::clear() {
  size_ = 0;
  batches_.clear();
  if (capacity_ > limits::kAofKeptBufferBytes) {
    std::free(data_);
    data_ = nullptr;
    capacity_ = 0;
  }
}

void AofBuffer::finish(uint64_t offset, uint64_t synced) {
  for (size_t i = 0; i < batches_.size(); ++i) {
    const size_t body = batches_[i] + kAnnotationBytes;
    const size_t end = i + 1 < batches_.size() ? batches_[i + 1] : size_;
    const Annotation annotation{end - body, synced, crc32c({data_ + body, end - body})};
    write_annotation(annotation, offset + batches_[i], data_ + batches_[i]);
  }
}

}  // namespace quartet::persistence
