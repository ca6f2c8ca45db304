#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"

namespace quartet::test {

/// Random commands of all families, as clients send them.
class Workload {
 public:
  using Command = std::vector<std::string>;

  /// Stands in every key and value that is written into the database `secret` (-1: none) and in nothing else.
  static constexpr std::string_view kSecret = "never-on-disk";

  Workload(uint64_t seed, int databases, int secret, bool large)
      : random_(seed), databases_(databases), secret_(secret), large_(large) {}

  /// A command for a client that has selected this database.
  Command command(int database, int64_t now_ms);
  /// One that waits where there is nothing.
  Command blocking(int database, int64_t now_ms);
  /// MULTI to EXEC.
  std::vector<Command> transaction(int database, int64_t now_ms);
  /// A write that succeeds wherever writes do.
  Command plain_write(int database, int64_t now_ms);

 private:
  Command fill(std::string_view words, int database, int64_t now_ms);
  std::string value(std::string_view sort, int database, int64_t now_ms);
  std::string text(int database);

  Random random_;
  const int databases_;
  const int secret_;
  const bool large_;
  uint64_t texts_ = 0;
};

}  // namespace quartet::test
