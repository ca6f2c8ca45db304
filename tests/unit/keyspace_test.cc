#include "storage/keyspace.h"

#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "keyspace_fixture.h"
#include "random_history.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"
#include "storage/string.h"

using namespace quartet;
using namespace quartet::storage;

namespace {

struct Known {
  std::string contents;
  int64_t expiry = -1;
};

/// Two keyspaces with models, changed by random operations of every kind.
class History {
 public:
  explicit History(uint64_t seed) : random_(seed) {
    // Small limits, so that many values are tables.
    thresholds_.hash_max_listpack_entries = thresholds_.set_max_intset_entries = thresholds_.set_max_listpack_entries = 8;
    thresholds_.zset_max_listpack_entries = 8;
    thresholds_.list_max_listpack_size = 8;
  }

  void step() {
    const size_t which = random_.below(2);
    Keyspace& keyspace = keyspaces_[which];
    auto& model = models_[which];
    const std::string key = random_.below(5) ? "key" + std::to_string(random_.below(40))
                                             : std::string(200 + random_.below(100), static_cast<char>('a' + random_.below(4)));
    Entry* entry = keyspace.find(key, now_);
    if (model.count(key) && model[key].expiry >= 0 && model[key].expiry <= now_) model.erase(key);
    REQUIRE((entry != nullptr) == (model.count(key) == 1));
    now_ += static_cast<int64_t>(random_.below(3));

    const uint64_t choice = random_.below(100);
    if (choice < 55) {
      entry = change(keyspace, entry, key);
      note(which, entry);
    } else if (choice < 65 && entry) {
      keyspace.erase(entry);
      model.erase(key);
    } else if (choice < 75 && entry) {
      keyspace.set_expiry(entry, random_.below(3) ? now_ + 1 + static_cast<int64_t>(random_.below(200)) : -1);
      note(which, entry);
    } else if (choice < 80 && entry) {
      move(which, entry, key);
    } else if (choice < 85 && entry) {
      rename(which, entry, key);
    } else if (choice < 92 && entry) {
      copy(which, entry, key);
    } else if (choice < 96) {
      size_t looked_at = 0;
      const size_t erased = keyspace.expire_slice(now_, random_.below(40), looked_at);
      REQUIRE(erased <= looked_at);
      for (const std::string& expired : observer_.expired_keys) {
        const auto known = model.find(expired);
        if (known == model.end()) continue;  // dropped when it was looked up, as noted above
        if (known->second.expiry >= 0 && known->second.expiry <= now_ && !keyspace.find_raw(expired)) model.erase(known);
      }
      observer_.expired_keys.clear();
    } else if (choice == 96) {
      keyspaces_[0].swap_contents(keyspaces_[1]);
      std::swap(models_[0], models_[1]);
    } else if (choice == 97 && random_.below(10) == 0) {
      keyspace.clear();
      model.clear();
    }
  }

  void check() {
    for (size_t which = 0; which < 2; ++which) {
      Keyspace& keyspace = keyspaces_[which];
      const auto& model = models_[which];
      CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
      CHECK(keyspace.size() == model.size());
      size_t expiring = 0;
      keyspace.for_each([&](const Entry& entry) {
        expiring += entry.expires();
        const auto known = model.find(std::string(entry.key()));
        REQUIRE(known != model.end());
        CHECK(entry.expiry() == known->second.expiry);
        CHECK(test::contents(entry, keyspace) == known->second.contents);
        return true;
      });
      CHECK(keyspace.expiring() == expiring);
    }
  }

 private:
  void note(size_t which, Entry* entry) {
    models_[which][std::string(entry->key())] = {test::contents(*entry, keyspaces_[which]), entry->expiry()};
  }

