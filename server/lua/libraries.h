#pragma once

#include <lua.hpp>

namespace quartet::server::lua {

// The libraries that scripts have beside Lua's own and cjson. Each pushes its table.

/// MessagePack (https://github.com/msgpack/msgpack/blob/master/spec-old.md with str 8): pack, unpack, unpack_one, unpack_limit.
int open_cmsgpack(lua_State* L);
/// Binary structures by format strings (http://www.inf.puc-rio.br/~roberto/struct/): pack, unpack, size.
int open_struct(lua_State* L);
/// Operations on the bits of 32-bit integers (https://bitop.luajit.org/api.html).
int open_bit(lua_State* L);
/// The table `redis`: call, pcall, log, ...
int open_redis(lua_State* L);

}  // namespace quartet::server::lua
