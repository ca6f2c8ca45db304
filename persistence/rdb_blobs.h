#pragma once

#include <cstdint>
#include <string_view>

#include "persistence/rdb_format.h"
#include "storage/packed.h"

/// Whole collections in one string, as RDB files hold them. All numbers are little endian unless it says otherwise.
/// Nothing in a blob is believed: every length is checked against the bytes that are there, the two directions in which
/// a blob can be walked against each other, and its count against its elements.
namespace quartet::persistence::rdb {

using storage::packed::Element;

/// What the readers below share: elements from the front to the back, until there is no more or an error is met.
class BlobReader {
 public:
  /// Null, or what is wrong with the blob.
  const char* error() const { return error_; }

 protected:
  explicit BlobReader(std::string_view blob) : blob_(blob) {}
  bool fail(const char* error) {
    error_ = error;
    return false;
  }
  /// Whether so many bytes are there before the blob's last one.
  bool has(size_t bytes) const { return at_ < blob_.size() && bytes < blob_.size() - at_; }
  uint8_t byte(size_t behind = 0) const { return static_cast<uint8_t>(blob_[at_ + behind]); }

  std::string_view blob_;
  size_t at_ = 0;
  size_t read_ = 0;  // elements
  const char* error_ = nullptr;
};

/// [ bytes: 32 ][ elements: 16; 65535 = count them ][ elements as in storage/packed.h ][ 0xff ]
class ListpackReader : public BlobReader {
 public:
  explicit ListpackReader(std::string_view blob);
  /// False at the end and at an error.
  bool next(Element& element);
  /// Whether all elements read so far have the form that packed::write_element would have given them.
  bool canonical() const { return canonical_; }
  /// All elements, one behind the other, and how many bytes of them have been read. REQUIRES: no error.
  std::string_view elements() const;
  size_t position() const { return at_ - kListpackHeaderBytes; }

 private:
  bool canonical_ = true;
};

/// [ bytes: 32 ][ offset of the last element: 32 ][ elements: 16; 65535 = count them ][ element ] ... [ 0xff ]
/// element: [ length of the one before: 8, or 0xfe and 32 ][ encoding + length ][ bytes, or integer ]
///
///   00xxxxxx, 01xxxxxx +1        bytes, length of 6 and 14 bits, big endian
///   10...... +4                  bytes, length of 32 bits, big endian
///   0xc0 +2, 0xd0 +4, 0xe0 +8, 0xf0 +3, 0xfe +1      integer of so many bytes
///   0xf1 ... 0xfd                integer 0 ... 12
class ZiplistReader : public BlobReader {
 public:
  explicit ZiplistReader(std::string_view blob);
  bool next(Element& element);

 private:
  size_t last_bytes_ = 0;  // of the element before
};

/// [ fields: 8; 254 and more = count them ][ pair ] ... [ 0xff ]
/// pair: [ length ][ field ][ length ][ unused: 8 ][ value ][ unused bytes ]
/// length: 8, or 0xfe and 32
class ZipmapReader : public BlobReader {
 public:
  explicit ZipmapReader(std::string_view blob);
  /// Fields and values in turn.
  bool next(Element& element);

 private:
  bool length(size_t& bytes);
};

/// [ bytes of an integer, 2, 4 or 8: 32 ][ integers: 32 ][ integer ] ..., ascending
struct IntsetBlob {
  explicit IntsetBlob(std::string_view blob);
  int64_t at(size_t index) const;

  int width = 0;
  size_t count = 0;
  std::string_view integers;
  const char* error = nullptr;
};

}  // namespace quartet::persistence::rdb
