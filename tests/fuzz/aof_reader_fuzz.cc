// Reads the bytes as an append-only file: as they are, or (first byte odd) as bodies of batches whose annotations are
// right, since no chance finds a checksum. Demands the same outcome in slices of any size, and that what is left after
// a torn tail is cut off reads whole, to the same commands.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc32c.h"
#include "fuzz.h"
#include "persistence/aof_reader.h"

namespace {

using namespace quartet;
using fuzz::demand;
using namespace quartet::persistence;
using Status = AofReader::Status;

class TextFile final : public File {
 public:
  explicit TextFile(std::string_view text) : text_(text) {}
  Result<size_t> append(std::string_view) override { return Error{"not to be written"}; }
  Result<void> sync() override { return {}; }
  Result<void> truncate(uint64_t) override { return Error{"not to be written"}; }
  Result<uint64_t> size() override { return uint64_t{text_.size()}; }
  Result<size_t> read(uint64_t offset, std::span<char> into) override {
    if (offset >= text_.size()) return size_t{0};
    return text_.copy(into.data(), into.size(), offset);
  }

 private:
  std::string_view text_;
};

struct Outcome {
  Status status = Status::More;
  uint64_t offset = 0;
  std::vector<std::string> commands;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view text, size_t slice) {
  TextFile file(text);
  Outcome outcome;
  AofReader reader(file, [&](const Effect& effect) -> Result<void> {
    std::string line = std::to_string(effect.database);
    for (const std::string_view argument : effect.arguments) line.append(1, ' ').append(argument);
    outcome.commands.push_back(std::move(line));
    return {};
  });
  while (outcome.status == Status::More) outcome.status = reader.step(slice);
  outcome.offset = reader.offset();
  demand(outcome.offset <= text.size(), "the offset lies in the file");
  demand((outcome.status == Status::Done) == reader.reason().empty(), "what is not whole has a reason");
  return outcome;
}

/// Batches of up to 64 bytes, as the first byte of each says.
std::string in_batches(std::string_view bodies) {
  std::string text;
  while (!bodies.empty()) {
    const std::string_view body = bodies.substr(1, static_cast<uint8_t>(bodies[0]) % 64);
    bodies.remove_prefix(1 + body.size());
    char annotation[kAnnotationBytes];
    write_annotation({body.size(), text.size(), crc32c(body)}, text.size(), annotation);
    text.append(annotation, kAnnotationBytes).append(body);
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string text = data[0] & 1 ? in_batches(input) : std::string(input);
  const Outcome whole = read(text, SIZE_MAX / 2);
  demand(read(text, 1) == whole, "slices do not matter");
  if (whole.status == Status::Torn) {
    const Outcome cut = read(std::string_view(text).substr(0, whole.offset), 100);
    demand(cut.status == Status::Done && cut.commands == whole.commands, "what is left of a torn file is whole");
  }
  return 0;
}
