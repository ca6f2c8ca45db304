// Everything that a server holds, in a form in which two servers can be compared.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "peer.h"

namespace quartet::test {

struct Entry {
  std::string type;
  std::string encoding;
  long ttl_ms = -1;  // -1: none
  Reply value;       // in an order that does not depend on the server
};

// Entries by database and key, "2/name".
using Dataset = std::map<std::string, Entry>;

inline constexpr int compared_databases = 3;

// Reads databases 0 to 2. The connection speaks RESP2 and is not in a transaction.
Dataset read_dataset(PeerConnection& connection);

// One line for each key that differs; times may differ by a few seconds.
std::vector<std::string> differences(const Dataset& a, const Dataset& b);

// All that a whole SCAN (or SSCAN, HSCAN, ZSCAN: `command` with its key) returns, each once, in order. The
// guarantees of SCAN allow to repeat elements, and two servers may do so differently.
Reply whole_scan(PeerConnection& connection, const std::vector<std::string>& command,
                 const std::vector<std::string>& options);

}  // namespace quartet::test
