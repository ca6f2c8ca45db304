#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "persistence/aof_reader.h"
#include "persistence/file.h"
#include "persistence/rdb_reader.h"

namespace quartet::server {

class Server;
struct Session;

/// Reads the data of an earlier process, in slices: files of RDB and increments of commands, in order.
class Loading final : public persistence::RdbLoader {
 public:
  struct Part {
    std::string name;  // within the directory
    enum class Kind : uint8_t {
      Snapshot,   ///< RDB by itself: what has expired is dropped
      AppendOnly, ///< an increment or a base: RDB, commands, or RDB and then commands, which expect also what has expired
    } kind;
  };

  Loading(Server& server, persistence::Disk& disk, std::string directory, std::vector<Part> parts);
  ~Loading() override;

  enum class Status { More, Done, Failed };
  /// Goes on until `until_us` (monotonic), for one small step at least.
  Status run(int64_t until_us);

  bool empty() const { return parts_.empty(); }
  const std::string& directory() const { return directory_; }
  /// After Failed: one line that names file and offset and says what is wrong.
  const std::string& error() const { return error_; }
  /// Bytes of all files, read already and in all.
  uint64_t done_bytes() const;
  uint64_t total_bytes() const { return total_bytes_; }
  int64_t began_us() const { return began_us_; }
  uint64_t keys_loaded() const { return loaded_; }
  uint64_t keys_expired() const { return expired_; }
  /// Empty collections of snapshots, which were passed over.
  uint64_t keys_empty() const { return empty_; }
  /// Commands executed, and those of them that replied errors, which changes nothing.
  uint64_t commands() const { return executed_; }
  uint64_t failed_commands() const { return failed_; }

  /// After Done: whether the last file is one of ours that batches may follow, and its size then.
  std::optional<uint64_t> last_end() const { return last_end_; }
  /// After Done: the size of the first file.
  uint64_t first_size() const { return sizes_.empty() ? 0 : sizes_.front(); }

  // persistence::RdbLoader
  storage::Keyspace* database(uint64_t index) override;

 private:
  Status open();
  Status open_part();
  void begin_commands(uint64_t offset);
  Status step();
  Status step_snapshot();
  Status step_commands();
  Status cut(uint64_t offset, const std::string& reason);
  Status settle_last(uint64_t end);
  Result<void> execute(const persistence::Effect& effect);
  Status fail(std::string text);

  Server& server_;
  persistence::Disk& disk_;
  const std::string directory_;
  const std::vector<Part> parts_;
  std::vector<uint64_t> sizes_;
  uint64_t total_bytes_ = 0, earlier_bytes_ = 0;
  const int64_t began_us_;
  const int64_t now_ms_;  // when the loading began: what had expired then is dropped
  size_t at_ = 0;         // the part being read
  std::unique_ptr<persistence::File> file_;
  std::optional<persistence::RdbInput> input_;
  std::optional<persistence::RdbReader> snapshot_;
  std::optional<persistence::AofReader> commands_;
  std::unique_ptr<Session> session_;  // that replays commands
  std::optional<uint64_t> last_end_;
  uint64_t loaded_ = 0, expired_ = 0, empty_ = 0, executed_ = 0, failed_ = 0;
  std::string error_;
};

}  // namespace quartet::server
