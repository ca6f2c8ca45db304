// A pattern is a row of segments with stars between them; each character of a segment (a byte, a `?`, a class) takes
// one byte of the text. The first segment stands at the beginning of the text and the last one at its end. Of those
// between, each goes to the first place where it fits behind the one before it: if there is any match, there is one
// like this. So no place is tried twice for the sake of another segment, and what is left is to find one segment in a
// text in linear time.

#include "base/glob.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

namespace quartet {

namespace {

constexpr size_t kNone = std::string_view::npos;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// Matches one character against the class that begins behind '[' at `p`; moves `p` behind the class, which does not
/// depend on `c`.
bool match_class(std::string_view pattern, size_t& p, char c, bool ignore_case) {
  const auto fold = [&](char x) { return ignore_case ? lower(x) : x; };
  const bool negated = p < pattern.size() && pattern[p] == '^';
  if (negated) ++p;
  bool matched = false;
  while (p < pattern.size() && pattern[p] != ']') {
    if (pattern[p] == '\\' && p + 1 < pattern.size()) {
      ++p;
      if (fold(pattern[p]) == fold(c)) matched = true;
      ++p;
    } else if (p + 2 < pattern.size() && pattern[p + 1] == '-') {
      auto low = static_cast<unsigned char>(fold(pattern[p])), high = static_cast<unsigned char>(fold(pattern[p + 2]));
      if (low > high) std::swap(low, high);
      const auto value = static_cast<unsigned char>(fold(c));
      if (value >= low && value <= high) matched = true;
      p += 3;
    } else {
      if (fold(pattern[p]) == fold(c)) matched = true;
      ++p;
    }
  }
  if (p < pattern.size()) ++p;
  return matched != negated;
}

/// Whether what stands at `at` in the pattern, which is no star, matches a character; `at` goes behind it.
bool match_one(std::string_view pattern, size_t& at, char c, bool ignore_case) {
  const auto fold = [&](char x) { return ignore_case ? lower(x) : x; };
  const char first = pattern[at++];
  if (first == '?') return true;
  if (first == '[') return match_class(pattern, at, c, ignore_case);
  const bool escaped = first == '\\' && at < pattern.size();
  return fold(escaped ? pattern[at++] : first) == fold(c);
}

/// Steps of a few ns each, as work.
class Steps {
 public:
  explicit Steps(Pauses* pauses) : pauses_(pauses) {}
  void add(size_t steps) {
    steps_ += steps;
    if (steps_ < kAtOnce) return;
    breathe(pauses_, steps_ / kOfWork);
    steps_ = 0;
  }

 private:
  static constexpr size_t kOfWork = 32, kAtOnce = 64 * kOfWork;
  Pauses* pauses_;
  size_t steps_ = 0;
};

/// A part of a pattern without a star.
struct Segment {
  std::string_view pattern;
  size_t length = 0;  // of what it matches
  bool plain = true;  // nothing but bytes that stand for themselves

  /// The one at the beginning of a pattern.
  explicit Segment(std::string_view whole) {
    size_t at = 0;
    for (; at < whole.size() && whole[at] != '*'; ++length) {
      const char first = whole[at];
      if (first == '?' || first == '[' || first == '\\') {
        plain = false;
        match_one(whole, at, 0, false);
      } else {
        ++at;
      }
    }
    pattern = whole.substr(0, at);
  }

  /// How many of the first characters, at most `most`, match the text, which is long enough; `at` goes behind these in
  /// the pattern.
  size_t match(std::string_view text, size_t most, bool ignore_case, size_t& at) const {
    for (size_t i = 0; i < most; ++i)
      if (!match_one(pattern, at, text[i], ignore_case)) return i;
    return most;
  }
  bool matches(std::string_view text, bool ignore_case) const {
    size_t at = 0;
    return match(text, length, ignore_case, at) == length;
  }
};

/// Finds a segment by the bits of which of its beginnings, up to `length` characters, end at a place of the text
/// (Shift-And).
class BitSearch {
 public:
  BitSearch(const Segment& segment, bool ignore_case, Steps& steps)
      : segment_(segment),
        ignore_case_(ignore_case),
        steps_(steps),
        length_(std::min(segment.length, kMostLength)),
        words_((length_ + 63) / 64),
        ends_(words_) {
    begin_of_.fill(kNone);
  }

