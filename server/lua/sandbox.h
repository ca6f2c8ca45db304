#pragma once

#include <lua.hpp>

namespace quartet::server::lua {

/// Registry references to what every run needs.
struct Sandbox {
  int globals;        // the real table of globals: KEYS and ARGV are set here
  int error_handler;  // gives errors their form: {err =, source =, line =}
};

/// Opens the libraries that scripts may use into a fresh state whose allocator's user data is the Interpreter, and makes
/// everything that scripts share read-only.
Sandbox open_sandbox(lua_State* L);

}  // namespace quartet::server::lua
