// Makes values from payloads of RESTORE whose footer is right, and demands that a payload makes none, or one whose own
// payload makes the same value; and that memory is accounted for in either case. The input is the payload without its
// footer.

#include <cstdint>

#include "fuzz.h"
#include "persistence/dump_payload.h"
#include "rdb_fixture.h"

namespace {

using namespace quartet;
using fuzz::demand;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string payload(reinterpret_cast<const char*>(data), size);
  payload += test::little_endian(persistence::rdb::kVersion, 2);
  payload += test::little_endian(persistence::crc64(0, payload), 8);
  demand(persistence::is_dump_payload(payload), "the footer is right");
  test::Databases databases;
  storage::Entry* entry = persistence::load_dump_payload(payload, databases[0], "key");
  demand(databases[0].size() == (entry ? 1 : 0), "there is an entry or none");
  demand(databases[0].memory() == test::memory_by_counting(databases[0]), "all memory is accounted for");
  if (!entry) return 0;
  std::string again;
  persistence::append_dump_payload(again, *entry, size % 2 == 0);
  demand(persistence::is_dump_payload(again), "a payload of one's own is one");
  storage::Entry* twin = persistence::load_dump_payload(again, databases[1], "key");
  demand(twin != nullptr, "a payload of one's own makes a value");
  demand(test::value_text(databases[1], *twin) == test::value_text(databases[0], *entry), "which is the same");
  return 0;
}
