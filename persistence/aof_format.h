#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "persistence/feed.h"
#include "storage/entry.h"

namespace quartet::persistence {

/// An increment of the append-only file is a row of batches. A batch is what one annotation speaks for, and never ends
/// within a command or a unit:
///
///     #QB:<length>:<synced>:<crc>:<head>\r\n     the annotation, kAnnotationBytes; a comment for redis-server
///     *2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n ...      the body: commands as RESP arrays of bulk strings
///
/// length: 10 hexadecimal digits (small letters), the bytes of the body
/// synced: 12 digits, an offset in this file up to which everything was on disk before this batch was written
/// crc:    8 digits, the CRC-32C of the body
/// head:   8 digits, the CRC-32C of the annotation up to and with the colon before it, begun with the sum of its
///         own offset in the file (8 bytes, little endian), so that a copy elsewhere does not pass for one
///
/// `synced` tells a torn tail from corruption: what lies before an offset that a later annotation calls synced was on
/// disk once, and damage there is corruption. Damage behind it is what a power cut may leave, in any order of pages.
/// An increment begins with an empty batch, which is on disk before the manifest names the file. redis-server appends
/// commands without annotations to such a file; they may follow any batch, and batches may follow them.
///
/// A note (note_format.h) may precede a command of a batch. Changes of several databases are told apart by SELECT,
/// which each file begins with; a unit of several changes stands between MULTI and EXEC, the SELECTs that it needs
/// among them.
struct Annotation {
  uint64_t length = 0;
  uint64_t synced = 0;
  uint32_t body_crc = 0;
};

inline constexpr size_t kAnnotationBytes = 4 + 10 + 1 + 12 + 1 + 8 + 1 + 8 + 2;
inline constexpr std::string_view kAnnotationMark = "#QB:";

/// Writes kAnnotationBytes at `out`; `offset` is where in the file they will stand.
void write_annotation(const Annotation& annotation, uint64_t offset, char* out);
/// The annotation that `text` begins with, if it is one that was written for `offset` and nothing in it has changed.
std::optional<Annotation> read_annotation(std::string_view text, uint64_t offset);

/// Effects on their way to a file, as its bytes: batches with room for their annotations. The thread that executes
/// commands appends, which only copies bytes; the thread that writes calls `finish`, which computes the checksums.
class AofBuffer {
 public:
  AofBuffer() = default;
  AofBuffer(AofBuffer&& other) noexcept { swap(other); }
  AofBuffer& operator=(AofBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AofBuffer();
  void swap(AofBuffer& other) noexcept;

  bool empty() const { return size_ == 0; }
  /// With the annotations, in bytes.
  size_t size() const { return size_; }

  /// What it takes of memory, in bytes.
  size_t memory() const;

  /// Appends a command, behind its note where it has one; where the last batch has limits::kAofBatchBytes already and
  /// `starts_batch` allows it, as the first one of a new batch. Returns the bytes of the command and its note alone.
  /// Throws std::bad_alloc.
  size_t append(std::span<const std::string_view> arguments, bool starts_batch, const storage::Note* note = nullptr);
  /// Appends a batch without commands.
  void append_empty_batch();
  /// Removes bytes of the last batch: what an opened unit turned out not to need.
  void erase(size_t offset, size_t count);
  /// Forgets everything; the memory is kept up to limits::kAofKeptBufferBytes.
  void clear();

  /// Writes the annotations. `offset` is where in the file the first byte will stand, `synced` what is on disk of it.
  void finish(uint64_t offset, uint64_t synced);
  std::string_view bytes() const { return {data_, size_}; }

 private:
  void reserve(size_t more);
  void start_batch();

  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
  std::vector<size_t> batches_;  // where each one's annotation stands
};

}  // namespace quartet::persistence
