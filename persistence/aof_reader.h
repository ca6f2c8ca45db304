#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "persistence/aof_format.h"
#include "persistence/aof_tail.h"
#include "persistence/file.h"
#include "protocol/request_parser.h"

namespace quartet::persistence {

/// Reads a file of commands, an increment or a base without RDB, with or without annotations, in slices. Commands are
/// handed over whole, and units with all their commands or not at all, with the database that SELECT chose.
class AofReader {
 public:
  /// Executes one effect; the views are good during the call only. An error ends the reading.
  using Apply = std::function<Result<void>(const Effect&)>;

  enum class Status {
    More,     ///< step has to be called again
    Done,     ///< everything was read and is whole
    Torn,     ///< the rest from offset() on is what a power cut may leave of a write that nobody was told is on disk
    Corrupt,  ///< what was on disk once is damaged, at offset()
    Refused,  ///< what is at offset() is whole, but cannot be executed
    Failed,   ///< the disk does not let itself be read
  };

  /// `file` outlives the reader and does not change meanwhile. The commands begin at `begin`: a base of RDB may precede
  /// them.
  AofReader(File& file, Apply apply, uint64_t begin = 0);

  /// Reads on until about `budget` more bytes are done. Behind damage the rest of the file is looked at, in the same
  /// slices.
  Status step(size_t budget);

  /// What is done, in bytes: everything before is executed. After Torn: where to cut. Never within a unit.
  uint64_t offset() const { return window_offset_ + done_; }
  /// The size of the file, known from the first step on.
  uint64_t size() const { return size_; }
  /// After Torn, Corrupt, Refused and Failed: what is wrong.
  const std::string& reason() const { return reason_; }
  /// After Done: whether the file is one of Quartet's that ends with a batch, so that batches may follow.
  bool ends_with_batch() const { return has_batches_ && !left_batches_; }
  /// Batches with their checksums, and units from MULTI to EXEC, so far.
  uint64_t batches() const { return batches_; }
  uint64_t units() const { return units_; }

 private:
  enum class Need { Have, AtEnd, Failed };

  Need need(size_t count);
  std::string_view rest() const { return std::string_view(window_).substr(done_); }
  Status read_item();
  Status begin_batch(const Annotation& annotation);
  Status read_comment();
  Status read_unit();
  Status read_command(size_t at);
  Status skip_comment(size_t at, size_t& length);
  Status take_note(size_t at, size_t& length);
  Status deliver_unit(size_t end);
  Status deliver();
  Status fail(const Error& error);
  Status corrupt(std::string reason);
  Status torn(std::string reason);
  Status damaged(std::string reason);
  Status look_behind_damage(size_t budget);
  Need ends_in_zeros(uint64_t zeros_begin, bool& does);

  File& file_;
  Apply apply_;
  uint64_t size_ = 0;
  bool size_known_ = false;
  std::string window_;          // a piece of the file
  uint64_t window_offset_ = 0;  // where in the file it begins
  size_t done_ = 0;             // bytes of it
  uint64_t batch_end_ = 0;      // where the batch ends that is being executed; not behind offset() where none is
  bool has_batches_ = false, left_batches_ = false;
  uint64_t batches_ = 0, units_ = 0;
  int database_ = 0;
  protocol::RequestParser parser_;
  std::vector<std::string_view> arguments_;
  std::optional<storage::Note> note_;  // of the command that follows
  std::string reason_;
  // Once something is there that may be a torn tail, if what is behind it says so:
  std::optional<TailScan> scan_;
  bool only_zeros_ = false;  // no annotation would tell of what was on disk, so the file has to end with zeros
};

}  // namespace quartet::persistence
