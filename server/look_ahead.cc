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
  size_t count() const { return last < first ? 0 : (last - first) / step + 1; }
};

KeyPositions key_positions(const Command& command, size_t count) {
  if (command.keys.empty()) return {};
  const KeySpec& spec = command.keys.front();
  if (spec.begin != KeySpec::Begin::Index || spec.find != KeySpec::Find::Range) return {};
  const auto first = static_cast<size_t>(spec.index);
  const size_t last = spec.last >= 0 ? first + static_cast<size_t>(spec.last) : count - static_cast<size_t>(-spec.last);
  return {first, std::min(last, count - 1), static_cast<size_t>(spec.step)};
}

/// A group of requests, whose look-ups are asked for in three passes: the buckets of the keys, then the entries, and then
/// the elements that are looked up within large values.
class LookUps {
 public:
  /// False where the request has to wait for the next group.
  bool add(const storage::Keyspace& db, const CommandEntry* command, Args args) {
    if (!command) return true;
    const KeyPositions keys = key_positions(*command->spec, args.size());
    // The keys of one request stay together; of one with very many the first are looked up.
    if (key_count_ > 0 && key_count_ + keys.count() > keys_.size()) return false;
    for (size_t at = keys.first; at <= keys.last && key_count_ < keys_.size(); at += keys.step) {
      const Key& key = keys_[key_count_++] = {&db, storage::Keyspace::hash(args[at])};
      db.prefetch(key.hash);
    }
    const int element = command->spec->element;
    const size_t at = element >= 0 ? static_cast<size_t>(element) : args.size() - static_cast<size_t>(-element);
    if (at >= 2 && at < args.size() && element_count_ < elements_.size())
      elements_[element_count_++] = {&db, &args[1], &args[at], nullptr, 0};
    return true;
  }

  void finish() {
    for (size_t i = 0; i < key_count_; ++i) keys_[i].db->prefetch_item(keys_[i].hash);
    size_t large = 0;
    for (size_t i = 0; i < element_count_; ++i) {
      Element& element = elements_[i];
      // Pipelines often fill one value.
      const bool same = i > 0 && *element.key == *elements_[i - 1].key && element.db == elements_[i - 1].db;
      element.entry = same ? elements_[i - 1].entry : element.db->find_raw(*element.key);
      if (!element.entry || element.entry->encoding() != storage::Encoding::Table) continue;
      ++large;
      element.hash = storage::Keyspace::hash(*element.name);
      storage::prefetch_element(*element.entry, element.hash);
    }
    for (size_t i = 0; large > 0 && i < element_count_; ++i) {
      const Element& element = elements_[i];
      if (element.hash != 0) storage::prefetch_element_item(*element.entry, element.hash);
    }
  }

 private:
  struct Key {
    const storage::Keyspace* db;
    uint64_t hash;
  };
  struct Element {
    const storage::Keyspace* db;
    const std::string_view *key, *name;
    const storage::Entry* entry;
    uint64_t hash;  // 0 where the value is not large
  };
  std::array<Key, kLookAhead> keys_;
  std::array<Element, limits::kBatchCommands> elements_;
  size_t key_count_ = 0, element_count_ = 0;
};

}  // namespace

void Input::look_ahead(const Session& session, Batch& batch) const {
  const storage::Keyspace& db = *server_.databases[static_cast<size_t>(session.database)];
  // One look-up alone has nothing to overlap with.
  if (batch.requests.size() == 1) {
    const Batch::Request& request = batch.requests.front();
    if (!request.command || key_positions(*request.command->spec, request.end_argument).count() <= 1) return;
  }
  LookUps look_ups;
  for (; batch.looked_ahead < batch.requests.size(); ++batch.looked_ahead) {
    const Batch::Request& request = batch.requests[batch.looked_ahead];
    if (!look_ups.add(db, request.command, batch.arguments_of(request))) break;
  }
  look_ups.finish();
}

void Input::look_ahead(std::span<BatchedRead> reads) const {
  if (reads.size() == 1) return;
  LookUps look_ups;
  for (BatchedRead& read : reads) {
    Batch& batch = read.batch;
    // A pipeline has its own look-ups to overlap, when it is executed.
    if (!read.session || batch.requests.size() != 1) continue;
    const storage::Keyspace& db = *server_.databases[static_cast<size_t>(read.session->database)];
    if (look_ups.add(db, batch.requests[0].command, batch.arguments_of(batch.requests[0]))) batch.looked_ahead = 1;
  }
  look_ups.finish();
}

}  // namespace quartet::server
