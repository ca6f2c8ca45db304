#pragma once

#include <string_view>

#include "base/pauses.h"

namespace quartet {

/// Whether `text` matches the glob `pattern`: `*`, `?`, `[a-z]`, `[^x]`, and `\` before any of them.
///
/// Time grows with the sum of the lengths, as long as what stands between two stars is either plain bytes or at most 64
/// characters; with their product divided by 64 where it is longer, up to 64 K characters. Throws std::bad_alloc in
/// that case.
bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case = false, Pauses* pauses = nullptr);
/// Whether it may match a text that begins so. True also where what follows in the pattern can match nothing (`[]`).
bool glob_match_beginning(std::string_view pattern, std::string_view beginning);

}  // namespace quartet
