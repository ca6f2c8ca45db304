// Feeds the same bytes to the request parser whole and in pieces, each in a heap block of its exact size (so that a read
// beyond the end is seen), and demands the same requests, in the same order, with the same end.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz.h"
#include "protocol/request_parser.h"

namespace {

using quartet::fuzz::demand;
using quartet::protocol::ParserLimits;
using quartet::protocol::RequestParser;

/// What a stream of requests came to: a line for every request, the error, and how many bytes were left over.
struct Outcome {
  std::vector<std::vector<std::string>> requests;
  std::string error;
  size_t left = 0;
  bool operator==(const Outcome&) const = default;
};

/// Hands the stream over in pieces whose sizes `cuts` tells; without cuts, whole.
Outcome run(std::string_view stream, std::string_view cuts, const ParserLimits& limits) {
  Outcome outcome;
  RequestParser parser;
  std::vector<std::string_view> arguments;
  size_t begin = 0, end = cuts.empty() ? stream.size() : 0, needed = 0;
  for (size_t cut = 0;; ++cut) {
    if (!cuts.empty()) end = std::min(stream.size(), end + static_cast<uint8_t>(cuts[cut % cuts.size()]) % 37 + 1);
    while (true) {
      const std::vector<char> input(stream.begin() + static_cast<ptrdiff_t>(begin),
                                    stream.begin() + static_cast<ptrdiff_t>(end));
      arguments.clear();
      const auto status = parser.next({input.data(), input.size()}, limits, arguments);
      if (status == RequestParser::Status::Incomplete) {
        demand(arguments.empty(), "an incomplete request appends nothing");
        demand(parser.needed() > input.size(), "an incomplete request needs more");
        needed = parser.needed();
        break;
      }
      // The promise of needed() is that fewer bytes cannot get further.
      demand(input.size() >= needed, "no progress with less than needed()");
      needed = 0;
      if (status == RequestParser::Status::Error) {
        demand(arguments.empty(), "an error appends nothing");
        outcome.error = parser.error();
        return outcome;
      }
      demand(parser.consumed() > 0 && parser.consumed() <= input.size(), "consumed() is within the input");
      demand(arguments.empty() == (status == RequestParser::Status::Empty), "only an empty request has no arguments");
      outcome.requests.emplace_back(arguments.begin(), arguments.end());
      begin += parser.consumed();
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
  ParserLimits limits;
  limits.authenticated = choice & 1;
  if (choice & 2) {
    limits.inline_bytes = 48;
    limits.bulk_bytes = 100;
    limits.arguments = 20;
  }
  const size_t cut_count = std::min<size_t>(size - 1, 1 + (choice >> 4));
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view cuts = all.substr(1, cut_count), stream = all.substr(1 + cut_count);

  const Outcome whole = run(stream, {}, limits);
  demand(run(stream, cuts, limits) == whole, "cuts do not change the outcome");
  demand(run(stream, std::string_view("\0", 1), limits) == whole, "single bytes do not change the outcome");
  return 0;
}
