// What an entry keeps beside its value: in memory, in increments and in RDB files.

#include "persistence/note_format.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "persistence/aof_reader.h"
#include "rdb_fixture.h"
#include "simulated_disk.h"

using namespace quartet;
using namespace quartet::persistence;
using storage::Entry;
using storage::Note;
using storage::StringValue;

namespace {

bool same(const Note& a, const Note& b) {
  return a.client_flags == b.client_flags && a.cas == b.cas && a.stale == b.stale && a.won == b.won;
}

}  // namespace

TEST_CASE("notes as text", "[note]") {
  for (const auto& [note, text] : std::initializer_list<std::pair<Note, std::string>>{
           {{}, "0:"}, {{.client_flags = 42}, "42:"}, {{.client_flags = UINT32_MAX, .cas = 5, .stale = true, .won = true}, "4294967295:sw"}, {{.won = true}, "0:w"}}) {
    CHECK(note_text(note) == text);
    CHECK(note_text(note).size() <= kNoteTextBytes);
    Note kept = note;
    kept.cas = 0;
    REQUIRE(parse_note(text));
    CHECK(same(*parse_note(text), kept));
  }
  for (const auto* text : {"", ":", "5", "x:", "-1:", "4294967296:", "5:x", "5:ws", "5:ss", "5:s ", " 5:"}) CHECK_FALSE(parse_note(text));
}

TEST_CASE("a note stays with its entry through every change of shape", "[note]") {
  test::Observer observer;
  storage::Keyspace keyspace(0, observer);
  Random random(7);
  struct Expected {
    std::string value;
    Note note;
    int64_t expiry_ms;
  };
  std::map<std::string, Expected> model;
  const auto value = [&] {
    switch (random.below(5)) {
      case 0: return std::to_string(random.below(1000));
      case 1: return std::string(random.below(20), 'x');
      case 2: return std::string(random.below(300), 'y');
      case 3: return std::string(65530 + random.below(20), 'z');  // where lengths become wide, in a block of its own
      default: return std::string(16370 + random.below(30), 'w');  // on either side of what lies inside the entry
    }
  };
  const auto note = [&]() -> Note {
    if (random.below(3) == 0) return {};
    return {static_cast<uint32_t>(random.below(3)), random.below(3), random.below(4) == 0, random.below(4) == 0};
  };
  for (int step = 0; step < 20'000; ++step) {
    const std::string key = "key" + std::string(random.below(4) * 100, 'k');
    Entry* entry = keyspace.find_raw(key);
    REQUIRE((entry != nullptr) == model.contains(key));
    if (!entry || random.below(6) == 0) {
      Expected& wanted = model[key] = {value(), note(), random.below(2) ? -1 : 1000};
      StringValue::assign(keyspace, entry, key, wanted.value, wanted.expiry_ms, wanted.note);
      CHECK_FALSE(keyspace.find_raw(key)->fetched());
    } else {
      Expected& wanted = model[key];
      StringValue string(keyspace, entry);
      switch (random.below(8)) {
        case 0:
          string.append("tail");
          wanted.value += "tail";
          wanted.note.cas = 0;
          break;
        case 1:
          string.set_integer(step);
          wanted.value = std::to_string(step);
          wanted.note.cas = 0;
          break;
        case 2:
          wanted.value = value();
          string.set(wanted.value);
          wanted.note.cas = 0;
          break;
        case 3:
          wanted.expiry_ms = random.below(2) ? -1 : 2000;
          keyspace.set_expiry(entry, wanted.expiry_ms);
          break;
        case 4:
        case 5:
          wanted.note = note();
          keyspace.set_note(entry, wanted.note);
          break;
        case 6: {
          const std::string other = "other" + key;
          Entry* copy = keyspace.clone(*entry, other);
          Note expected = wanted.note;
          expected.cas = 0;
          CHECK(same(copy->note(), expected));
          keyspace.insert(copy);
          keyspace.erase(copy);
          keyspace.insert(keyspace.rekey(keyspace.unlink(entry), other));
          CHECK(same(keyspace.find_raw(other)->note(), wanted.note));
          keyspace.insert(keyspace.rekey(keyspace.unlink(keyspace.find_raw(other)), key));
          break;
        }
        default:
          if (random.below(4) == 0) {
            keyspace.reset(entry, storage::Type::List, storage::Encoding::Packed, 2);
            CHECK_FALSE(entry->noted());
          }
          keyspace.erase(entry);
          model.erase(key);
      }
    }
    if (const auto found = model.find(key); found != model.end()) {
      Entry* now = keyspace.find_raw(key);
      char scratch[kNumberChars];
      REQUIRE(StringValue(keyspace, now).view(scratch) == found->second.value);
      REQUIRE(same(now->note(), found->second.note));
      REQUIRE(now->client_flags() == found->second.note.client_flags);
      REQUIRE(now->expiry() == found->second.expiry_ms);
    }
    REQUIRE(keyspace.memory() == test::memory_by_counting(keyspace));
  }
}

