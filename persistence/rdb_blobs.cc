#include "persistence/rdb_blobs.h"

#include <cstring>

#include "base/numbers.h"

namespace quartet::persistence::rdb {

namespace {

template <class T>
T load(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

constexpr const char* kCut = "an element is longer than what holds it";
constexpr const char* kCount = "there are not as many elements as the header says";
constexpr const char* kTrailing = "there are bytes behind the end";
constexpr size_t kCountElements = 65535;
/// The first byte of a length of 32 bits, in ziplists and zipmaps.
constexpr uint8_t kWide = 0xfe;

}  // namespace

// Listpacks

ListpackReader::ListpackReader(std::string_view blob) : BlobReader(blob) {
  if (blob.size() <= kListpackHeaderBytes || load<uint32_t>(blob, 0) != blob.size() ||
      static_cast<uint8_t>(blob.back()) != kBlobEnd)
    fail("a listpack has another size than it says");
  at_ = kListpackHeaderBytes;
}

std::string_view ListpackReader::elements() const {
  return blob_.substr(kListpackHeaderBytes, blob_.size() - kListpackHeaderBytes - 1);
}

bool ListpackReader::next(Element& element) {
  namespace detail = storage::packed::detail;
  if (error_) return false;
  if (at_ + 1 == blob_.size()) {
    const size_t stored = load<uint16_t>(blob_, 4);
    return stored != kCountElements && stored != read_ ? fail(kCount) : false;
  }
  const uint8_t first = byte();
  if (first > detail::kInt64) return fail("a listpack holds an element of an unknown kind");
  if (first == 0xf0 && !has(5)) return fail(kCut);
  const detail::Layout layout = detail::layout(blob_.data() + at_);
  const size_t length = layout.prefix + layout.payload, back = detail::back_length_size(length);
  if (!has(length) || !has(length + back)) return fail(kCut);
  for (size_t i = 0; i < back; ++i) {
    // Read from behind, seven bits at a time; the top bit says that more come.
    const uint8_t expected = static_cast<uint8_t>((length >> (7 * i) & 0x7f) | (i + 1 < back ? 0x80 : 0));
    if (byte(length + back - 1 - i) != expected) return fail("a listpack cannot be walked backwards");
  }
  size_t behind;
  element = storage::packed::read_element(blob_, at_, behind);
  if (canonical_) {
    const auto number = element.is_integer() ? std::optional(element.integer) : parse_int(element.bytes);
    canonical_ = number.has_value() == element.is_integer() &&
                 storage::packed::element_size(element.bytes, number) == behind - at_;
  }
  at_ = behind;
  ++read_;
  return true;
}

// Ziplists

namespace {
constexpr size_t kZiplistHeaderBytes = 10;
}

ZiplistReader::ZiplistReader(std::string_view blob) : BlobReader(blob) {
  if (blob.size() <= kZiplistHeaderBytes || load<uint32_t>(blob, 0) != blob.size() ||
      static_cast<uint8_t>(blob.back()) != kBlobEnd)
    fail("a ziplist has another size than it says");
  at_ = kZiplistHeaderBytes;
}

bool ZiplistReader::next(Element& element) {
  if (error_) return false;
  if (at_ + 1 == blob_.size()) {
    const size_t stored = load<uint16_t>(blob_, 8);
    if (stored != kCountElements && stored != read_) return fail(kCount);
    // Where nothing is in it, the last element is where the first would be.
    return load<uint32_t>(blob_, 4) != at_ - last_bytes_ ? fail("a ziplist does not know its last element") : false;
  }
  const size_t begin = at_;
  size_t before = byte();
  if (before == kBlobEnd) return fail(kTrailing);
  ++at_;
  if (before == kWide) {
    if (!has(4)) return fail(kCut);
    before = load<uint32_t>(blob_, at_);
    at_ += 4;
  }
  if (before != last_bytes_) return fail("a ziplist cannot be walked backwards");
  if (!has(1)) return fail(kCut);
  const uint8_t first = byte();
  ++at_;
  const auto integer = [&](size_t bytes, auto decode) {
    if (!has(bytes)) return fail(kCut);
    element = {{}, decode()};
    at_ += bytes;
    return true;
  };
  const auto text = [&](size_t more, size_t bytes) {
    if (!has(more) || !has(more + bytes)) return fail(kCut);
    element = {blob_.substr(at_ + more, bytes), 0};
    at_ += more + bytes;
    return true;
  };
  bool good;
  switch (first >> 6) {
    case 0: good = text(0, first); break;
    case 1: good = has(1) ? text(1, (first & 0x3fu) << 8 | byte()) : fail(kCut); break;
    case 2: good = has(4) ? text(4, __builtin_bswap32(load<uint32_t>(blob_, at_))) : fail(kCut); break;
    default:
      switch (first) {
        case 0xc0: good = integer(2, [&] { return load<int16_t>(blob_, at_); }); break;
        case 0xd0: good = integer(4, [&] { return load<int32_t>(blob_, at_); }); break;
        case 0xe0: good = integer(8, [&] { return load<int64_t>(blob_, at_); }); break;
        case 0xf0:
          good =
              integer(3, [&] { return load<uint16_t>(blob_, at_) | static_cast<int8_t>(blob_[at_ + 2]) * (1 << 16); });
          break;
        case 0xfe: good = integer(1, [&] { return load<int8_t>(blob_, at_); }); break;
        default:
          good = first > 0xf0 && first < 0xfe ? integer(0, [&] { return (first & 0x0f) - 1; })
                                              : fail("a ziplist holds an element of an unknown kind");
      }
  }
  last_bytes_ = at_ - begin;
  ++read_;
  return good;
}

// Zipmaps

ZipmapReader::ZipmapReader(std::string_view blob) : BlobReader(blob) {
  if (blob.size() < 2 || static_cast<uint8_t>(blob.back()) != kBlobEnd) fail("a zipmap has no end");
  at_ = 1;
}

bool ZipmapReader::length(size_t& bytes) {
  if (!has(1)) return fail(kCut);
  bytes = byte();
  if (bytes == kBlobEnd) return fail(kTrailing);
  ++at_;
  if (bytes < kWide) return true;
  if (!has(4)) return fail(kCut);
  bytes = load<uint32_t>(blob_, at_);
  at_ += 4;
  return true;
}

bool ZipmapReader::next(Element& element) {
  if (error_) return false;
  const bool is_value = read_ % 2 == 1;
  if (at_ + 1 == blob_.size() && !is_value) {
    const auto stored = static_cast<uint8_t>(blob_[0]);
    return stored < kWide && stored != read_ / 2 ? fail(kCount) : false;
  }
  size_t bytes, unused = 0;
  if (!length(bytes)) return false;
  if (is_value) {
    if (!has(1)) return fail(kCut);
    unused = byte();
    ++at_;
  }
  if (!has(bytes + unused)) return fail(kCut);
  element = {blob_.substr(at_, bytes), 0};
  at_ += bytes + unused;
  ++read_;
  return true;
}

// Intsets

IntsetBlob::IntsetBlob(std::string_view blob) {
  constexpr size_t kHeader = 8;
  if (blob.size() < kHeader) {
    error = "an intset has no header";
    return;
  }
  const auto stored_width = load<uint32_t>(blob, 0);
  count = load<uint32_t>(blob, 4);
  integers = blob.substr(kHeader);
  if (stored_width != 2 && stored_width != 4 && stored_width != 8) {
    error = "an intset has integers of an impossible size";
    return;
  }
  width = static_cast<int>(stored_width);
  if (integers.size() != count * stored_width) {
    error = "an intset has another size than it says";
    return;
  }
  for (size_t i = 1; i < count; ++i)
    if (at(i - 1) >= at(i)) {
      error = "the integers of an intset do not ascend";
      return;
    }
}

int64_t IntsetBlob::at(size_t index) const {
  switch (width) {
    case 2: return load<int16_t>(integers, 2 * index);
    case 4: return load<int32_t>(integers, 4 * index);
    default: return load<int64_t>(integers, 8 * index);
  }
}

}  // namespace quartet::persistence::rdb
