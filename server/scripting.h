#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/context.h"

namespace quartet::server {

/// Lua 5.1 scripts: one interpreter for the whole server, a cache of scripts by their SHA-1, and the state of the script that runs.
/// What runs in Lua stands in server/lua/.
class Scripting {
 public:
  explicit Scripting(Server& server);
  ~Scripting();
  Scripting(const Scripting&) = delete;
  Scripting& operator=(const Scripting&) = delete;

  /// EVAL, EVAL_RO, EVALSHA, EVALSHA_RO: runs a script and writes its reply.
  void eval(Context& ctx, bool by_sha, bool read_only);
  /// Whether the script of a request (EVAL, EVALSHA) may write, as far as its flags say. One that is not known may.
  bool may_write(Args args, bool by_sha) const;
  /// SCRIPT LOAD: compiles and keeps a script; false with the error written where it does not compile. `sha` is 40 hex digits.
  bool load(Context& ctx, std::string_view body, std::string& sha);
  bool exists(std::string_view sha) const;
  /// Forgets all scripts and starts a fresh interpreter.
  void flush();

  /// A script has run longer than `busy-reply-threshold`: other clients are answered BUSY.
  bool busy() const;
  /// SCRIPT KILL: "" if the script will end, else the error reply (NOTBUSY, UNKILLABLE).
  std::string kill();
  /// SHUTDOWN NOSAVE: the process is about to end, and so does the script, whatever it has done. Its effects stay without the end of
  /// their unit, so that no copy of the data takes them over.
  void abort();

  // For INFO and MEMORY STATS.
  /// Bytes that the interpreter holds.
  size_t memory() const;
  /// Bytes of the buffers between it and the server.
  size_t buffer_memory() const;
  size_t cached_scripts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quartet::server
