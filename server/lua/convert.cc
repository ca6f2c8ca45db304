#include "server/lua/convert.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/limits.h"
#include "base/numbers.h"
#include "server/lua/interpreter.h"
#include "server/server.h"

namespace quartet::server::lua {

// --- Replies to Lua ---------------------------------------------------------------------------------------------------

namespace {

/// Reads one reply after the other. What it reads was written by this server, so it is well-formed.
class ReplyReader {
 public:
  ReplyReader(lua_State* L, std::string_view reply) : L_(L), at_(reply.data()), end_(at_ + reply.size()) {}

  void push() {
    luaL_checkstack(L_, 5, "reply");
    switch (*at_++) {
      case ':': return lua_pushnumber(L_, static_cast<double>(length()));
      case '$': return push_bulk();
      case '+': return push_line("ok");
      case '-': return push_error();
      case '*':
      case '>': return push_array();
      case '%': return push_map();
      case '~': return push_set();
      case ',': return push_double();
      case '#': return lua_pushboolean(L_, line() == "t");
      case '(': return push_line("big_number");
      case '=': return push_verbatim();
      case '_': line(); return lua_pushnil(L_);
      case '|': return skip_attribute();
      default: luaL_error(L_, "unknown type of reply");
    }
  }

 private:
  std::string_view line() {
    const char* begin = at_;
    const auto* cr = static_cast<const char*>(std::memchr(at_, '\r', static_cast<size_t>(end_ - at_)));
    at_ = cr + 2;
    return {begin, static_cast<size_t>(cr - begin)};
  }

  int64_t length() {
    int64_t value = 0;
    at_ = std::from_chars(at_, end_, value).ptr + 2;
    return value;
  }

  std::string_view bytes(size_t n) {
    const std::string_view found(at_, n);
    at_ += n + 2;
    return found;
  }

  void push_view(std::string_view text) { lua_pushlstring(L_, text.data(), text.size()); }

  void push_bulk() {
    const int64_t n = length();
    if (n < 0) return lua_pushboolean(L_, 0);
    push_view(bytes(static_cast<size_t>(n)));
  }

  void push_line(const char* field) {
    lua_createtable(L_, 0, 1);
    push_view(line());
    lua_setfield(L_, -2, field);
  }

  void push_error() {
    lua_createtable(L_, 0, 2);
    push_view(line());
    lua_setfield(L_, -2, "err");
    lua_pushboolean(L_, 1);
    lua_setfield(L_, -2, "ignore_error_stats_update");
  }

  void push_array() {
    const int64_t n = length();
    if (n < 0) return lua_pushboolean(L_, 0);
    lua_createtable(L_, static_cast<int>(n), 0);
    for (int i = 1; i <= n; ++i) {
      push();
      lua_rawseti(L_, -2, i);
    }
  }

  /// Sets t[key] = value of the three at the top; a key that Lua does not take is left out.
  void set_pair() {
    if (lua_isnil(L_, -2)) return lua_pop(L_, 2);
    lua_rawset(L_, -3);
  }

  void push_map() {
    const int64_t n = length();
    lua_createtable(L_, 0, 1);
    lua_createtable(L_, 0, static_cast<int>(n));
    for (int64_t i = 0; i < n; ++i) {
      push();
      push();
      set_pair();
    }
    lua_setfield(L_, -2, "map");
  }

  void push_set() {
    const int64_t n = length();
    lua_createtable(L_, 0, 1);
    lua_createtable(L_, 0, static_cast<int>(n));
    for (int64_t i = 0; i < n; ++i) {
      push();
      lua_pushboolean(L_, 1);
      set_pair();
    }
    lua_setfield(L_, -2, "set");
  }

  void push_double() {
    lua_createtable(L_, 0, 1);
    lua_pushnumber(L_, std::strtod(at_, nullptr));
    line();
    lua_setfield(L_, -2, "double");
  }

