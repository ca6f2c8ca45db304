#pragma once

#include <cstdint>
#include <string_view>

namespace quartet {

/// CRC-32C (Castagnoli: polynomial 0x1edc6f41, reflected, as in RFC 3720 appendix B.4) of `bytes`. `before` is the
/// checksum of what precedes them, so that a text can be summed in pieces.
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);
/// The same without the processor's instruction for it, as on machines that have none.
uint32_t crc32c_by_table(std::string_view bytes, uint32_t before = 0);

}  // namespace quartet
