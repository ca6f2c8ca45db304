#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <lua.hpp>

#include "base/clock.h"
#include "base/limits.h"
#include "server/lua/random48.h"
#include "server/session.h"

namespace quartet::server {

class Server;

namespace lua {

// Lua's errors are longjmps: they run no destructors. Functions that Lua calls therefore keep only trivial objects on
// their stack while they call Lua, and put the rest into the interpreter, which outlives them.

/// A script that was compiled.
struct Script {
  char sha[41] = {};  // 40 hex digits in lower case, and NUL
  int function = LUA_NOREF;
  bool no_writes = false;
  bool has_shebang = false;
  bool allow_oom = false;
};

/// The script that runs now.
struct Run {
  const Script* script = nullptr;  // null: none
  const Session* caller = nullptr;
  bool read_only = false;
  bool wrote = false;   // a write command was called: the script can no longer be killed
  bool busy = false;    // it has run longer than `busy-reply-threshold`
  bool killed = false;
  bool aborted = false;  // killed because the process ends
  Time now;
  char error_source[LUA_IDSIZE] = {};  // where the script was when it was killed
  int error_line = 0;
};

/// The one Lua state of the server with all that its functions share. lua_getallocf gives it to them: it is the user data of the allocator.
struct Interpreter {
  explicit Interpreter(Server& server_) : server(server_), session(0, pool) { session.out.set_bound(limits::kScriptMemoryBytes); }

  /// The interpreter that `L` is of.
  static Interpreter& of(lua_State* L) {
    void* self;
    lua_getallocf(L, &self);
    return *static_cast<Interpreter*>(self);
  }

  Server& server;
  lua_State* state = nullptr;
  size_t memory = 0;  // bytes that Lua holds
  Random48 random;
  Run run;

  // The session that redis.call works with.
  protocol::BlockPool pool;
  Session session;

  // Reused from call to call, so that a call allocates nothing.
  std::vector<std::string_view> arguments;
  std::vector<char> number_text;
  std::string reply_bytes;
  std::string text;
};

/// lua_Alloc that counts in Interpreter::memory and refuses what goes beyond limits::kScriptMemoryBytes.
void* allocate(void* interpreter, void* block, size_t old_size, size_t new_size);

}  // namespace lua
}  // namespace quartet::server