  size_t find(std::string_view text, size_t from) {
    for (size_t i = from; i < text.size(); ++i) {
      const size_t masks = masks_of(text[i]);
      uint64_t carry = 1;
      for (size_t word = 0; word < words_; ++word) {
        const uint64_t shifted = ends_[word] << 1 | carry;
        carry = ends_[word] >> 63;
        ends_[word] = shifted & masks_[masks + word];
      }
      steps_.add(words_);
      if (!(ends_[words_ - 1] >> ((length_ - 1) % 64) & 1)) continue;
      const size_t found = i + 1 - length_;
      if (length_ == segment_.length) return found;
      if (text.size() - found < segment_.length) return kNone;
      steps_.add(segment_.pattern.size());
      if (segment_.matches(text.substr(found), ignore_case_)) return found;
    }
    return kNone;
  }

 private:
  /// Of longer segments so many characters are searched, and the others compared. It bounds the table to 2 MB.
  static constexpr size_t kMostLength = 64 * 1024;

  /// Where in `masks_` those of a byte stand: which characters of the segment it matches.
  size_t masks_of(char c) {
    size_t& begin = begin_of_[static_cast<unsigned char>(c)];
    if (begin != kNone) return begin;
    begin = masks_.size();
    masks_.resize(begin + words_);
    size_t at = 0;
    for (size_t i = 0; i < length_; ++i)
      if (match_one(segment_.pattern, at, c, ignore_case_)) masks_[begin + i / 64] |= uint64_t{1} << (i % 64);
    steps_.add(at);
    return begin;
  }

  const Segment& segment_;
  const bool ignore_case_;
  Steps& steps_;
  const size_t length_;
  const size_t words_;
  std::vector<uint64_t> ends_;
  std::vector<uint64_t> masks_;
  std::array<size_t, 256> begin_of_;
};

/// The first place from `from` on where a segment matches; kNone where there is none. REQUIRES: the segment is not
/// empty.
size_t find(const Segment& segment, std::string_view text, size_t from, bool ignore_case, Steps& steps) {
  if (text.size() - from < segment.length) return kNone;
  if (segment.plain && !ignore_case) {
    // It is linear, with some 7 ns for each byte where the text is much like the segment.
    steps.add(4 * (text.size() - from));
    const void* found =
        ::memmem(text.data() + from, text.size() - from, segment.pattern.data(), segment.pattern.size());
    return found ? static_cast<size_t>(static_cast<const char*>(found) - text.data()) : kNone;
  }
  // Most often a place is given up after a step or two, and no table is worth it.
  size_t left = 8 * (text.size() - from + segment.pattern.size());
  for (size_t at = from; at + segment.length <= text.size(); ++at) {
    size_t read = 0;
    if (segment.match(text.substr(at), segment.length, ignore_case, read) == segment.length) return at;
    steps.add(read);
    if (read > left) return BitSearch(segment, ignore_case, steps).find(text, at + 1);
    left -= read;
  }
  return kNone;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text, bool ignore_case, Pauses* pauses) {
  Steps steps(pauses);
  steps.add(pattern.size());
  const Segment first(pattern);
  if (text.size() < first.length || !first.matches(text, ignore_case)) return false;
  size_t at = first.length;
  for (pattern.remove_prefix(first.pattern.size()); !pattern.empty();) {
    pattern.remove_prefix(1);  // the star
    const Segment segment(pattern);
    pattern.remove_prefix(segment.pattern.size());
    if (pattern.empty())
      return text.size() - at >= segment.length &&
             segment.matches(text.substr(text.size() - segment.length), ignore_case);
    if (segment.length == 0) continue;
    const size_t found = find(segment, text, at, ignore_case, steps);
    if (found == kNone) return false;
    at = found + segment.length;
  }
  return at == text.size();
}

bool glob_match_beginning(std::string_view pattern, std::string_view beginning) {
  size_t at = 0;
  for (const char c : beginning) {
    if (at == pattern.size()) return false;
    // It takes the rest, and what follows it may stand behind that.
    if (pattern[at] == '*') return true;
    if (!match_one(pattern, at, c, false)) return false;
  }
  return true;
}

}  // namespace quartet
