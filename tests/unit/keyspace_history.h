#pragma once

#include <array>
#include <map>
#include <string>

#include "keyspace_fixture.h"
#include "random_history.h"

namespace quartet::test {

/// Keyspaces whose entries are changed by random operations in the ways that commands have. No operation knows of snapshots, but
/// for the call that Context::find_write makes.
class KeyspaceHistory {
 public:
  static constexpr int kKeyspaces = 3;
  /// So few that many entries are larger.
  static constexpr size_t kLargeBytes = 1500;

  explicit KeyspaceHistory(uint64_t seed) : random_(seed) {
    thresholds_.hash_max_listpack_entries = thresholds_.set_max_intset_entries = thresholds_.set_max_listpack_entries = 8;
    thresholds_.zset_max_listpack_entries = 8;
    thresholds_.list_max_listpack_size = 8;
  }

  /// What keys hold, with their expiry.
  using Dump = std::map<std::string, std::string, std::less<>>;
  Dump dump(const storage::Keyspace& keyspace) {
    Dump all;
    keyspace.for_each([&](const storage::Entry& entry) { return all.emplace(entry.key(), describe(entry)), true; });
    return all;
  }
  std::string describe(const storage::Entry& entry) {
    return std::to_string(entry.expiry()) + " " + contents(entry, keyspaces_[0]);
  }
  storage::Keyspace& keyspace(int index) { return keyspaces_[static_cast<size_t>(index)]; }
  Observer& observer() { return observer_; }
  void clean_marks(size_t buckets) {
    for (storage::Keyspace& each : keyspaces_) each.clean_marks(buckets);
  }
  /// What is accounted for is what counting finds.
  void check_account() {
    for (storage::Keyspace& each : keyspaces_) {
      REQUIRE(each.memory() == memory_by_counting(each));
      std::array<size_t, storage::kTypes> counts{};
      each.for_each([&](const storage::Entry& entry) { return ++counts[static_cast<size_t>(entry.type())], true; });
      for (size_t type = 0; type < counts.size(); ++type) REQUIRE(each.count(static_cast<storage::Type>(type)) == counts[type]);
    }
  }

  void step() {
    using namespace storage;
    Keyspace& db = keyspaces_[random_.below(kKeyspaces)];
    ++now_;
    const uint64_t choice = random_.below(1000);
    if (choice < 2) return db.clear();
    if (choice < 6) return db.swap_contents(keyspaces_[random_.below(kKeyspaces)]);
    if (choice < 10) return grow(db);
    if (choice < 13) return shrink(db);
    if (choice < 40) {
      size_t looked_at = 0;
      db.expire_slice(now_, random_.below(40), looked_at);
      return;
    }
    const std::string key = random_key();
    Entry* entry = db.find(key, now_);
    if (!entry || choice < 130) return set(db, entry, key);
    if (choice < 180) return db.erase(entry);
    if (choice < 260) return db.set_expiry(entry, random_.below(3) ? now_ + 1 + static_cast<int64_t>(random_.below(500)) : -1);
    if (choice < 300) return move(db, entry, key);
    if (choice < 350) return rename(db, entry);
    if (choice < 400) return copy(entry);
    change(db, entry);
  }

 private:
  std::string random_key() {
    return random_.below(9) ? "key" + std::to_string(random_.below(300))
                            : std::string(200 + random_.below(100), static_cast<char>('a' + random_.below(4)));
  }
  int64_t random_expiry() { return random_.below(3) ? -1 : now_ + 1 + static_cast<int64_t>(random_.below(500)); }

  /// As SET does, or one of the commands that make a collection.
  void set(storage::Keyspace& db, storage::Entry* entry, const std::string& key) {
    using namespace storage;
    const uint64_t kind = random_.below(8);
    if (kind < 3) {
      const std::string value = random_.below(12) ? random_text(random_, 300) : std::string(17000 + random_.below(9000), 'x');
      kind == 0 ? StringValue::assign_text(db, entry, key, value, random_expiry())
                : StringValue::assign(db, entry, key, value, random_expiry());
      return;
    }
    if (kind == 3) {
      std::vector<std::string> names;
      for (uint64_t i = random_.below(120) + 1; i > 0; --i) names.push_back("member" + std::to_string(1000 + i));
      std::reverse(names.begin(), names.end());
      std::vector<ScoredMember> members;
      for (const std::string& name : names) members.push_back({name, 1.0});
      SortedSetValue::assign(db, entry, key, members);
      return;
    }
    if (entry) db.erase(entry);
    Entry* made;
    switch (kind) {
      case 4: made = ListValue::create(db, key).entry; break;
      case 5: made = SetValue::create(db, key).entry; break;
      case 6: made = HashValue::create(db, key).entry; break;
      default: made = SortedSetValue::create(db, key).entry; break;
    }
    fill(db, made, random_.below(4) ? random_.below(12) + 1 : random_.below(150) + 1);
  }

