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

/// Elements that are looked up within large values.
class Elements {
 public:
  explicit Elements(const storage::Keyspace& db) : db_(db) {}

  void add(const Command& command, Args args) {
    const int element = command.element;
    const size_t at = element > 0 ? static_cast<size_t>(element) : args.size() - static_cast<size_t>(-element);
    if (at < 2 || at >= args.size()) return;
    // Pipelines often fill one value.
    if (args[1] != key_) entry_ = db_.find_raw(key_ = args[1]);
    if (!entry_ || entry_->encoding() != storage::Encoding::Table) return;
    const LookUp& look_up = look_ups_[count_++] = {entry_, storage::Keyspace::hash(args[at])};
    storage::prefetch_element(*look_up.entry, look_up.hash);
  }
  void prefetch_items() const {
    for (size_t i = 0; i < count_; ++i) storage::prefetch_element_item(*look_ups_[i].entry, look_ups_[i].hash);
  }

 private:
  struct LookUp {
    const storage::Entry* entry;
    uint64_t hash;
  };
  const storage::Keyspace& db_;
  std::string_view key_;
  const storage::Entry* entry_ = nullptr;
  std::array<LookUp, limits::kBatchCommands> look_ups_;
  size_t count_ = 0;
};

}  // namespace

size_t Server::look_ahead(const Session& session, const Batch& batch, size_t from) const {
  const storage::Keyspace& db = *databases[static_cast<size_t>(session.database)];
  std::array<uint64_t, kLookAhead> hashes;
  size_t count = 0;
  bool elements = false;
  size_t end = from;
  for (; end < batch.requests.size(); ++end) {
    const Batch::Request& request = batch.requests[end];
    if (!request.command) continue;
    const Args args = batch.arguments_of(request);
    const KeyPositions keys = key_positions(*request.command->spec, args.size());
    // One look-up alone has nothing to overlap with.
    if (batch.requests.size() == 1 && keys.last <= keys.first) return 1;
    // The keys of one request stay together; of one with very many the first are looked up.
    const size_t wanted = keys.last < keys.first ? 0 : (keys.last - keys.first) / keys.step + 1;
    if (end > from && count + wanted > hashes.size()) break;
    for (size_t at = keys.first; at <= keys.last && count < hashes.size(); at += keys.step) {
      hashes[count] = storage::Keyspace::hash(args[at]);
      db.prefetch(hashes[count++]);
    }
    elements |= request.command->spec->element != 0;
  }
  for (size_t i = 0; i < count; ++i) db.prefetch_item(hashes[i]);
  if (!elements) return end;

  Elements look_ups(db);
  for (size_t i = from; i < end; ++i) {
    const Batch::Request& request = batch.requests[i];
    if (request.command && request.command->spec->element != 0)
      look_ups.add(*request.command->spec, batch.arguments_of(request));
  }
  look_ups.prefetch_items();
  return end;
}

}  // namespace quartet::server
