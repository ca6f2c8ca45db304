#pragma once

#include <string_view>

namespace quartet::server::lua {

/// Writes the SHA-1 of `bytes` as 40 hex digits in lower case at `out`. It names scripts; nothing is kept secret by it.
void sha1_hex(std::string_view bytes, char* out);

}  // namespace quartet::server::lua
