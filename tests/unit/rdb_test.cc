#include <catch2/catch.hpp>

#include "persistence/dump_payload.h"
#include "random_history.h"
#include "rdb_fixture.h"

using namespace quartet;
using namespace quartet::persistence;
using namespace quartet::storage;
using namespace std::string_literals;

namespace {

double random_score(Random& random) {
  switch (random.below(5)) {
    case 0: return static_cast<double>(random.below(1000)) - 500;
    case 1: return static_cast<double>(static_cast<int64_t>(random.next()));
    case 2: return static_cast<double>(random.below(1000)) / 7;
    case 3: return random.below(2) ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
    default: return 9007199254740992.0;
  }
}

void add_random_entry(Keyspace& keyspace, const std::string& key, size_t size, Random& random) {
  switch (random.below(6)) {
    case 0: StringValue::assign(keyspace, nullptr, key, test::random_text(random, 40'000)); return;
    case 1: {
      auto list = ListValue::create(keyspace, key);
      for (size_t i = 0; i < size; ++i) list.push(random.below(2) ? End::Tail : End::Head, test::random_text(random, 5000));
      return;
    }
    case 2: {
      auto set = SetValue::create(keyspace, key);
      for (size_t i = 0; i < size; ++i) set.add(std::to_string(random.below(10 * size)));
      return;
    }
    case 3: {
      auto set = SetValue::create(keyspace, key);
      for (size_t i = 0; i < size; ++i) set.add(test::random_text(random));
      return;
    }
    case 4: {
      auto hash = HashValue::create(keyspace, key);
      for (size_t i = 0; i < size; ++i) hash.set(test::random_text(random), test::random_text(random, random.below(20) ? 64 : 6000));
      return;
    }
    default: {
      auto set = SortedSetValue::create(keyspace, key);
      for (size_t i = 0; i < size; ++i) set.set(test::random_text(random), random_score(random));
    }
  }
}

/// Entries of all types, of sizes around those where encodings change, some with an expiry.
void fill(Keyspace& keyspace, Random& random) {
  constexpr size_t kSizes[] = {1, 2, 3, 10, 63, 64, 65, 127, 128, 129, 300, 511, 512, 513, 1500};
  for (int i = 0; i < 60; ++i) {
    std::string key = (i % 7 == 0 ? std::string(300, 'k') : "key:") + std::to_string(i);
    if (i % 5 == 0) key = std::to_string(i * 1'000'003LL);
    add_random_entry(keyspace, key, kSizes[random.below(std::size(kSizes))], random);
    Entry* entry = keyspace.find_raw(key);
    if (random.below(3) == 0) keyspace.set_expiry(entry, static_cast<int64_t>(random.below(1ULL << 45)));
  }
}

std::string write(test::Databases& databases, bool compress, size_t slice) {
  std::string out;
  RdbWriter writer(out, compress);
  const std::pair<std::string_view, std::string_view> facts[] = {{"redis-ver", "7.0.15"}, {"aof-base", "0"}};
  writer.header(facts);
  for (const auto& keyspace : databases.keyspaces) {
    if (keyspace->size() == 0) continue;
    writer.begin_database(keyspace->index(), keyspace->size(), keyspace->expiring());
    keyspace->for_each([&](const Entry& entry) {
      if (slice == 0) {
        writer.entry(entry);
        return true;
      }
      RdbEntrySlices slices(writer, entry);
      while (slices.step(slice)) {
      }
      return true;
    });
  }
  writer.end();
  return out + test::little_endian(crc64(0, out), 8);
}

/// A small file with an entry of every type.
std::string small_file() {
  test::Databases databases;
  Keyspace& keyspace = databases[0];
  StringValue::assign(keyspace, nullptr, "text", "some text that is repeated, that is repeated, that is repeated");
  StringValue::assign(keyspace, nullptr, "number", "-70000", 4'000'000'000'000);
  auto list = ListValue::create(keyspace, "list");
  for (const char* element : {"a", "5", "-3000", "long enough to tell"}) list.push(End::Tail, element);
  auto numbers = SetValue::create(keyspace, "numbers");
  for (const char* member : {"1", "-70000", "3"}) numbers.add(member);
  auto set = SetValue::create(keyspace, "set");
  for (const char* member : {"a", "b", "17"}) set.add(member);
  auto hash = HashValue::create(keyspace, "hash");
  hash.set("field", "value");
  hash.set("1", "2");
  hash.set("wide", std::string(100, 'w'));
  auto packed_hash = HashValue::create(databases[2], "packed hash");
  packed_hash.set("field", "value");
  packed_hash.set("1", "2");
  auto ranks = SortedSetValue::create(databases[2], "ranks");
  ranks.set("one", 1);
  ranks.set("two", 2);
  auto scores = SortedSetValue::create(databases[2], "scores");
  scores.set("half", 0.5);
  scores.set("all", std::numeric_limits<double>::infinity());
  return write(databases, true, 0);
}

void check_accounts(test::Databases& databases) {
  for (const auto& keyspace : databases.keyspaces) REQUIRE(keyspace->memory() == test::memory_by_counting(*keyspace));
}

std::string text(std::string_view value) { return static_cast<char>(value.size()) + std::string(value); }

std::string listpack(std::initializer_list<std::string_view> elements) {
  std::string body;
  for (const std::string_view element : elements) {
    const size_t before = body.size();
    body.resize(before + packed::element_size(element));
    packed::write_element(body.data() + before, element);
  }
  return test::little_endian(6 + body.size() + 1, 4) + test::little_endian(elements.size(), 2) + body + '\xff';
}

}  // namespace

TEST_CASE("The checksum of RDB files has its published value, whole and in pieces") {
  CHECK(crc64(0, "123456789") == 0xe9c6d914c4b8d9ca);
  Random random(1);
  std::string bytes(1000, '\0');
  for (char& c : bytes) c = static_cast<char>(random.next());
  uint64_t one_by_one = 0;
  for (const char& c : bytes) one_by_one = crc64(one_by_one, {&c, 1});
  for (size_t cut = 0; cut <= bytes.size(); cut += 7)
    CHECK(crc64(crc64(0, std::string_view(bytes).substr(0, cut)), std::string_view(bytes).substr(cut)) == one_by_one);
}

TEST_CASE("What was written is read back: all types and sizes, under any thresholds, in slices of any size") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  const Thresholds tiny{.hash_max_listpack_entries = 0, .set_max_intset_entries = 0, .set_max_listpack_entries = 0,
                        .zset_max_listpack_entries = 0, .list_max_listpack_size = 2};
  const Thresholds vast{.hash_max_listpack_entries = 10000, .hash_max_listpack_value = 10000, .set_max_intset_entries = 10000,
                        .set_max_listpack_entries = 10000, .set_max_listpack_value = 10000,
                        .zset_max_listpack_entries = 10000, .zset_max_listpack_value = 10000, .list_max_listpack_size = -5};
  for (const Thresholds& before : {kDefaultThresholds, tiny, vast})
    for (const Thresholds& after : {kDefaultThresholds, tiny, vast}) {
      test::Databases written(before);
      fill(written[0], random);
      fill(written[3], random);
      const bool compress = random.below(2);
      const std::string file = write(written, compress, random.below(3) * 50);
      if (!compress) CHECK(file == write(written, false, 17));

      test::Databases read(after);
      const size_t chunk = 1 + random.below(5000);
      RdbInput in([&](uint64_t offset, std::span<char> into) -> Result<size_t> {
        const size_t bytes = std::min({chunk, into.size(), file.size() - offset});
        std::memcpy(into.data(), file.data() + offset, bytes);
        return bytes;
      });
      RdbReader reader(in, read, {});
      const uint64_t budget = 1 + random.below(10'000);
      size_t steps = 1;
      RdbReader::Progress progress;
      while ((progress = reader.step(budget)) == RdbReader::Progress::More) ++steps;
      REQUIRE(progress == RdbReader::Progress::Done);
      CHECK(steps > 1);
      CHECK(in.offset() == file.size());
      CHECK(reader.loaded() == written[0].size() + written[3].size());
      CHECK(read.facts == std::map<std::string, std::string>{{"redis-ver", "7.0.15"}, {"aof-base", "0"}});
      for (size_t i = 0; i < 4; ++i) REQUIRE(test::contents(read[i]) == test::contents(written[i]));
      check_accounts(read);
    }
}

TEST_CASE("A load in slices divides a large collection, and a large string is written in slices") {
  test::Databases written;
  auto set = SortedSetValue::create(written[0], "zset");
  for (int i = 0; i < 10'000; ++i) set.set("member:" + std::to_string(i), i);
  const std::string file = write(written, false, 0);
  test::Databases read;
  RdbInput in{std::string_view(file)};
  RdbReader reader(in, read, {});
  uint64_t before = 0;
  while (reader.step(1000) == RdbReader::Progress::More) {
    CHECK(in.offset() - before < 1100);
    before = in.offset();
  }
  CHECK(test::contents(read[0]) == test::contents(written[0]));

  Entry* entry = StringValue::assign(written[1], nullptr, "string", std::string(100'000, 'x'));
  std::string out;
  RdbWriter writer(out, false);
  RdbEntrySlices slices(writer, *entry);
  size_t steps = 1;
  for (size_t size = out.size(); slices.step(1000); size = out.size(), ++steps) CHECK(out.size() - size < 1100);
  CHECK(steps >= 100);
  std::string whole;
  RdbWriter(whole, false).entry(*entry);
  CHECK(out == whole);
}

TEST_CASE("A file that is cut anywhere is refused, at the cut") {
  const std::string file = small_file();
  for (size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    test::Databases databases;
    const std::string error = test::load_error(file.substr(0, size), databases);
    REQUIRE(error == std::to_string(size) + ": the file ends too early");
    check_accounts(databases);
  }
}

TEST_CASE("A flipped bit anywhere is found, and without the checksum loads something whole or nothing") {
  const std::string file = small_file();
  for (size_t at = 0; at < file.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      CAPTURE(at, bit);
      std::string flipped = file;
      flipped[at] = static_cast<char>(flipped[at] ^ 1 << bit);
      test::Databases checked;
      REQUIRE(test::load_error(flipped, checked) != "");
      test::Databases unchecked;
      if (test::load_error(flipped, unchecked, {.verify_checksum = false}).empty()) {
        const std::string again = write(unchecked, true, 0);
        test::Databases copy;
        REQUIRE(test::load_error(again, copy) == "");
      }
      check_accounts(checked);
      check_accounts(unchecked);
    }
}

TEST_CASE("Expired entries are dropped where a time is given") {
  const std::string records = "\xfc"s + test::little_endian(1000, 8) + '\0' + text("past") + text("v") +  //
                              "\xfd"s + test::little_endian(2, 4) + '\0' + text("seconds") + text("v") +
                              "\xfc"s + test::little_endian(static_cast<uint64_t>(-5), 8) + '\0' + text("before") + text("v") +
                              '\0' + text("stays") + text("v");
  test::Databases all, later;
  CHECK(test::load_error(test::file_of(records), all, {.now_ms = 500}) == "");
  CHECK(all[0].size() == 3);
  CHECK(all[0].find_raw("seconds")->expiry() == 2000);
  CHECK(all[0].find_raw("before") == nullptr);
  CHECK(all[0].find_raw("stays")->expiry() == -1);
  CHECK(test::load_error(test::file_of(records), later, {.now_ms = 1500}) == "");
  CHECK(later[0].size() == 2);
}

TEST_CASE("What is passed over, and what is refused by name") {
  const auto error = [](const std::string& records) {
    test::Databases databases;
    const std::string text = test::load_error(test::file_of(records), databases);
    check_accounts(databases);
    return text;
  };
  const std::string entry = '\0' + text("k") + text("v");
  CHECK(error("\xf8\x05"s + "\xf9\x07"s + entry) == "");  // idle, frequency
  CHECK(error("\xfe\x03\xfb\x01\x00"s + entry) == "");
  CHECK(error("\xfe\x04"s + entry) == "10: there is no database 4 here");
  CHECK(error(entry + entry) == "14: the key \"k\" is there twice");
  CHECK(error("\x0f"s + text("k") + text("v")) == "10: a stream (type 15) cannot be read: there are no streams yet");
  CHECK(error("\x13"s + text("k") + text("v")) == "10: a stream (type 19) cannot be read: there are no streams yet");
  CHECK(error("\x07"s + text("k") + text("v")) == "10: the value of a module (type 7) cannot be read");
  CHECK(error("\x14"s + text("k") + text("v")) == "10: there is no type 20");
  CHECK(error("\xf7"s) == "9: the file holds data of a module, which cannot be read");
  CHECK_THAT(error("\xf5"s + text("f")), Catch::StartsWith("9: the file holds a library of functions"));

  const auto whole = [](const std::string& file) {
    test::Databases databases;
    return test::load_error(file, databases);
  };
  CHECK_THAT(whole("REDIS0011\xff"), Catch::StartsWith("5: version 11"));
  CHECK_THAT(whole("REDIS0000\xff"), Catch::StartsWith("5: version 0"));
  CHECK_THAT(whole("RADIS0010\xff"), Catch::StartsWith("0: this is no RDB file"));
  CHECK_THAT(whole("REDIS00x0\xff"), Catch::StartsWith("0: this is no RDB file"));
  CHECK(whole("REDIS0004\xff") == "");
  CHECK_THAT(whole("REDIS0005\xff"), Catch::Contains("ends too early"));
}

TEST_CASE("Values that no writer would have written are refused") {
  const auto error = [](const std::string& value) {
    test::Databases databases;
    const std::string text = test::load_error(test::file_of(value), databases);
    CHECK(databases[0].size() == 0);
    check_accounts(databases);
    return text;
  };
  const auto with_key = [](int type, const std::string& value) { return static_cast<char>(type) + text("k") + value; };
  const auto blob = [&](int type, const std::string& bytes) { return with_key(type, text(bytes)); };
  const std::string nan = test::little_endian(0x7ff8000000000000, 8);

  CHECK_THAT(error(with_key(2, "\x02"s + text("a") + text("a"))), Catch::EndsWith("\"a\" is twice in the set"));
  CHECK_THAT(error(with_key(4, "\x02"s + text("a") + text("1") + text("a") + text("2"))), Catch::EndsWith("\"a\" is twice in the hash"));
  CHECK_THAT(error(with_key(5, "\x02"s + text("a") + std::string(8, '\0') + text("a") + std::string(8, '\0'))),
             Catch::EndsWith("\"a\" is twice in the sorted set"));
  CHECK_THAT(error(with_key(5, "\x01"s + text("a") + nan)), Catch::EndsWith("is not a number"));
  CHECK_THAT(error(with_key(3, "\x01"s + text("a") + "\xfd")), Catch::EndsWith("is not a number"));
  CHECK_THAT(error(with_key(3, "\x01"s + text("a") + text("1.5x"))), Catch::EndsWith("is not a number"));
  CHECK_THAT(error(blob(16, listpack({"a", "1", "a", "2"}))), Catch::EndsWith("\"a\" is twice in the hash"));
  CHECK_THAT(error(blob(16, listpack({"a", "1", "b"}))), Catch::EndsWith("has no value"));
  CHECK_THAT(error(blob(17, listpack({"a", "1", "a", "2"}))), Catch::EndsWith("\"a\" is twice in the sorted set"));
  CHECK_THAT(error(blob(17, listpack({"a", "nan"}))), Catch::EndsWith("is not a number"));
  CHECK_THAT(error(blob(17, listpack({"a"}))), Catch::EndsWith("has no score"));
  CHECK_THAT(error(blob(11, test::little_endian(2, 4) + test::little_endian(2, 4) + "\x02\x00\x01\x00"s)), Catch::EndsWith("do not ascend"));
  CHECK_THAT(error(blob(11, test::little_endian(3, 4) + test::little_endian(1, 4) + "\x02\x00\x01"s)), Catch::EndsWith("impossible size"));
  CHECK_THAT(error(blob(11, test::little_endian(8, 4) + test::little_endian(0x20000000, 4))), Catch::EndsWith("another size than it says"));
  CHECK_THAT(error(with_key(18, "\x01\x03"s + text("a"))), Catch::EndsWith("unknown kind 3"));
  CHECK_THAT(error(with_key(0, "\xc4"s)), Catch::EndsWith("no string begins with the byte 0xc4"));
  CHECK_THAT(error(with_key(2, "\xc0\x01"s)), Catch::EndsWith("an encoded string stands where a length should be"));
  CHECK_THAT(error(with_key(2, "\x82\x01"s)), Catch::EndsWith("no length begins with the byte 0x82"));
}

TEST_CASE("A key that is there twice is found, however many others are read between, and whatever they hold") {
  const std::string string = text("v"), list = "\x01"s + text("v");
  for (const char first : {'\0', '\1'})
    for (const char second : {'\0', '\1'})
      for (const size_t between : {0, 1, 14, 15, 16, 17, 40}) {
        std::string records = first + text("twice") + (first ? list : string);
        for (size_t i = 0; i < between; ++i) records += '\0' + text("other" + std::to_string(i)) + string;
        const size_t at = 9 + records.size();
        records += second + text("twice") + (second ? list : string);
        for (size_t i = 0; i < 3; ++i) records += '\0' + text("behind" + std::to_string(i)) + string;
        test::Databases databases;
        CHECK(test::load_error(test::file_of(records), databases) == std::to_string(at) + ": the key \"twice\" is there twice");
        CHECK(databases[0].size() >= 1 + between);
        check_accounts(databases);
      }
}

TEST_CASE("Room is made for the entries that a file says there are, and for no more than can be in it") {
  const std::string huge = "\x81"s + std::string(1, '\x3f') + std::string(7, '\xff'), entry = '\0' + text("k") + text("v");
  const auto loaded = [&](const std::string& count, uint64_t file_bytes) {
    auto databases = std::make_unique<test::Databases>();
    CHECK(test::load_error(test::file_of("\xfe\x01\xfb"s + count + '\0' + entry), *databases, {.file_bytes = file_bytes}) == "");
    CHECK((*databases)[1].size() == 1);
    check_accounts(*databases);
    return databases;
  };
  CHECK((*loaded(huge, 0))[1].capacity() < 100);
  CHECK((*loaded(huge, 16'000))[1].capacity() >= 1000);
  CHECK((*loaded(huge, 16'000))[1].table_memory() < 16'000);
  CHECK((*loaded("\x40\xc8"s, 1'000'000))[1].capacity() >= 200);
  CHECK((*loaded("\x40\xc8"s, 1'000'000))[1].capacity() < 500);
}

TEST_CASE("Lengths are not believed before the bytes have come") {
  const std::string far = "\x81"s + std::string(1, '\x3f') + std::string(7, '\xff');
  const std::string four_gb = "\x80\xff\xff\xff\x00"s;
  const auto error = [](const std::string& record) {
    test::Databases databases;
    return test::load_error("REDIS0010" + record, databases);
  };
  CHECK_THAT(error('\0' + far), Catch::Contains("is longer than any may be"));
  CHECK_THAT(error('\0' + four_gb + "few"), Catch::Contains("ends too early"));
  CHECK_THAT(error("\x02" + text("k") + far + text("member")), Catch::Contains("ends too early"));
  CHECK_THAT(error('\0' + text("k") + "\xc3\x03" + four_gb + "few"), Catch::Contains("cannot be the compressed form"));
  CHECK_THAT(error('\0' + text("k") + "\xc3\x02\x05" + "\x00x"s), Catch::Contains("a compressed string is damaged"));

  // Of a file, too, no more is asked for at once than has come already, or a chunk.
  size_t largest = 0, calls = 0;
  const std::string start = "REDIS0010"s + '\0' + four_gb;
  RdbInput in([&](uint64_t offset, std::span<char> into) -> Result<size_t> {
    largest = std::max(largest, into.size());
    if (offset == 0) {
      std::memcpy(into.data(), start.data(), start.size());
      return start.size();
    }
    if (++calls > 3) return Error{"the disk is broken", 5};
    std::memset(into.data(), 'x', into.size());
    return into.size();
  });
  test::Databases databases;
  RdbReader reader(in, databases, {});
  CHECK(reader.step(UINT64_MAX) == RdbReader::Progress::Failed);
  CHECK(in.error()->text == "the disk is broken");
  CHECK(largest <= 2 << 20);
}

TEST_CASE("Empty collections are passed over, in every encoding") {
  std::string records;
  const auto add = [&](int type, const std::string& value) { records += static_cast<char>(type) + text("k" + std::to_string(type)) + value; };
  for (const int type : {1, 2, 3, 4, 5, 14, 18}) add(type, "\0"s);
  for (const int type : {16, 17}) add(type, text(listpack({})));
  const std::string ziplist = "\x0b\0\0\0\x0a\0\0\0\0\0\xff"s;
  for (const int type : {10, 12, 13}) add(type, text(ziplist));
  add(9, text("\0\xff"s));
  add(11, text(test::little_endian(2, 4) + test::little_endian(0, 4)));
  test::Databases databases;
  RdbInput in{std::string_view(records)};
  const std::string file = test::file_of(records);
  CHECK(test::load_error(file, databases) == "");
  CHECK(databases[0].size() == 0);
}

TEST_CASE("DUMP's payload makes the same value again, and a damaged one makes none") {
  const uint64_t seed = test::history_seed();
  CAPTURE(seed);
  Random random(seed);
  test::Databases databases;
  Keyspace &source = databases[0], &target = databases[1];
  for (int i = 0; i < 200; ++i) {
    const std::string key = "key:" + std::to_string(i);
    add_random_entry(source, key, 1 + random.below(200), random);
    Entry* entry = source.find_raw(key);
    std::string payload = "before";
    append_dump_payload(payload, *entry, random.below(2));
    payload.erase(0, 6);
    REQUIRE(is_dump_payload(payload));
    Entry* loaded = load_dump_payload(payload, target, key);
    REQUIRE(loaded);
    REQUIRE(test::value_text(target, *loaded) == test::value_text(source, *entry));

    std::string damaged = payload;
    damaged[random.below(damaged.size())] ^= static_cast<char>(1 + random.below(255));
    CHECK_FALSE(is_dump_payload(damaged));
    // With a checksum that is right again it is what it is, but whole.
    std::string body = damaged.substr(0, damaged.size() - 8);
    Entry* other = load_dump_payload(body + test::little_endian(crc64(0, body), 8), target, "other");
    if (other) target.erase(other);
    check_accounts(databases);
  }
  const std::string trailing = "\0\x01v?\x0a\0"s;
  CHECK(load_dump_payload(trailing + test::little_endian(crc64(0, trailing), 8), target, "trailing") == nullptr);
  CHECK_FALSE(is_dump_payload(""));
  CHECK(target.size() == 200);
}
