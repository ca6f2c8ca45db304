#include "server/lua/sandbox.h"

#include <cmath>
#include <cstring>
#include <string_view>

#include "base/limits.h"
#include "server/lua/interpreter.h"
#include "server/lua/libraries.h"
#include "server/lua/readonly.h"

extern "C" int luaopen_cjson(lua_State* L);

namespace quartet::server::lua {

namespace {

// --- Globals that know of read-only tables ----------------------------------------------------------------------------

int safe_next(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  if (push_real_table(L, 1)) lua_replace(L, 1);
  if (lua_next(L, 1)) return 2;
  lua_pushnil(L);
  return 1;
}

int safe_pairs(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_pushvalue(L, lua_upvalueindex(1));  // next
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  return 3;
}

int safe_rawget(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  if (push_real_table(L, 1)) lua_replace(L, 1);
  lua_rawget(L, 1);
  return 1;
}

int safe_rawset(lua_State* L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  luaL_checkany(L, 3);
  if (is_readonly(L, 1)) return raise_readonly(L);
  lua_settop(L, 3);
  lua_rawset(L, 1);
  return 1;
}

/// The metatable of strings is shared by all scripts: they see a read-only front of it (upvalue 1).
int safe_getmetatable(lua_State* L) {
  luaL_checkany(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING) {
    lua_pushvalue(L, lua_upvalueindex(1));
  } else if (is_readonly(L, 1)) {
    push_visible_metatable(L, 1);
  } else if (!lua_getmetatable(L, 1)) {
    lua_pushnil(L);
  } else {
    luaL_getmetafield(L, 1, "__metatable");
  }
  return 1;
}

/// Runs the function it replaces (upvalue 1), unless its first argument is read-only.
int refuse_readonly(lua_State* L) {
  if (is_readonly(L, 1)) return raise_readonly(L);
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/// An error table that a command raised becomes its text, as scripts of before Redis 7 expect it.
int safe_pcall(lua_State* L) {
  const int count = lua_tocfunction(L, lua_upvalueindex(1))(L);
  if (count != 2 || lua_toboolean(L, -2) || lua_type(L, -1) != LUA_TTABLE) return count;
  lua_pushliteral(L, "err");
  lua_rawget(L, -2);
  if (lua_type(L, -1) == LUA_TSTRING) {
    lua_replace(L, -2);
  } else {
    lua_pop(L, 1);
  }
  return count;
}

/// A script cannot change how memory is collected for those after it.
int safe_collectgarbage(lua_State* L) {
  static constexpr const char* kOptions[] = {"stop", "restart", "collect", "count", "step", "setpause", "setstepmul", nullptr};
  const int option = luaL_checkoption(L, 1, "collect", kOptions);
  switch (option) {
    case 2:
    case 3:
    case 4: return lua_tocfunction(L, lua_upvalueindex(1))(L);
    default: lua_pushnumber(L, 0); return 1;
  }
}

// --- Compiling --------------------------------------------------------------------------------------------------------
// Compiled code is not checked by Lua and could do anything to this process. The parser takes text where the first
// byte is not that of compiled code: a blank before it.

struct Source {
  std::string_view text;
  bool begun = false;
};

const char* read_source(lua_State*, void* data, size_t* size) {
  auto& source = *static_cast<Source*>(data);
  if (!source.begun) {
    source.begun = true;
    if (source.text.starts_with(LUA_SIGNATURE[0])) {
      *size = 1;
      return " ";
    }
  }
  *size = source.text.size();
  const char* text = source.text.data();
  source.text = {};
  return text;
}

int loaded(lua_State* L, int status) {
  if (status == 0) return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

int safe_loadstring(lua_State* L) {
  size_t n;
  const char* text = luaL_checklstring(L, 1, &n);
  Source source{{text, n}};
  return loaded(L, lua_load(L, read_source, &source, luaL_optstring(L, 2, text)));
}

/// Calls the function at 1 for a piece and keeps it at 3, where it is safe from the collector.
const char* read_piece(lua_State* L, void* data, size_t* size) {
  auto& begun = *static_cast<bool*>(data);
  luaL_checkstack(L, 2, "too many nested functions");
  if (begun) {
    // The first piece, held back behind a blank.
    if (lua_type(L, 4) == LUA_TSTRING) {
      lua_pushvalue(L, 4);
      lua_replace(L, 3);
      lua_pushnil(L);
      lua_replace(L, 4);
      return lua_tolstring(L, 3, size);
    }
  }
  lua_pushvalue(L, 1);
  lua_call(L, 0, 1);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    *size = 0;
    return nullptr;
  }
  if (!lua_isstring(L, -1)) luaL_error(L, "reader function must return a string");
  lua_replace(L, 3);
  const char* piece = lua_tolstring(L, 3, size);
  if (begun || *size == 0 || piece[0] != LUA_SIGNATURE[0]) {
    begun = begun || *size > 0;
    return piece;
  }
  begun = true;
  lua_pushvalue(L, 3);
  lua_replace(L, 4);
  *size = 1;
  return " ";
}

int safe_load(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "=(load)");
    lua_replace(L, 2);
  }
  // The parser does not keep its copy of the name from the collector, which may come while the reader runs. Here it does not have to
  // because the same string stands on the stack, without what is behind a NUL.
  const char* name = luaL_checkstring(L, 2);
  lua_pushstring(L, name);
  lua_replace(L, 2);
  name = lua_tostring(L, 2);
  lua_settop(L, 4);
  bool begun = false;
  return loaded(L, lua_load(L, read_piece, &begun, name));
}

// --- math -------------------------------------------------------------------------------------------------------------

int random(lua_State* L) {
  constexpr int32_t kMost = 2147483647;
  const double r = static_cast<double>(Interpreter::of(L).random.next() % kMost) / kMost;
  switch (lua_gettop(L)) {
    case 0: lua_pushnumber(L, r); break;
    case 1: {
      const auto upper = static_cast<int>(luaL_checkinteger(L, 1));
      luaL_argcheck(L, 1 <= upper, 1, "interval is empty");
      lua_pushnumber(L, std::floor(r * upper) + 1);
      break;
    }
    case 2: {
      const auto lower = static_cast<int>(luaL_checkinteger(L, 1));
      const auto upper = static_cast<int>(luaL_checkinteger(L, 2));
      luaL_argcheck(L, lower <= upper, 2, "interval is empty");
      lua_pushnumber(L, std::floor(r * (static_cast<double>(upper) - lower + 1)) + lower);
      break;
    }
    default: return luaL_error(L, "wrong number of arguments");
  }
  return 1;
}

int randomseed(lua_State* L) {
  Interpreter::of(L).random.seed(static_cast<int32_t>(luaL_checkinteger(L, 1)));
  return 0;
}

// --- string -----------------------------------------------------------------------------------------------------------

/// Lua 5.1's matcher recurses once for each repetition and capture of a pattern without a bound. The function that is
/// replaced is upvalue 1.
int bounded_pattern(lua_State* L) {
  constexpr size_t kMostRepetitions = 10000;
  size_t n = 0;
  const char* pattern = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &n) : nullptr;
  if (n > kMostRepetitions) {
    size_t repetitions = 0;
    for (size_t i = 0; i < n; ++i) repetitions += std::strchr("*+-?()", pattern[i]) != nullptr;
    if (repetitions > kMostRepetitions && !lua_toboolean(L, 4)) return luaL_error(L, "pattern too complex");
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/// Lua makes long strings by as many steps as there are repetitions, and no hook comes in between.
int bounded_rep(lua_State* L) {
  const double length = static_cast<double>(lua_objlen(L, 1));
  const double times = lua_isnumber(L, 2) ? lua_tonumber(L, 2) : 0;
  if (times > 0 && length * times > limits::kScriptMemoryBytes) return luaL_error(L, "not enough memory");
  if (length == 0 && lua_type(L, 1) == LUA_TSTRING && lua_isnumber(L, 2)) {
    lua_settop(L, 1);
    return 1;
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/// Lua 5.1 counts the results of unpack in an int, which overflows.
int bounded_unpack(lua_State* L) {
  if (lua_isnumber(L, 3)) {
    const double first = lua_isnumber(L, 2) ? lua_tonumber(L, 2) : 1;
    if (!(std::fabs(first) <= 2147483647 && std::fabs(lua_tonumber(L, 3)) <= 2147483647) ||
        lua_tonumber(L, 3) - first >= LUAI_MAXCSTACK)
      return luaL_error(L, "too many results to unpack");
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

// --- cjson ------------------------------------------------------------------------------------------------------------
// The library bounds nesting, but lets scripts raise the bound; and its buffer ends the process where it overflows.

/// Calls what `wrap_cjson` replaced, in the place of the function that runs, so that errors name the script's line.
int call_cjson(lua_State* L) { return lua_tocfunction(L, lua_upvalueindex(2))(L); }

int bounded_depth(lua_State* L) {
  if (lua_isnumber(L, 1) && lua_tonumber(L, 1) > limits::kNesting)
    return luaL_argerror(L, 1, "expected integer between 1 and 1000");
  return call_cjson(L);
}

/// Adds what the value at the top takes in JSON at most, in bytes; false beyond the bound.
bool measure_json(lua_State* L, size_t& bytes, int depth) {
  constexpr size_t kNumberBytes = 32;
  constexpr size_t kEscapedByte = 6;
  switch (lua_type(L, -1)) {
    case LUA_TSTRING: bytes += kEscapedByte * lua_objlen(L, -1) + 3; break;
    case LUA_TTABLE: {
      bytes += 2;
      if (depth > limits::kNesting || !lua_checkstack(L, 3)) return true;  // refused by the library
      for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        bytes += lua_type(L, -2) == LUA_TSTRING ? kEscapedByte * lua_objlen(L, -2) + 4 : kNumberBytes;
        if (!measure_json(L, bytes, depth + 1)) {
          lua_pop(L, 2);
          return false;
        }
      }
      break;
    }
    default: bytes += kNumberBytes;
  }
  return bytes <= limits::kJsonBytes;
}

int bounded_encode(lua_State* L) {
  if (lua_gettop(L) == 1) {
    size_t bytes = 0;
    if (!measure_json(L, bytes, 0)) return luaL_error(L, "Cannot serialise, the result would be too long");
  }
  return call_cjson(L);
}

/// Replaces field `name` of the table at the top by `function` with the old value as its upvalue.
void wrap(lua_State* L, const char* name, lua_CFunction function) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
}

/// The same for a function of cjson. Its one upvalue, the configuration, has to be the first of the new one too.
void wrap_cjson(lua_State* L, const char* name, lua_CFunction function) {
  lua_getfield(L, -1, name);
  lua_getupvalue(L, -1, 1);
  lua_insert(L, -2);
  lua_pushcclosure(L, function, 2);
  lua_setfield(L, -2, name);
}

int new_cjson(lua_State* L);

void bound_cjson(lua_State* L) {
  wrap_cjson(L, "encode", bounded_encode);
  wrap_cjson(L, "encode_max_depth", bounded_depth);
  wrap_cjson(L, "decode_max_depth", bounded_depth);
  wrap(L, "new", new_cjson);
}

int new_cjson(lua_State* L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_call(L, 0, 1);
  bound_cjson(L);
  return 1;
}

// --- Errors -----------------------------------------------------------------------------------------------------------

int missing_global(lua_State* L) {
  const char* name = lua_tostring(L, 2);
  return luaL_error(L, "Script attempted to access nonexistent global variable '%s'", name ? name : luaL_typename(L, 2));
}

/// Gives an error the form {err =, source =, line =} with the place in the script where it was raised.
int handle_error(lua_State* L) {
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TTABLE) {
    luaL_checkstack(L, 6, "error handler");
    lua_newtable(L);
    lua_pushliteral(L, "ERR ");
    lua_getglobal(L, "tostring");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    lua_concat(L, 2);
    lua_setfield(L, -2, "err");
    lua_replace(L, 1);
  }
  lua_Debug where;
  bool found = lua_getstack(L, 1, &where) && lua_getinfo(L, "Sl", &where);
  if (found && std::strcmp(where.what, "C") == 0) found = lua_getstack(L, 2, &where) && lua_getinfo(L, "Sl", &where);
  if (found && !is_readonly(L, 1)) {
    lua_pushstring(L, "source");
    lua_pushstring(L, where.source);
    lua_rawset(L, 1);
    lua_pushstring(L, "line");
    lua_pushinteger(L, where.currentline);
    lua_rawset(L, 1);
  }
  return 1;
}

// --- The whole --------------------------------------------------------------------------------------------------------

void open(lua_State* L, lua_CFunction function, const char* name) {
  lua_pushcfunction(L, function);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

/// Opens one of our libraries, or cjson, as the global `name`.
void open_global(lua_State* L, lua_CFunction function, const char* name) {
  lua_pushcfunction(L, function);
  lua_call(L, 0, 1);
  lua_setglobal(L, name);
}

void set_global(lua_State* L, const char* name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_setglobal(L, name);
}

void wrap_global(lua_State* L, const char* name, lua_CFunction function) {
  lua_getglobal(L, name);
  lua_pushcclosure(L, function, 1);
  lua_setglobal(L, name);
}

void replace_functions(lua_State* L) {
  for (const char* name : {"print", "dofile", "loadfile", "newproxy", "getfenv", "setfenv", "require", "module", "package"}) {
    lua_pushnil(L);
    lua_setglobal(L, name);
  }
  set_global(L, "next", safe_next);
  lua_getglobal(L, "next");
  lua_pushcclosure(L, safe_pairs, 1);
  lua_setglobal(L, "pairs");
  set_global(L, "rawget", safe_rawget);
  set_global(L, "rawset", safe_rawset);
  set_global(L, "load", safe_load);
  set_global(L, "loadstring", safe_loadstring);
  wrap_global(L, "pcall", safe_pcall);
  wrap_global(L, "unpack", bounded_unpack);
  wrap_global(L, "setmetatable", refuse_readonly);
  wrap_global(L, "collectgarbage", safe_collectgarbage);

  lua_getglobal(L, "table");
  wrap(L, "insert", refuse_readonly);
  lua_pop(L, 1);

  lua_getglobal(L, "string");
  for (const char* name : {"find", "match", "gsub", "gmatch", "gfind"}) wrap(L, name, bounded_pattern);
  wrap(L, "rep", bounded_rep);
  lua_pop(L, 1);

  lua_getglobal(L, "math");
  lua_pushcfunction(L, random);
  lua_setfield(L, -2, "random");
  lua_pushcfunction(L, randomseed);
  lua_setfield(L, -2, "randomseed");
  lua_pop(L, 1);

  lua_getglobal(L, "cjson");
  bound_cjson(L);
  lua_pop(L, 1);
}

}  // namespace

Sandbox open_sandbox(lua_State* L) {
  open(L, luaopen_base, "");
  open(L, luaopen_table, LUA_TABLIBNAME);
  open(L, luaopen_string, LUA_STRLIBNAME);
  open(L, luaopen_math, LUA_MATHLIBNAME);
  open_global(L, luaopen_cjson, "cjson");
  open_global(L, open_cmsgpack, "cmsgpack");
  open_global(L, open_struct, "struct");
  open_global(L, open_bit, "bit");
  open_global(L, open_redis, "redis");
  lua_settop(L, 0);
  replace_functions(L);

  for (const char* name : {"table", "string", "math", "coroutine", "cjson", "cmsgpack", "struct", "bit", "redis"}) {
    lua_getglobal(L, name);
    make_readonly(L);
    lua_setglobal(L, name);
  }
  // What scripts see as the metatable of strings.
  lua_newtable(L);
  lua_getglobal(L, "string");
  lua_setfield(L, -2, "__index");
  make_readonly(L);
  lua_pushcclosure(L, safe_getmetatable, 1);
  lua_setglobal(L, "getmetatable");

  Sandbox sandbox;
  lua_pushcfunction(L, handle_error);
  lua_pushvalue(L, -1);
  lua_setglobal(L, "__redis__err__handler");
  sandbox.error_handler = luaL_ref(L, LUA_REGISTRYINDEX);

  lua_pushvalue(L, LUA_GLOBALSINDEX);
  lua_pushvalue(L, -1);
  sandbox.globals = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_newtable(L);
  lua_pushcfunction(L, missing_global);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  make_readonly(L);
  lua_pushvalue(L, -1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, sandbox.globals);
  lua_insert(L, -2);
  lua_setfield(L, -2, "_G");
  lua_pop(L, 1);
  lua_replace(L, LUA_GLOBALSINDEX);
  return sandbox;
}

}  // namespace quartet::server::lua