  Entry* change(Keyspace& keyspace, Entry* entry, const std::string& key) {
    const uint64_t kind = random_.below(7);
    const std::string text = test::random_text(random_, 300);
    if (kind == 0 || (entry && entry->type() == Type::String && kind < 4)) return change_string(keyspace, entry, key);
    if (kind == 1 && entry) {
      // As a command that stores its result over a value of another type.
      keyspace.reset(entry, Type::Hash, Encoding::Packed, packed::kHeaderBytes);
      packed::set_count(entry->mutable_bytes(), 0);
    }
    const auto handle = [&](auto create, Type type) {
      if (entry && entry->type() != type) {
        keyspace.erase(entry);
        entry = nullptr;
      }
      if (!entry) entry = create(keyspace, key).entry;
    };
    const Type type = entry ? entry->type() : static_cast<Type>(1 + random_.below(4));
    for (uint64_t i = random_.below(10); i > 0 || !entry; i -= i > 0) {
      const std::string value = test::random_text(random_, 300);
      switch (type) {
        case Type::List: {
          handle(ListValue::create, type);
          ListValue list(keyspace, entry);
          random_.below(3) || list.empty() ? list.push(End::Tail, value) : list.drop(End::Head);
          entry = list.entry;
          break;
        }
        case Type::Set: {
          handle(SetValue::create, type);
          SetValue set(keyspace, entry);
          random_.below(3) || set.empty() ? void(set.add(value)) : set.pop(random_, [](std::string_view) {});
          entry = set.entry;
          break;
        }
        case Type::SortedSet: {
          handle(SortedSetValue::create, type);
          SortedSetValue set(keyspace, entry);
          random_.below(3) ? void(set.set(value, static_cast<double>(random_.below(10)))) : void(set.erase(value));
          entry = set.entry;
          break;
        }
        default: {
          handle(HashValue::create, Type::Hash);
          HashValue hash(keyspace, entry);
          random_.below(3) ? hash.set(value, text) : hash.erase(value);
          entry = hash.entry;
        }
      }
    }
    return entry;
  }

  Entry* change_string(Keyspace& keyspace, Entry* entry, const std::string& key) {
    std::string text = test::random_text(random_, 300);
    if (random_.below(5) == 0) text.resize(limits::kInlineStringBytes - 5 + random_.below(20000), 'x');
    const int64_t expiry = random_.below(3) ? -1 : now_ + 1 + static_cast<int64_t>(random_.below(100));
    if (!entry || entry->type() != Type::String || random_.below(2))
      return StringValue::assign(keyspace, entry, key, text, expiry);
    StringValue string(keyspace, entry);
    if (string.size() > 200000 || random_.below(3) == 0) {
      string.set(text);
    } else if (random_.below(2)) {
      char scratch[kNumberChars];
      const std::string expected = std::string(string.view(scratch)) + text;
      string.append(text);
      REQUIRE(string.view(scratch) == expected);
    } else {
      string.set_integer(static_cast<int64_t>(random_.next()));
    }
    return string.entry;
  }

  void move(size_t which, Entry* entry, const std::string& key) {
    Keyspace& other = keyspaces_[1 - which];
    if (other.find_raw(key)) return;
    other.insert(keyspaces_[which].unlink(entry));
    models_[1 - which][key] = models_[which][key];
    models_[which].erase(key);
  }

  void rename(size_t which, Entry* entry, const std::string& key) {
    const std::string fresh = key.size() > 100 ? "short" : std::string(150 + random_.below(200), 'z');
    if (keyspaces_[which].find_raw(fresh)) return;
    keyspaces_[which].insert(Keyspace::rekey(keyspaces_[which].unlink(entry), fresh));
    models_[which][fresh] = models_[which][key];
    models_[which].erase(key);
  }

  void copy(size_t which, Entry* entry, const std::string& key) {
    const std::string fresh = "copy of " + key;
    if (keyspaces_[1 - which].find_raw(fresh)) return;
    keyspaces_[1 - which].insert(Keyspace::clone(*entry, fresh));
    models_[1 - which][fresh] = models_[which][key];
  }

  Random random_;
  int64_t now_ = 1000;
  Thresholds thresholds_;
  test::Observer observer_;
  Keyspace keyspaces_[2] = {{0, observer_, thresholds_}, {1, observer_, thresholds_}};
  std::map<std::string, Known> models_[2];
};

}  // namespace

TEST_CASE("A keyspace agrees with a model and charges every byte over a random history") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  History history(seed);
  for (int i = 0; i < 20000; ++i) {
    history.step();
    if (i % 250 == 0) history.check();
  }
  history.check();
}

