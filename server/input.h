#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "server/command.h"
#include "server/session.h"

namespace quartet::server {

class Server;
struct CommandEntry;

/// What the dispatcher has done with a request.
enum class Outcome : uint8_t {
  Done,   ///< executed, queued or refused: it is answered, or its reply follows when the session's wait ends
  Waits,  ///< nothing: the session waits, and the request stays in its input and is dispatched again when the wait has ended
};

/// Requests of one session that were parsed together, so that their look-ups can be prefetched.
struct Batch {
  struct Request {
    size_t first_argument, end_argument, end_byte;
    const CommandEntry* command;  // null where there is no such command
    bool quiet = false;           // of memcached's protocol: the client waits for no reply
  };
  std::vector<std::string_view> arguments;
  std::vector<Request> requests;
  size_t bytes = 0;         // of the input that the requests took, an unfinished one not counted
  bool well_formed = true;  // otherwise the error is in the parser, and comes after the requests
  size_t looked_ahead = 0;  // requests whose look-ups have been asked for

  void clear() {
    arguments.clear();
    requests.clear();
    bytes = looked_ahead = 0;
    well_formed = true;
  }
  size_t memory() const { return arguments.capacity() * sizeof(arguments[0]) + requests.capacity() * sizeof(requests[0]); }
  Args arguments_of(const Request& request) const {
    return {arguments.data() + request.first_argument, request.end_argument - request.first_argument};
  }
};

/// The way of bytes from the sockets to the dispatcher: it owns the buffers that are read into and the sessions' place in the
/// order of execution.
///
/// A read goes to one of two places. A session that has nothing left over is read into a buffer that all share; what is not
/// executed of it is then copied to the session's own InputBuffer (Session::input). A session that keeps input, an unfinished
/// request or requests that wait, is read straight into that.
///
///     reactor:  read_buffer(session) -> recv -> received(session, n)      for each socket that is ready
///               execute_received()                                        when all have been read
///
/// Executing a request can resume any session that waits, and a session that is resumed executes, moves and frees its input. So
/// nothing is executed between read_buffer and received; what has to be executed before, read_buffer executes.
///
/// Short reads are batched: parsed at once, and executed together when all sockets that are ready have been read, so that the
/// look-ups of many clients overlap. While a script runs and the reactor reads other clients (Host::poll_input), reads go to a
/// second buffer and are executed at once.
///
/// Here is also who waits, and why (see Wait). Who ends a wait calls end_wait, and the session's input goes on with the next
/// run_resumed, in the order of these calls.
class Input {
 public:
  explicit Input(Server& server);

  // --- For the reactor ----------------------------------------------------------------------------------------------

  struct ReadBuffer {
    char* data;
    size_t size;  // 0 while a command of the session itself is on the stack
  };
  /// Where the next bytes of a session are to be read to. Executes what was read before where that may change the answer.
  ReadBuffer read_buffer(Session& session);
  /// `n` bytes were read into the buffer that read_buffer gave. Executes every complete request; those of a short read at
  /// the latest with execute_received, which must be called when all sockets that are ready have been read.
  /// REQUIRES: n > 0; no other function was called since read_buffer, which was for this session.
  void received(Session& session, size_t n);
  /// Executes what short reads have brought, in the order in which it came.
  void execute_received();

  // --- Waiting ------------------------------------------------------------------------------------------------------

  /// No further request of the session is executed until end_wait. REQUIRES: it does not wait, and reason is not None.
  void wait(Session& session, Wait reason);
  /// The wait has ended; the time of it was neither work nor idleness. REQUIRES: it waits.
  void end_wait(Session& session);
  /// The same for all who wait for this reason, in the order in which they began to. REQUIRES: Wait::Pause or Wait::Snapshot.
  void end_waits(Wait reason);
  /// How many sessions wait for it.
  size_t waiting(Wait reason) const { return waiting_[static_cast<size_t>(reason)]; }
  /// Whether run_resumed has something to do.
  bool has_resumed() const { return !resumed_.empty(); }
  /// Executes the input of those whose wait has ended. REQUIRES: no command runs.
  void run_resumed();

  /// The session is about to be destroyed.
  void forget(Session& session);
  /// Bytes of the heap that are buffers of no session.
  size_t memory() const;

 private:
  /// So many short reads are executed together, and so short they are, in bytes: a longer one has a pipeline of its own,
  /// whose look-ups overlap.
  static constexpr size_t kBatchedReads = limits::kBatchCommands;
  static constexpr size_t kShortReadBytes = 512;
  /// Of each of the shared buffers.
  static constexpr size_t kSharedBytes = limits::kReadBufferBytes + kBatchedReads * kShortReadBytes;

  /// A short read: most often the one request of a client that waits for its reply.
  struct BatchedRead {
    Session* session;  // null where it has gone away meanwhile
    std::string_view input;
    Batch batch;
  };
  /// What the last read_buffer has chosen.
  enum class Target : uint8_t { None, Shared, Own };

  char* shared_room() const;
  /// The batch for input that is executed at once.
  Batch& immediate_batch();
  void add_to_batch(Session& session, std::string_view input);
  /// Executes what was read into the shared buffer, of which `batch` holds the first requests, and keeps the rest of it.
  void execute_read(Session& session, std::string_view input, Batch& batch, Time& now);
  /// Whoever was resumed by it goes on; `now` becomes the time after that.
  void finish_read(Session& session, Time& now);
  /// Executes what the session keeps, as far as it does not wait.
  void execute_kept(Session& session);

  /// Executes the complete requests of `input`, of which `batch` holds the first, and returns how many bytes are done.
  size_t execute_input(Session& session, std::string_view input, Batch& batch, Time& now);
  /// Executes the requests of a batch until the session stops (see stops), and returns how many bytes are done.
  size_t execute_batch(Session& session, Batch& batch, Time& now);
  /// Whether no further request of the session is executed now.
  bool stops(const Session& session) const;
  /// What is said to a client whose input makes no sense, before it is disconnected.
  void end_malformed(Session& session);
  void end_malformed_memcached(Session& session);
  /// Parses as many requests as go into a batch.
  void parse_batch(Session& session, std::string_view input, Batch& batch);
  void parse_memcached(Session& session, std::string_view input, Batch& batch);
  /// Asks the cache for what the next requests of a batch, or those of all batched reads, will look up, at once: the misses overlap.
  void look_ahead(const Session& session, Batch& batch) const;
  void look_ahead(std::span<BatchedRead> reads) const;

  Server& server_;
  // One buffer and batch for the loop, one for what is read while a script runs.
  std::unique_ptr<char[]> shared_[2];
  Batch batches_[2];
  std::unique_ptr<BatchedRead[]> reads_;  // those from next_read_ to read_count_ are to be executed
  size_t next_read_ = 0, read_count_ = 0;
  size_t batched_bytes_ = 0;  // that they take at the beginning of the shared buffer
  const Session* target_of_ = nullptr;
  Target target_ = Target::None;

  std::array<size_t, kWaits> waiting_{};
  std::list<Session*> paused_, for_snapshot_;
  std::vector<uint64_t> resumed_;  // ids: a session may be gone when its turn comes
};

}  // namespace quartet::server
