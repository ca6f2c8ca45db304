// A command that the fuzzer sends, and how far the replies of two servers to it may differ.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "reply.h"

namespace quartet::test {

enum class Agreement {
  exact,         // the same bytes
  unordered,     // an aggregate of the same items in any order
  pairs,         // an aggregate of the same pairs (field and value) in any order
  kind,          // the same type; the content depends on chance, time or memory
  near_seconds,  // integers a few seconds apart
  near_millis,   // the same in milliseconds
};

struct Command {
  std::vector<std::string> arguments;
  Agreement agreement = Agreement::exact;
};

// Whether both replies are right if one is. Errors always have to be the same.
bool agree(Agreement agreement, const Reply& a, const Reply& b);

// The first command of a transaction to which EXEC's replies differ more than that command allows. REQUIRES: each has
// an item for each command.
std::optional<std::size_t> first_disagreement(const std::vector<Command>& queued, const Reply& a, const Reply& b);

// The reply with its items (groups of `width`) in an order that does not depend on the server.
Reply sorted_items(const Reply& reply, std::size_t width);

}  // namespace quartet::test
