#pragma once

#include "server/context.h"
#include "server/server.h"

namespace quartet::server {

/// The right of a command to much memory for its work, for as long as this lives. One command alone has as much as it
/// wants; what several have together is bounded (limits::kWorkingBytes), so that it can be planned for beside
/// `maxmemory`, for which it does not count.
class WorkingMemory {
 public:
  /// Where it is refused, the error has been written. REQUIRES: bytes > 0.
  WorkingMemory(Context& ctx, size_t bytes)
      : commands_(ctx.server.long_commands), bytes_(commands_.reserve(bytes) ? bytes : 0) {
    if (bytes_ == 0)
      ctx.reply.error("OOM command not allowed while other commands hold too much memory for their work");
  }
  WorkingMemory(const WorkingMemory&) = delete;
  WorkingMemory& operator=(const WorkingMemory&) = delete;
  ~WorkingMemory() { commands_.release(bytes_); }

  explicit operator bool() const { return bytes_ > 0; }

 private:
  LongCommands& commands_;
  size_t bytes_;
};

}  // namespace quartet::server