TEST_CASE("a note takes no memory where there is nothing in it", "[note]") {
  test::Observer observer;
  storage::Keyspace keyspace(0, observer);
  Entry* entry = StringValue::assign(keyspace, nullptr, "key", "value");
  const size_t plain = entry->size();
  keyspace.set_note(entry, {.cas = 5});
  CHECK(entry->size() == plain + 12);
  entry->forget_cas();
  CHECK(entry->note().empty());
  keyspace.set_note(entry, {});
  CHECK(entry->size() == plain);
  CHECK_FALSE(entry->noted());
}

TEST_CASE("notes of increments are read back, within units too", "[note]") {
  test::SimulatedDisk disk(3);
  AofBuffer buffer;
  const auto append = [&](std::vector<std::string_view> words, const Note* note = nullptr) { buffer.append(words, true, note); };
  const Note first{.client_flags = 7}, second{.stale = true}, nothing;
  append({"SELECT", "1"});
  append({"SET", "a", "#QN:1:\r\n"}, &first);
  append({"SET", "b", "2"});
  append({"MULTI"});
  append({"APPEND", "a", ""}, &second);
  append({"DEL", "b"});
  append({"APPEND", "a", "x"}, &nothing);
  append({"EXEC"});
  append({"SET", "c", "3"});
  buffer.finish(0, 0);
  REQUIRE(replace_file(disk, "", "increment", buffer.bytes()));
  std::vector<std::string> seen;
  const auto file = disk.open_read("increment");
  REQUIRE(file);
  AofReader reader(**file, [&](const Effect& effect) -> Result<void> {
    seen.push_back(std::string(effect.arguments[0]) + " " + std::string(effect.arguments[1]) + (effect.note ? " " + note_text(*effect.note) : ""));
    return {};
  });
  while (reader.step(10) == AofReader::Status::More) {
  }
  CHECK(reader.reason() == "");
  CHECK(seen == std::vector<std::string>{"SET a 7:", "SET b", "APPEND a 0:s", "DEL b", "APPEND a 0:", "SET c"});
}

TEST_CASE("notes of RDB files belong to the entry that follows", "[note]") {
  test::Observer observer;
  storage::Keyspace keyspace(0, observer);
  StringValue::assign(keyspace, nullptr, "noted", "value", 5000, {.client_flags = 9, .cas = 77, .stale = true});
  StringValue::assign(keyspace, nullptr, "numbered", "value", -1, {.cas = 78});
  StringValue::assign(keyspace, nullptr, "plain", "value");
  std::string file;
  RdbWriter writer(file, true);
  writer.header({});
  writer.begin_database(0, 3, 1);
  keyspace.for_each([&](const Entry& entry) {
    writer.entry(entry);
    return true;
  });
  writer.end();
  file.append(8, '\0');
  const auto load = [](std::string_view bytes, test::Databases& databases) {
    RdbInput in(bytes);
    RdbReader reader(in, databases, {});
    return reader.step(UINT64_MAX) == RdbReader::Progress::Done;
  };
  test::Databases databases;
  REQUIRE(load(file, databases));
  CHECK(same(databases[0].find_raw("noted")->note(), {.client_flags = 9, .stale = true}));
  CHECK(databases[0].find_raw("noted")->expiry() == 5000);
  CHECK_FALSE(databases[0].find_raw("numbered")->noted());
  CHECK_FALSE(databases[0].find_raw("plain")->noted());
  CHECK(databases.facts.empty());

  const size_t at = file.find("9:s");
  REQUIRE(at != file.npos);
  file.replace(at, 3, "9:x");
  test::Databases other;
  CHECK_FALSE(load(file, other));
}