  void push_verbatim() {
    const std::string_view text = bytes(static_cast<size_t>(length()));
    lua_createtable(L_, 0, 1);
    lua_createtable(L_, 0, 2);
    push_view(text.substr(0, 3));
    lua_setfield(L_, -2, "format");
    push_view(text.substr(4));
    lua_setfield(L_, -2, "string");
    lua_setfield(L_, -2, "verbatim_string");
  }

  void skip_attribute() {
    for (int64_t left = 2 * length(); left > 0; --left) {
      push();
      lua_pop(L_, 1);
    }
    push();
  }

  lua_State* L_;
  const char* at_;
  const char* end_;
};

}  // namespace

void push_reply(lua_State* L, std::string_view reply) { ReplyReader(L, reply).push(); }

size_t format_argument(double number, char* out) {
  // What %.17g shows without an exponent, except for -0.
  if (std::fabs(number) < 1e17 && std::trunc(number) == number && !(number == 0 && std::signbit(number)))
    return format_int(static_cast<int64_t>(number), out);
  return static_cast<size_t>(std::snprintf(out, 32, "%.17g", number));
}

// --- Lua to replies ---------------------------------------------------------------------------------------------------

namespace {

/// Writes values as replies. The names of the fields that give a table its meaning lie on the stack for the whole time,
/// so that looking for them in each table costs no hashing. Tables are read without regard to metatables: no script runs here.
class ReplyWriter {
 public:
  ReplyWriter(lua_State* L, protocol::Reply& reply, bool resp3, uint64_t& counted)
      : L_(L), reply_(reply), resp3_(resp3), counted_(counted), most_(reply.buffer().size() + limits::kScriptMemoryBytes) {}

  /// Writes the value at the top, and removes it.
  void write_top() {
    if (lua_type(L_, -1) != LUA_TTABLE) return write(0);
    luaL_checkstack(L_, kFields + 4, "reply");
    names_ = lua_gettop(L_) + 1;
    for (const char* name : {"err", "ok", "double", "map", "set", "big_number", "verbatim_string", "ignore_error_stats_update"}) lua_pushstring(L_, name);
    lua_pushvalue(L_, names_ - 1);
    write(0);
    lua_settop(L_, names_ - 2);
  }

 private:
  enum Field { kErr, kOk, kDouble, kMap, kSet, kBigNumber, kVerbatim, kCounted, kFields };

  void write(int depth) {
    if (reply_.buffer().size() > most_) luaL_error(L_, "the reply is too long");
    switch (lua_type(L_, -1)) {
      case LUA_TSTRING: reply_.bulk(view(-1)); break;
      case LUA_TNUMBER: reply_.integer(to_integer(lua_tonumber(L_, -1))); break;
      case LUA_TBOOLEAN: write_boolean(lua_toboolean(L_, -1) != 0); break;
      case LUA_TTABLE:
        if (depth >= limits::kNesting || !lua_checkstack(L_, 6)) {
          reply_.error("ERR reached lua stack limit");
        } else {
          write_table(depth);
        }
        break;
      default: reply_.null();
    }
    lua_pop(L_, 1);
  }

  std::string_view view(int index) {
    size_t n;
    const char* bytes = lua_tolstring(L_, index, &n);
    return {bytes, n};
  }

  /// Towards zero; what no 64-bit integer can hold is the lowest one, as x86-64 converts it.
  static int64_t to_integer(double number) {
    constexpr double kTwoTo63 = 9223372036854775808.0;
    return number >= -kTwoTo63 && number < kTwoTo63 ? static_cast<int64_t>(number) : INT64_MIN;
  }

  void write_boolean(bool value) {
    if (resp3_) return reply_.boolean(value);
    if (value) return reply_.integer(1);
    reply_.null();
  }

  /// Pushes the field of the table at the top; true if it is of this type, else nothing is left pushed.
  bool field(Field which, int type) {
    lua_pushvalue(L_, names_ + which);
    lua_rawget(L_, -2);
    if (lua_type(L_, -1) == type) return true;
    lua_pop(L_, 1);
    return false;
  }

