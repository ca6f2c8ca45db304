#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

namespace quartet::server {

/// Bytes of a client that are not executed yet: the unfinished tail of a read, or what came behind a blocked command.
/// It grows without touching the new bytes, because the socket writes them.
class InputBuffer {
 public:
  InputBuffer() = default;
  InputBuffer(const InputBuffer&) = delete;
  InputBuffer& operator=(const InputBuffer&) = delete;
  ~InputBuffer() { std::free(data_); }

  bool empty() const { return begin_ == end_; }
  size_t size() const { return end_ - begin_; }
  size_t capacity() const { return capacity_; }
  std::string_view view() const { return {data_ + begin_, size()}; }

  /// Room for at least `n` more bytes behind the last one. Throws std::bad_alloc.
  char* room(size_t n) {
    if (begin_ > 0 && capacity_ - end_ < n) {
      std::memmove(data_, data_ + begin_, size());
      end_ -= begin_;
      begin_ = 0;
    }
    if (capacity_ - end_ < n) {
      const size_t wanted = end_ + n;
      void* grown = std::realloc(data_, wanted);
      if (!grown) throw std::bad_alloc();
      data_ = static_cast<char*>(grown);
      capacity_ = wanted;
    }
    return data_ + end_;
  }
  size_t room_left() const { return capacity_ - end_; }
  /// `n` bytes were written into the room.
  void extend(size_t n) { end_ += n; }
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
    extend(bytes.size());
  }
  /// Gives back room that a short request does not need while its rest is awaited: a client that sends it byte by byte, or
  /// never, holds about what it has sent.
  void trim() {
    if (capacity_ >= 2 * kShort && size() <= kShort && !empty()) shrink();
  }
  /// Drops the first `n` bytes; an empty buffer holds no memory.
  void consume(size_t n) {
    begin_ += n;
    if (begin_ < end_) return;
    std::free(std::exchange(data_, nullptr));
    begin_ = end_ = capacity_ = 0;
  }

 private:
  static constexpr size_t kShort = 16 * 1024;

  void shrink() {
    std::memmove(data_, data_ + begin_, size());
    end_ -= begin_;
    begin_ = 0;
    void* shrunk = std::realloc(data_, end_);
    if (!shrunk) return;  // the larger block is still there
    data_ = static_cast<char*>(shrunk);
    capacity_ = end_;
  }

  char* data_ = nullptr;
  size_t begin_ = 0, end_ = 0, capacity_ = 0;
};

}  // namespace quartet::server
