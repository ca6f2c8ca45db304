#include "persistence/crc64.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace quartet::persistence {

namespace {

/// Tables for 16 bytes at a time ("slicing", M. E. Kounavis and F. L. Berry, 2005): table[n][b] is the checksum of byte
/// b with n zero bytes behind it.
constexpr size_t kSlices = 16;
using Tables = std::array<std::array<uint64_t, 256>, kSlices>;

constexpr Tables make_tables() {
  constexpr uint64_t kReflected = 0x95ac9329ac4bc9b5;
  Tables tables{};
  for (uint64_t byte = 0; byte < 256; ++byte) {
    uint64_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ kReflected : crc >> 1;
    tables[0][byte] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice)
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint64_t before = tables[slice - 1][byte];
      tables[slice][byte] = tables[0][before & 0xff] ^ before >> 8;
    }
  return tables;
}

constexpr Tables kTables = make_tables();

uint64_t load(const char* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

/// The checksum of eight bytes with `behind` zero bytes behind them.
uint64_t eight(uint64_t bytes, size_t behind) {
  uint64_t crc = 0;
  for (size_t i = 0; i < 8; ++i) crc ^= kTables[behind + 7 - i][bytes >> (8 * i) & 0xff];
  return crc;
}

}  // namespace

uint64_t crc64(uint64_t crc, std::string_view bytes) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= kSlices; at += kSlices, left -= kSlices) crc = eight(load(at) ^ crc, 8) ^ eight(load(at + 8), 0);
  for (; left > 0; ++at, --left) crc = kTables[0][(crc ^ static_cast<uint8_t>(*at)) & 0xff] ^ crc >> 8;
  return crc;
}

}  // namespace quartet::persistence
