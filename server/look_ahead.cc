// Fetching into the cache what a batch of requests will look up. A look-up in a large database waits for memory two or
// three times; asked for together, the waits of a whole batch overlap.

#include <algorithm>
#include <array>

#include "server/server.h"

namespace quartet::server {

namespace {

/// So many look-ups at once fit into the first levels of the cache together with what they lead to.
constexpr size_t kLookAhead = 128;

/// Which arguments are keys, as far as the first key specification tells it by position.
struct KeyPositions {
  size_t first = 1, last = 0, step = 1;
};

KeyPositions key_positions(const Command& command, size_t count) {
  if (command.keys.empty()) return {};
  const KeySpec& spec = command.keys.front();
  if (spec.begin != KeySpec::Begin::Index || spec.find != KeySpec::Find::Range) return {};
  const auto first = static_cast<size_t>(spec.index);
  const size_t last = spec.last >= 0 ? first + static_cast<size_t>(spec.last) : count - static_cast<size_t>(-spec.last);
  return {first, std::min(last, count - 1), static_cast<size_t>(spec.step)};
}

/// An element to be looked up in a large value.
struct ElementLookUp {
  const storage::Entry* entry;
  uint64_t hash;
};

}  // namespace

void Server::look_ahead(const Session& session, const Batch& batch) const {
  const storage::Keyspace& db = *databases[static_cast<size_t>(session.database)];
  std::array<uint64_t, kLookAhead> hashes;
  size_t count = 0;
  bool elements = false;
  for (const Batch::Request& request : batch.requests) {
    if (!request.command) continue;
    const size_t arguments = request.end_argument - request.first_argument;
    const KeyPositions keys = key_positions(*request.command->spec, arguments);
    // One look-up alone has nothing to overlap with.
    if (batch.requests.size() == 1 && keys.last <= keys.first) return;
    for (size_t at = keys.first; at <= keys.last && count < hashes.size(); at += keys.step) {
      hashes[count] = storage::Keyspace::hash(batch.arguments[request.first_argument + at]);
      db.prefetch(hashes[count++]);
    }
    elements |= request.command->spec->element != 0;
  }
  for (size_t i = 0; i < count; ++i) db.prefetch_item(hashes[i]);
  if (elements) look_ahead_for_elements(db, batch);
}

void Server::look_ahead_for_elements(const storage::Keyspace& db, const Batch& batch) const {
  std::array<ElementLookUp, limits::kBatchCommands> look_ups;
  size_t count = 0;
  std::string_view key;
  const storage::Entry* entry = nullptr;
  for (const Batch::Request& request : batch.requests) {
    if (!request.command || request.command->spec->element == 0) continue;
    const Args args(batch.arguments.data() + request.first_argument, request.end_argument - request.first_argument);
    const int element = request.command->spec->element;
    const size_t at = element > 0 ? static_cast<size_t>(element) : args.size() - static_cast<size_t>(-element);
    if (at < 2 || at >= args.size()) continue;
    // Pipelines often fill one value.
    if (args[1] != key) entry = db.find_raw(key = args[1]);
    if (!entry || entry->encoding() != storage::Encoding::Table) continue;
    look_ups[count] = {entry, storage::Keyspace::hash(args[at])};
    storage::prefetch_element(*entry, look_ups[count++].hash);
  }
  for (size_t i = 0; i < count; ++i) storage::prefetch_element_item(*look_ups[i].entry, look_ups[i].hash);
}

}  // namespace quartet::server
