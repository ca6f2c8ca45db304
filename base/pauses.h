#pragma once

#include <cstddef>

namespace quartet {

/// Where long work may stand still for a while, so that other work gets its turn. Whoever does the work says after every few
/// steps how much it has done; whoever lets it be done decides now and then whether it goes on at once.
///
/// Work is counted in elements of a collection, or what takes about as long (50 to 100 ns).
class Pauses {
 public:
  void after(size_t work) {
    if (work < left_) {
      left_ -= work;
    } else {
      left_ = look();
    }
  }

 protected:
  ~Pauses() = default;
  /// Lets time pass for others where it is due, and returns how much work may be done until the next look; at least 1.
  virtual size_t look() = 0;

 private:
  size_t left_ = 1;
};

/// The same where the work may also be short, or wanted in one piece: then `pauses` is null.
inline void breathe(Pauses* pauses, size_t work = 1) {
  if (pauses) pauses->after(work);
}

/// Bytes that are copied, compared or counted, as work.
inline size_t work_of_bytes(size_t bytes) { return bytes / 512 + 1; }
/// So many bytes are dealt with between two pauses.
inline constexpr size_t kPieceBytes = 64 * 1024;

/// memcpy and the setting to zero, of many bytes.
void copy_bytes(char* to, const char* from, size_t bytes, Pauses* pauses);
void clear_bytes(char* to, size_t bytes, Pauses* pauses);

}  // namespace quartet
