#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace quartet {

/// Base64 (RFC 4648, section 4) with padding.
std::string base64_encode(std::string_view bytes);
/// Nothing where the text is not one: no character but those of the alphabet, a length that is a multiple of four,
/// padding only at the end. Bits that the padding makes superfluous may be set.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace quartet
