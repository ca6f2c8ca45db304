// Feeds the same bytes to memcached's parser whole and in pieces, each in a heap block of its exact size (so that a read beyond
// the end is seen), and demands the same requests, in the same order, with the same end.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.h"
#include "protocol/memcached_parser.h"

namespace {

using quartet::fuzz::demand;
using quartet::protocol::MemcachedLimits;
using quartet::protocol::MemcachedParser;
using Status = MemcachedParser::Status;

/// What a stream of requests came to, and how many bytes were left over, not counting those that are passed over.
struct Outcome {
  std::vector<std::vector<std::string>> requests;
  std::string end;
  size_t left = 0;
  bool operator==(const Outcome&) const = default;
};

/// Hands the stream over in pieces whose sizes `cuts` tells; without cuts, whole.
Outcome run(std::string_view stream, std::string_view cuts, const MemcachedLimits& limits) {
  Outcome outcome;
  MemcachedParser parser;
  std::vector<std::string_view> words;
  size_t begin = 0, end = cuts.empty() ? stream.size() : 0, needed = 0;
  for (size_t cut = 0;; ++cut) {
    if (!cuts.empty()) end = std::min(stream.size(), end + static_cast<uint8_t>(cuts[cut % cuts.size()]) % 37 + 1);
    while (true) {
      const std::vector<char> input(stream.begin() + static_cast<ptrdiff_t>(begin), stream.begin() + static_cast<ptrdiff_t>(end));
      words.clear();
      const Status status = parser.next({input.data(), input.size()}, limits, words);
      if (status == Status::Incomplete) {
        demand(words.empty(), "an incomplete request appends nothing");
        demand(parser.needed() > input.size(), "an incomplete request needs more");
        needed = parser.needed();
        break;
      }
      demand(input.size() >= needed, "no progress with less than needed()");
      needed = 0;
      if (status == Status::Error) {
        demand(words.empty(), "an error appends nothing");
        outcome.end = parser.binary() ? "binary" : parser.http() ? "http" : std::string(parser.error());
        return outcome;
      }
      demand(parser.consumed() > 0 && parser.consumed() <= input.size(), "consumed() is within the input");
      begin += parser.consumed();
      if (status == Status::Empty) {
        demand(words.empty(), "nothing to execute has no words");
        continue;
      }
      std::vector<std::string> request(words.begin(), words.end());
      if (status == Status::Refused) {
        demand(words.empty(), "a refused line appends nothing");
        request.emplace_back(parser.error());
      } else {
        demand(!words.empty() && !words.front().empty(), "a request has a verb");
      }
      request.push_back(std::to_string(static_cast<int>(status)));
      outcome.requests.push_back(std::move(request));
    }
    if (end == stream.size()) break;
  }
  outcome.left = stream.size() - begin;
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  // The first byte chooses the limits and how many of the bytes behind it are cuts.
  const uint8_t choice = data[0];
  MemcachedLimits limits;
  if (choice & 1) limits.item_bytes = 30;
  if (choice & 2) {
    limits.line_bytes = 40;
    limits.keys_line_bytes = 80;
  }
  const size_t cut_count = std::min<size_t>(size - 1, 1 + (choice >> 4));
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view cuts = all.substr(1, cut_count), stream = all.substr(1 + cut_count);

  const Outcome whole = run(stream, {}, limits);
  demand(run(stream, cuts, limits) == whole, "cuts do not change the outcome");
  demand(run(stream, std::string_view("\0", 1), limits) == whole, "single bytes do not change the outcome");
  return 0;
}
