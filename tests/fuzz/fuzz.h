#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

/// What the fuzz targets share.
namespace quartet::fuzz {

/// Ends the process where something does not hold.
inline void demand(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "violated: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

/// The input as a source of choices; it gives zeros where it is used up.
class Program {
 public:
  Program(const uint8_t* data, size_t size) : at_(data), end_(data + size) {}
  bool more() const { return at_ < end_; }
  uint8_t byte() { return more() ? *at_++ : 0; }
  std::string bytes(size_t n) {
    n = std::min(n, static_cast<size_t>(end_ - at_));
    std::string text(reinterpret_cast<const char*>(at_), n);
    at_ += n;
    return text;
  }
  template <size_t N>
  std::string_view one_of(const std::array<std::string_view, N>& choices) {
    return choices[byte() % N];
  }

 private:
  const uint8_t* at_;
  const uint8_t* end_;
};

}  // namespace quartet::fuzz
