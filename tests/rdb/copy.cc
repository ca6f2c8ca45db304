// Loads an RDB file and writes what it holds as another one, in small slices both, so that a test can let redis-server
// make the one and load the other:
//
//   quartet_rdb_copy IN OUT [--no-compression] [--expire-before MS]
//
// Prints how many entries were loaded, or where and why the file cannot be read.

#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <map>

#include "persistence/crc64.h"
#include "persistence/rdb_reader.h"
#include "persistence/rdb_writer.h"

using namespace quartet;

namespace {

class Databases final : public persistence::RdbLoader, public storage::KeyspaceObserver {
 public:
  storage::Keyspace* database(uint64_t index) override {
    if (index >= 16) return nullptr;
    auto& keyspace = keyspaces[index];
    if (!keyspace) keyspace = std::make_unique<storage::Keyspace>(static_cast<int>(index), *this);
    return keyspace.get();
  }
  void expired(storage::Keyspace&, std::string_view) override {}
  void reclaim(std::unique_ptr<storage::Garbage>) override {}

  std::map<uint64_t, std::unique_ptr<storage::Keyspace>> keyspaces;
};

bool load(const char* path, Databases& databases, int64_t now_ms) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    fmt::print(stderr, "{} cannot be opened\n", path);
    return false;
  }
  persistence::RdbInput in([&](uint64_t, std::span<char> into) -> Result<size_t> {
    // Short reads, so that values are divided by them.
    file.read(into.data(), static_cast<std::streamsize>(std::min<size_t>(into.size(), 4096)));
    return static_cast<size_t>(file.gcount());
  });
  persistence::RdbReader reader(in, databases, {now_ms});
  persistence::RdbReader::Progress progress;
  do {
    progress = reader.step(1000);
  } while (progress == persistence::RdbReader::Progress::More);
  if (progress == persistence::RdbReader::Progress::Failed) {
    fmt::print(stderr, "{} at {}: {}\n", path, in.error()->offset, in.error()->text);
    return false;
  }
  fmt::print("{} loaded, {} expired, {} empty\n", reader.loaded(), reader.expired(), reader.empty());
  return true;
}

bool write(const char* path, const Databases& databases, bool compress) {
  std::string out;
  persistence::RdbWriter writer(out, compress);
  const std::pair<std::string_view, std::string_view> facts[] = {{"redis-ver", "7.0.15"}, {"redis-bits", "64"}};
  writer.header(facts);
  for (const auto& [index, keyspace] : databases.keyspaces) {
    if (keyspace->size() == 0) continue;
    writer.begin_database(static_cast<int>(index), keyspace->size(), keyspace->expiring());
    keyspace->for_each([&](const storage::Entry& entry) {
      persistence::RdbEntrySlices slices(writer, entry);
      while (slices.step(100)) {
      }
      return true;
    });
  }
  writer.end();
  const uint64_t crc = persistence::crc64(0, out);
  char checksum[sizeof crc];
  std::memcpy(checksum, &crc, sizeof crc);
  out.append(checksum, sizeof checksum);
  std::ofstream file(path, std::ios::binary);
  file.write(out.data(), static_cast<std::streamsize>(out.size()));
  return static_cast<bool>(file.flush());
}

}  // namespace

int main(int argc, char** argv) {
  bool compress = true;
  int64_t now_ms = 0;
  for (int i = 3; i < argc; ++i) {
    if (std::strcmp(argv[i], "--no-compression") == 0) compress = false;
    if (std::strcmp(argv[i], "--expire-before") == 0 && i + 1 < argc) now_ms = std::atoll(argv[++i]);
  }
  if (argc < 3) {
    fmt::print(stderr, "usage: quartet_rdb_copy IN OUT [--no-compression] [--expire-before MS]\n");
    return 2;
  }
  Databases databases;
  return load(argv[1], databases, now_ms) && write(argv[2], databases, compress) ? 0 : 1;
}