TEST_CASE("An entry that has expired is dropped when it is found, and by the walk") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  StringValue::assign(keyspace, nullptr, "a", "value", 1000);
  CHECK(keyspace.find("a", 999) != nullptr);
  CHECK(keyspace.find_raw("a")->expired(1000));
  CHECK(keyspace.find("a", 1000) == nullptr);
  CHECK(observer.expired_keys == std::vector<std::string>{"a"});
  CHECK(keyspace.size() == 0);
  CHECK(keyspace.expiring() == 0);

  observer.expired_keys.clear();
  for (int i = 0; i < 5000; ++i)
    StringValue::assign(keyspace, nullptr, "k" + std::to_string(i), "v", i % 2 ? -1 : i % 4 ? 5000 : 2000);
  size_t looked_at = 0, erased = 0;
  for (int slice = 0; slice < 1000; ++slice) erased += keyspace.expire_slice(2000, 8, looked_at);
  CHECK(erased == 1250);
  CHECK(observer.expired_keys.size() == 1250);
  CHECK(keyspace.size() == 3750);
  CHECK(keyspace.expiring() == 1250);
  CHECK(keyspace.average_ttl() == 3000);
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
}

TEST_CASE("The average time to live of entries that live as long as a number can say") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  for (int i = 0; i < 10; ++i) StringValue::assign(keyspace, nullptr, "k" + std::to_string(i), "v", INT64_MAX);
  size_t looked_at = 0;
  keyspace.expire_slice(1000, 1000, looked_at);
  CHECK(looked_at == 10);
  CHECK(keyspace.average_ttl() == INT64_MAX - 1000);
}

TEST_CASE("What is slow to free is left to the observer") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  HashValue hash = HashValue::create(keyspace, "large");
  for (int i = 0; i < 1000; ++i) hash.set("f" + std::to_string(i), "v");
  HashValue small = HashValue::create(keyspace, "small");
  small.set("f", "v");
  keyspace.erase(small.entry);
  CHECK(observer.reclaimed == 0);
  keyspace.insert(Keyspace::clone(*hash.entry, "second"));
  keyspace.erase(hash.entry);
  CHECK(observer.reclaimed == 1);
  Entry* second = keyspace.find_raw("second");
  keyspace.reset(second, Type::String, Encoding::Int);
  CHECK(observer.reclaimed == 2);
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
  keyspace.clear();
  CHECK(observer.reclaimed == 3);
  CHECK(keyspace.memory() == 0);
}

TEST_CASE("Clearing a keyspace whose last entry is gone gives its table back") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  keyspace.erase(StringValue::assign(keyspace, nullptr, "key", "value"));
  keyspace.clear();
  CHECK(keyspace.memory() == 0);
  CHECK(observer.reclaimed == 1);
  keyspace.clear();
  CHECK(observer.reclaimed == 1);
}

TEST_CASE("Strings take the encodings that Redis names") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  const auto encoding_of = [&](std::string_view value) {
    Entry* entry = StringValue::assign(keyspace, keyspace.find_raw("k"), "k", value);
    CHECK(test::contents(*entry, keyspace) == "string:" + std::string(value));
    return encoding_name(*entry);
  };
  CHECK(encoding_of("12345") == "int");
  CHECK(encoding_of("9223372036854775807") == "int");
  CHECK(encoding_of("9223372036854775808") == "embstr");
  CHECK(encoding_of("") == "embstr");
  CHECK(encoding_of(std::string(44, 'x')) == "embstr");
  CHECK(encoding_of(std::string(45, 'x')) == "raw");
  CHECK(encoding_of(std::string(limits::kInlineStringBytes + 1, 'x')) == "raw");
  CHECK(encoding_of("short") == "embstr");
  StringValue string(keyspace, keyspace.find_raw("k"));
  string.append("er");
  CHECK(encoding_name(*string.entry) == "raw");
  CHECK(StringValue(keyspace, string.entry).integer() == std::nullopt);
  string.set("7");
  CHECK(encoding_name(*string.entry) == "int");
  string.append("5");
  CHECK(string.integer() == 75);
  CHECK(encoding_name(*string.entry) == "raw");
}

TEST_CASE("A block of a string that a reply still refers to is not changed") {
  test::Observer observer;
  Keyspace keyspace(0, observer);
  const std::string long_text(limits::kInlineStringBytes + 100, 'x');
  StringValue string(keyspace, StringValue::assign(keyspace, nullptr, "k", long_text));
  const SharedBytes reply = string.shared();
  REQUIRE(reply);
  string.writable(0)[0] = 'y';
  string.append("tail");
  CHECK(reply.view() == long_text);
  char scratch[kNumberChars];
  CHECK(string.view(scratch) == "y" + long_text.substr(1) + "tail");
  CHECK(keyspace.memory() == test::memory_by_counting(keyspace));
  keyspace.erase(string.entry);
  CHECK(reply.view() == long_text);
}