  void write_table(int depth) {
    if (field(kErr, LUA_TSTRING)) {
      reply_.error(view(-1));
      lua_pop(L_, 1);
      // Each is counted by its own code, and what the server has counted as a command's is not counted again.
      if (!field(kCounted, LUA_TBOOLEAN)) {
        lua_pushnil(L_);
        Interpreter::of(L_).server.count_error(reply_.last_error());
      }
      ++counted_;
    } else if (field(kOk, LUA_TSTRING)) {
      make_one_line();
      reply_.simple(view(-1));
    } else if (field(kDouble, LUA_TNUMBER)) {
      reply_.number(lua_tonumber(L_, -1));
    } else if (field(kMap, LUA_TTABLE)) {
      write_map(depth);
    } else if (field(kSet, LUA_TTABLE)) {
      write_set(depth);
    } else if (field(kBigNumber, LUA_TSTRING)) {
      make_one_line();
      reply_.big_number(view(-1));
    } else if (!field(kVerbatim, LUA_TTABLE) || !write_verbatim()) {
      return write_array(depth);
    }
    lua_pop(L_, 1);
  }

  void write_array(int depth) {
    int n = 0;
    for (;; ++n) {
      lua_rawgeti(L_, -1, n + 1);
      const bool end = lua_isnil(L_, -1);
      lua_pop(L_, 1);
      if (end) break;
    }
    reply_.array(static_cast<size_t>(n));
    for (int i = 1; i <= n; ++i) {
      lua_rawgeti(L_, -1, i);
      write(depth + 1);
    }
  }

  size_t count_pairs() {
    size_t n = 0;
    for (lua_pushnil(L_); lua_next(L_, -2); lua_pop(L_, 1)) ++n;
    return n;
  }

  void write_map(int depth) {
    reply_.map(count_pairs());
    lua_pushnil(L_);
    while (lua_next(L_, -2)) {
      lua_pushvalue(L_, -2);
      write(depth + 1);
      write(depth + 1);
    }
  }

  void write_set(int depth) {
    reply_.set(count_pairs());
    lua_pushnil(L_);
    while (lua_next(L_, -2)) {
      lua_pop(L_, 1);
      lua_pushvalue(L_, -1);
      write(depth + 1);
    }
  }

  /// Puts blanks for the line ends in the string at the top: within a line they would end the reply.
  void make_one_line() {
    const std::string_view text = view(-1);
    if (text.find_first_of("\r\n") == std::string_view::npos) return;
    luaL_Buffer copy;
    luaL_buffinit(L_, &copy);
    for (const char c : text) luaL_addchar(&copy, c == '\r' || c == '\n' ? ' ' : c);
    luaL_pushresult(&copy);
    lua_replace(L_, -2);
  }

  /// False, with the table removed, where it is no verbatim string.
  bool write_verbatim() {
    lua_getfield(L_, -1, "format");
    lua_getfield(L_, -2, "string");
    const bool valid = lua_type(L_, -1) == LUA_TSTRING && lua_type(L_, -2) == LUA_TSTRING;
    if (valid) {
      char format[3] = {' ', ' ', ' '};
      const std::string_view given = view(-2);
      std::memcpy(format, given.data(), std::min<size_t>(given.size(), 3));
      reply_.verbatim(view(-1), {format, 3});
    }
    lua_pop(L_, valid ? 2 : 3);
    return valid;
  }

  lua_State* L_;
  protocol::Reply& reply_;
  const bool resp3_;
  uint64_t& counted_;
  const size_t most_;  // bytes that the output may reach: a table can hold another one many times
  int names_ = 0;  // where the names of the fields stand
};

}  // namespace

void write_value(lua_State* L, protocol::Reply& reply, bool resp3, uint64_t& counted) {
  ReplyWriter(L, reply, resp3, counted).write_top();
}

}  // namespace quartet::server::lua
