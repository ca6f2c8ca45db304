#pragma once

#include <cstdint>
#include <string_view>

namespace quartet::persistence {

/// The checksum of RDB files and of DUMP's payloads: CRC-64 with the polynomial of D. Jones, ad93d23594c935a9,
/// reflected, from 0 and not inverted (https://rdb.fnordig.de/file_format.html). "123456789" has e9c6d914c4b8d9ca.
/// `crc` is the checksum of what came before, so that a file can be checked in pieces.
uint64_t crc64(uint64_t crc, std::string_view bytes);

}  // namespace quartet::persistence