  /// In place, as the handlers that got the entry by find_write do.
  void change(storage::Keyspace& db, storage::Entry* entry) {
    using namespace storage;
    db.before_change(entry);
    if (random_.below(8) == 0) return db.reset(entry, Type::String, Encoding::Int);
    if (entry->type() != Type::String) return fill(db, entry, random_.below(6) + 1);
    StringValue value(db, entry);
    switch (random_.below(4)) {
      case 0: return value.append(random_text(random_, 200));
      case 1: value.writable(random_.below(400)); return;
      case 2: return value.set_integer(static_cast<int64_t>(random_.next()));
      default: return value.set(random_text(random_, 300));
    }
  }

  void fill(storage::Keyspace& db, storage::Entry* entry, uint64_t changes) {
    using namespace storage;
    for (; changes > 0; --changes) {
      const std::string text = random_.below(2) ? random_text(random_, 60) : "m" + std::to_string(random_.below(500));
      const bool removes = random_.below(5) == 0;
      switch (entry->type()) {
        case Type::List: {
          ListValue list(db, entry);
          removes && list.size() > 1 ? list.drop(End::Head) : list.push(random_.below(2) ? End::Tail : End::Head, text);
          entry = list.entry;
          break;
        }
        case Type::Set: {
          SetValue set(db, entry);
          removes ? set.remove(text) : set.add(text);
          entry = set.entry;
          break;
        }
        case Type::Hash: {
          HashValue hash(db, entry);
          removes ? hash.erase(text) : hash.set(text, random_text(random_, 60));
          entry = hash.entry;
          break;
        }
        default: {
          SortedSetValue set(db, entry);
          removes ? static_cast<void>(set.erase(text)) : static_cast<void>(set.set(text, static_cast<double>(random_.below(100))));
          entry = set.entry;
        }
      }
    }
    if (length_of(*entry) == 0) db.erase(entry);
  }

  void move(storage::Keyspace& db, storage::Entry* entry, const std::string& key) {
    storage::Keyspace& other = keyspaces_[random_.below(kKeyspaces)];
    if (&other != &db && !other.find(key, now_)) other.insert(db.unlink(entry));
  }
  void rename(storage::Keyspace& db, storage::Entry* entry) {
    const std::string to = random_key();
    if (to == entry->key()) return;
    if (storage::Entry* old = db.find(to, now_)) db.erase(old);
    db.insert(storage::Keyspace::rekey(db.unlink(entry), to));
  }
  void copy(storage::Entry* entry) {
    storage::Keyspace& other = keyspaces_[random_.below(kKeyspaces)];
    const std::string to = random_key();
    storage::Entry* old = other.find(to, now_);
    if (old == entry) return;
    storage::Entry* made = storage::Keyspace::clone(*entry, to);
    if (old) other.erase(old);
    other.insert(made);
  }
  /// Makes a table of many segments, or nearly empties it, so that it splits and merges below a walk.
  void grow(storage::Keyspace& db) {
    for (uint64_t i = random_.below(20) ? random_.below(500) : random_.below(8000); i > 0; --i) {
      const std::string key = "many" + std::to_string(random_.below(10000));
      storage::StringValue::assign(db, db.find(key, now_), key, "v");
    }
  }
  void shrink(storage::Keyspace& db) {
    std::vector<storage::Entry*> doomed;
    const uint64_t spared = random_.below(50) + 1;
    db.for_each([&](storage::Entry& entry) {
      if (random_.below(spared + 1)) doomed.push_back(&entry);
      return true;
    });
    for (storage::Entry* entry : doomed) db.erase(entry);
  }

  Random random_;
  storage::Thresholds thresholds_;
  Observer observer_;
  std::array<storage::Keyspace, kKeyspaces> keyspaces_{storage::Keyspace{0, observer_, thresholds_},
                                                       storage::Keyspace{1, observer_, thresholds_},
                                                       storage::Keyspace{2, observer_, thresholds_}};
  int64_t now_ = 1000;
};

}  // namespace quartet::test
