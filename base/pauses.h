#pragma once

#include <cstddef>

namespace quartet {

/// Where long work may stand still for a while, so that other work gets its turn. Whoever does the work says after
/// every few steps how much it has done; whoever lets it be done decides now and then whether it goes on at once.
///
/// A unit of work is one element of a collection that is looked at, or kBytesOfWork bytes that are copied, compared or
/// counted, which takes about as long: 50 to 100 ns, the memory that is touched for the first time on the way included.
/// An element that is copied is both (work_of_bytes), because one of 100 KB takes as long as several hundred small
/// ones.
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
  /// `work`: so much may be done before the first look.
  explicit Pauses(size_t work = 1) : left_(work) {}
  ~Pauses() = default;
  /// Lets time pass for others where it is due, and returns how much work may be done until the next look; at least 1.
  virtual size_t look() = 0;

 private:
  size_t left_;
};

/// The same where the work may also be short, or wanted in one piece: then `pauses` is null.
inline void breathe(Pauses* pauses, size_t work = 1) {
  if (pauses) pauses->after(work);
}

inline constexpr size_t kBytesOfWork = 128;
/// The work of one element of so many bytes, or of the bytes alone.
inline constexpr size_t work_of_bytes(size_t bytes) { return bytes / kBytesOfWork + 1; }
/// The work of so many elements that have so many bytes altogether.
inline constexpr size_t work_of_elements(size_t count, size_t bytes) { return count + bytes / kBytesOfWork; }
/// So many bytes are dealt with between two pauses.
inline constexpr size_t kPieceBytes = 64 * 1024;

/// memcpy and the setting to zero, of many bytes.
void copy_bytes(char* to, const char* from, size_t bytes, Pauses* pauses);
void clear_bytes(char* to, size_t bytes, Pauses* pauses);

}  // namespace quartet
