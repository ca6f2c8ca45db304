#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "persistence/file.h"

namespace quartet::persistence {

/// Which files make up the data, as Redis 7 keeps it in `appenddirname`/`appendfilename`.manifest: a line a file,
///
///     file appendonly.aof.2.base.rdb seq 2 type b
///     file appendonly.aof.1.incr.aof seq 1 type h
///     file appendonly.aof.2.incr.aof seq 2 type i
///
/// with at most one base (b), the increments (i) in rising order, and files of the past (h) that only wait for their
/// removal. Lines that begin with # are comments; a name with spaces or quotes stands in quotes.
/// (https://redis.io/docs/management/persistence, "Log rewriting")
struct Manifest {
  struct Entry {
    std::string name;  // within the directory
    int64_t sequence = 0;
    bool operator==(const Entry&) const = default;
  };

  std::optional<Entry> base;
  std::vector<Entry> increments;
  std::vector<Entry> history;

  bool operator==(const Manifest&) const = default;
  bool empty() const { return !base && increments.empty(); }
  /// Whether a file of this name is in it.
  bool names(std::string_view name) const;
  /// The last sequence number in use, 0 where there is none.
  int64_t last_base() const;
  int64_t last_increment() const;

  /// Reads a manifest; the error names the line.
  static Result<Manifest> parse(std::string_view text);
  std::string format() const;
};

/// Names in the manner of Redis: `appendonly.aof.manifest`, `appendonly.aof.1.base.rdb`, `appendonly.aof.1.incr.aof`.
std::string manifest_name(std::string_view file_name);
std::string base_name(std::string_view file_name, int64_t sequence);
std::string increment_name(std::string_view file_name, int64_t sequence);
/// Whether a file has a name that the two above give.
bool is_base_or_increment(std::string_view file_name, std::string_view name);

/// The manifest of a directory; an empty one where there is none yet.
Result<Manifest> read_manifest(Disk& disk, const std::string& directory, std::string_view file_name);
/// Puts it in the place of the one before; after a power cut there is the old one or the new one, whole.
Result<void> write_manifest(Disk& disk, const std::string& directory, std::string_view file_name,
                            const Manifest& manifest);

}  // namespace quartet::persistence
