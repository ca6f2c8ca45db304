#pragma once

#include <string>
#include <vector>

#include "protocol/output_buffer.h"

namespace quartet::test {

/// What gather() shows, as one string. Few vectors a call, so that the limit is met.
inline std::string gathered(const protocol::OutputBuffer& buffer, size_t count = 1000) {
  std::vector<iovec> vectors(count);
  const size_t filled = buffer.gather(vectors.data(), count);
  std::string text;
  for (size_t i = 0; i < filled; ++i) text.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
  return text;
}

}  // namespace quartet::test
