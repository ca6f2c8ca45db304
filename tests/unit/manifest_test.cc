#include "persistence/manifest.h"

#include <catch2/catch.hpp>

#include "simulated_disk.h"

using namespace quartet;
using namespace quartet::persistence;

namespace {

const std::string kBase = "file appendonly.aof.2.base.rdb seq 2 type b\n";
const std::string kIncrement = "file appendonly.aof.2.incr.aof seq 2 type i\n";

bool accepted(const std::string& text) { return static_cast<bool>(Manifest::parse(text)); }

}  // namespace

TEST_CASE("a manifest is written as redis-server 7.0 writes it and read back", "[manifest]") {
  Manifest manifest;
  manifest.base = {base_name("appendonly.aof", 2), 2};
  manifest.increments = {{increment_name("appendonly.aof", 2), 2}, {increment_name("appendonly.aof", 3), 3}};
  manifest.history = {{increment_name("appendonly.aof", 1), 1}};
  CHECK(manifest.format() == kBase + "file appendonly.aof.1.incr.aof seq 1 type h\n" + kIncrement +
                                 "file appendonly.aof.3.incr.aof seq 3 type i\n");
  const Result<Manifest> read = Manifest::parse(manifest.format());
  REQUIRE(read);
  CHECK(*read == manifest);

  manifest.base->name = "a \"name\" with\tblanks.1.base.rdb";
  const Result<Manifest> quoted = Manifest::parse(manifest.format());
  REQUIRE(quoted);
  CHECK(*quoted == manifest);
}

// Each of these was put before redis-server 7.0.15, which did the same.
TEST_CASE("what redis-server accepts as a manifest is accepted, and nothing else", "[manifest]") {
  CHECK(accepted(kBase + kIncrement));
  CHECK(accepted("# comment\n" + kBase + kIncrement));
  CHECK(accepted("# only a comment\n"));
  CHECK(accepted(kIncrement + kBase));
  CHECK(accepted(kBase));
  CHECK(accepted(kIncrement));
  CHECK(accepted("FILE a SEQ 2 TYPE b\n"));
  CHECK(accepted("file \"a b\" seq 2 type b\n"));
  CHECK(accepted("seq 2 type b file a\n"));
  CHECK(accepted("  file a seq 2 type b extra 1 \r\n"));
  CHECK(accepted("file a seq +02x type incr\n"));
  CHECK(accepted(kBase + "file x seq 1 type h\n"));

  CHECK_FALSE(accepted(""));
  CHECK_FALSE(accepted("file a seq 2 type b"));
  CHECK_FALSE(accepted(kBase + "\n" + kIncrement));
  CHECK_FALSE(accepted("file a seq 2 type b extra\n"));
  CHECK_FALSE(accepted("file \"a seq 2 type b\n"));
  CHECK_FALSE(accepted("file a seq 0 type i\n"));
  CHECK_FALSE(accepted("file a seq 2 type I\n"));
  CHECK_FALSE(accepted("file a seq 2\n"));
  CHECK_FALSE(accepted("file ../a seq 2 type b\n"));
  CHECK_FALSE(accepted(kBase + kBase));
  CHECK_FALSE(accepted(kIncrement + kIncrement));
  CHECK_FALSE(accepted(kBase + std::string(2000, ' ') + kIncrement));
}

TEST_CASE("the error of a manifest names the line", "[manifest]") {
  const Result<Manifest> read = Manifest::parse(kBase + "nonsense\n");
  REQUIRE_FALSE(read);
  CHECK(read.error().text == "line 2 of the manifest: not pairs of key and value");
}

TEST_CASE("after a power cut there is the old manifest or the new one", "[manifest]") {
  int old_ones = 0, new_ones = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    test::SimulatedDisk disk(seed);
    REQUIRE(disk.make_directory("d"));
    REQUIRE(disk.sync_directory(""));
    Manifest before, after;
    before.increments = {{"a", 1}};
    after.increments = {{"a", 1}, {"b", 2}};
    REQUIRE(write_manifest(disk, "d", "f", before));
    disk.cut_power_at_call(1 + seed % 8);
    const bool told = static_cast<bool>(write_manifest(disk, "d", "f", after));
    disk.cut_power();
    disk.restart();
    const Result<Manifest> found = read_manifest(disk, "d", "f");
    REQUIRE(found);
    REQUIRE((*found == after || (!told && *found == before)));
    (*found == after ? new_ones : old_ones) += 1;
  }
  CHECK(old_ones > 0);
  CHECK(new_ones > 0);
}

TEST_CASE("names of bases and increments are told from others, and from those of another log", "[manifest]") {
  CHECK(is_base_or_increment("a.aof", base_name("a.aof", 12)));
  CHECK(is_base_or_increment("a.aof", increment_name("a.aof", 1)));
  for (const char* name : {"a.aof.manifest", "a.aof.1.incr.aof.old", "a.aof.x.incr.aof", "a.aof..incr.aof", "a.aof1.incr.aof", "b.aof.1.incr.aof",
                           "a.aof.1.base.aof", "a.aof.1", "a.aof", ""})
    CHECK_FALSE(is_base_or_increment("a.aof", name));
  Manifest manifest;
  manifest.base = {"base", 1};
  manifest.increments = {{"one", 1}, {"two", 2}};
  manifest.history = {{"past", 1}};
  for (const char* name : {"base", "one", "two", "past"}) CHECK(manifest.names(name));
  CHECK_FALSE(manifest.names("other"));
}
