// Loads RDB files, in slices and from pieces of any size, and demands that a file is refused with a place within it, or
// loaded so that what is written of it again loads as the same data; and that memory is accounted for in either case.
//
// The first byte chooses: 1 = the checksum counts, 2 = the file comes in pieces, whose sizes the second byte tells.

#include <cstdint>

#include "fuzz.h"
#include "rdb_fixture.h"

namespace {

using namespace quartet;
using fuzz::demand;
using persistence::RdbReader;

bool load(persistence::RdbInput& in, test::Databases& databases, RdbReader::Options options, uint64_t budget) {
  RdbReader reader(in, databases, options);
  RdbReader::Progress progress;
  do {
    progress = reader.step(budget);
  } while (progress == RdbReader::Progress::More);
  for (const auto& keyspace : databases.keyspaces)
    demand(keyspace->memory() == test::memory_by_counting(*keyspace), "all memory is accounted for");
  return progress == RdbReader::Progress::Done;
}

std::string write(test::Databases& databases) {
  std::string out;
  persistence::RdbWriter writer(out, true);
  writer.header({});
  for (const auto& keyspace : databases.keyspaces) {
    writer.begin_database(keyspace->index(), keyspace->size(), keyspace->expiring());
    keyspace->for_each([&](const storage::Entry& entry) {
      persistence::RdbEntrySlices slices(writer, entry);
      while (slices.step(30)) {
      }
      return true;
    });
  }
  writer.end();
  return out + test::little_endian(persistence::crc64(0, out), 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t choice = data[0];
  const size_t piece = size_t{data[1]} + 1;
  // A block of its exact size, so that a read beyond the end is seen.
  const std::vector<char> file(data + 2, data + size);
  const std::string_view bytes(file.data(), file.size());
  const RdbReader::Options options{.verify_checksum = (choice & 1) != 0};
  test::Databases databases;
  bool done;
  if (choice & 2) {
    persistence::RdbInput in([&](uint64_t offset, std::span<char> into) -> Result<size_t> {
      const std::string_view next = bytes.substr(offset, std::min(piece, into.size()));
      std::copy(next.begin(), next.end(), into.begin());
      return next.size();
    });
    done = load(in, databases, options, piece);
    if (!done) demand(in.error()->offset <= bytes.size(), "an error is within the file");
  } else {
    persistence::RdbInput in(bytes);
    done = load(in, databases, options, piece);
    if (!done) demand(in.error()->offset <= bytes.size(), "an error is within the file");
  }
  if (!done) return 0;

  const std::string again = write(databases);
  test::Databases copy;
  persistence::RdbInput in{std::string_view(again)};
  demand(load(in, copy, {}, UINT64_MAX), "what was written loads");
  for (size_t i = 0; i < copy.keyspaces.size(); ++i)
    demand(test::contents(copy[i]) == test::contents(databases[i]), "what was written is the same data");
  return 0;
}
