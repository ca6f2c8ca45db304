// The library `cmsgpack`. A table is an array where its keys are 1..n, else a map; numbers without a fraction are integers.

#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "base/limits.h"
#include "server/lua/buffer.h"
#include "server/lua/libraries.h"

namespace quartet::server::lua {

namespace {

/// Tables that are nested deeper than this are packed as nil, which also ends tables that hold themselves.
constexpr int kPackedDepth = 16;

template <class Integer>
void add_big_endian(Buffer& out, uint8_t type, Integer value) {
  char bytes[1 + sizeof(Integer)];
  bytes[0] = static_cast<char>(type);
  for (size_t i = 0; i < sizeof(Integer); ++i)
    bytes[1 + i] = static_cast<char>(static_cast<uint64_t>(value) >> (8 * (sizeof(Integer) - 1 - i)));
  out.add(bytes, sizeof(bytes));
}

void pack_integer(Buffer& out, int64_t n) {
  if (n >= 0) {
    if (n <= 127) return out.add(static_cast<char>(n));
    if (n <= 0xff) return add_big_endian(out, 0xcc, static_cast<uint8_t>(n));
    if (n <= 0xffff) return add_big_endian(out, 0xcd, static_cast<uint16_t>(n));
    if (n <= 0xffffffff) return add_big_endian(out, 0xce, static_cast<uint32_t>(n));
    return add_big_endian(out, 0xcf, static_cast<uint64_t>(n));
  }
  if (n >= -32) return out.add(static_cast<char>(n));
  if (n >= INT8_MIN) return add_big_endian(out, 0xd0, static_cast<int8_t>(n));
  if (n >= INT16_MIN) return add_big_endian(out, 0xd1, static_cast<int16_t>(n));
  if (n >= INT32_MIN) return add_big_endian(out, 0xd2, static_cast<int32_t>(n));
  add_big_endian(out, 0xd3, n);
}

void pack_number(Buffer& out, double value) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (value >= -kTwoTo63 && value < kTwoTo63 && std::trunc(value) == value)
    return pack_integer(out, static_cast<int64_t>(value));
  // Beyond a float's range the conversion has no meaning, unless the value is infinite.
  const bool fits = std::isinf(value) || std::fabs(value) <= 3.4028234663852886e38;
  if (fits && static_cast<double>(static_cast<float>(value)) == value)
    return add_big_endian(out, 0xca, std::bit_cast<uint32_t>(static_cast<float>(value)));
  add_big_endian(out, 0xcb, std::bit_cast<uint64_t>(value));
}

void pack_string(Buffer& out, std::string_view text) {
  const size_t n = text.size();
  if (n < 32) {
    out.add(static_cast<char>(0xa0 | n));
  } else if (n <= 0xff) {
    add_big_endian(out, 0xd9, static_cast<uint8_t>(n));
  } else if (n <= 0xffff) {
    add_big_endian(out, 0xda, static_cast<uint16_t>(n));
  } else {
    add_big_endian(out, 0xdb, static_cast<uint32_t>(n));
  }
  out.add(text.data(), n);
}

void pack_length(Buffer& out, size_t n, uint8_t small, uint8_t medium, uint8_t large) {
  if (n <= 15) return out.add(static_cast<char>(small | n));
  if (n <= 0xffff) return add_big_endian(out, medium, static_cast<uint16_t>(n));
  add_big_endian(out, large, static_cast<uint32_t>(n));
}

/// Counts the pairs of the table at the top; true where its keys are 1..pairs.
bool is_array(lua_State* L, size_t& pairs) {
  pairs = 0;
  double highest = 0;
  bool positive_integers = true;
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    ++pairs;
    if (!positive_integers) continue;
    const double key = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
    positive_integers = key > 0 && std::floor(key) == key;
    if (key > highest) highest = key;
  }
  return positive_integers && highest == static_cast<double>(pairs);
}

/// Packs the value at the top and leaves it there.
void pack_value(lua_State* L, Buffer& out, int depth);

void pack_table(lua_State* L, Buffer& out, int depth) {
  size_t n;
  if (is_array(L, n)) {
    pack_length(out, n, 0x90, 0xdc, 0xdd);
    for (size_t i = 1; i <= n; ++i) {
      lua_rawgeti(L, -1, static_cast<int>(i));
      pack_value(L, out, depth + 1);
      lua_pop(L, 1);
    }
    return;
  }
  pack_length(out, n, 0x80, 0xde, 0xdf);
  for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
    lua_pushvalue(L, -2);
    pack_value(L, out, depth + 1);
    lua_pop(L, 1);
    pack_value(L, out, depth + 1);
  }
}

void pack_value(lua_State* L, Buffer& out, int depth) {
  luaL_checkstack(L, 4, "cmsgpack");
  switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
      size_t n;
      const char* bytes = lua_tolstring(L, -1, &n);
      return pack_string(out, {bytes, n});
    }
    case LUA_TBOOLEAN: return out.add(static_cast<char>(lua_toboolean(L, -1) ? 0xc3 : 0xc2));
    case LUA_TNUMBER: return pack_number(out, lua_tonumber(L, -1));
    case LUA_TTABLE:
      if (depth < kPackedDepth) return pack_table(L, out, depth);
      [[fallthrough]];
    default: return out.add(static_cast<char>(0xc0));
  }
}

int pack(lua_State* L) {
  const int count = lua_gettop(L);
  if (count == 0) return luaL_argerror(L, 0, "MessagePack pack needs input.");
  Buffer out(L);
  luaL_checkstack(L, 1, "in function mp_check");
  for (int i = 1; i <= count; ++i) {
    lua_pushvalue(L, i);
    pack_value(L, out, 0);
    lua_pop(L, 1);
  }
  out.push();
  return 1;
}

// --- Unpacking --------------------------------------------------------------------------------------------------------

struct Input {
  lua_State* L;
  const uint8_t* at;
  const uint8_t* end;

  size_t left() const { return static_cast<size_t>(end - at); }
  void need(uint64_t n) const {
    if (left() < n) luaL_error(L, "Missing bytes in input.");
  }
  template <class Integer>
  Integer read() {
    need(sizeof(Integer));
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(Integer); ++i) value = value << 8 | *at++;
    return static_cast<Integer>(value);
  }
};

void unpack_value(Input& in, int depth);

void unpack_string(Input& in, uint64_t n) {
  in.need(n);
  lua_pushlstring(in.L, reinterpret_cast<const char*>(in.at), static_cast<size_t>(n));
  in.at += n;
}

void unpack_array(Input& in, uint64_t n, int depth) {
  lua_newtable(in.L);
  for (uint64_t i = 1; i <= n; ++i) {
    unpack_value(in, depth + 1);
    lua_rawseti(in.L, -2, static_cast<int>(i));
  }
}

void unpack_map(Input& in, uint64_t n, int depth) {
  lua_newtable(in.L);
  for (uint64_t i = 0; i < n; ++i) {
    unpack_value(in, depth + 1);
    unpack_value(in, depth + 1);
    lua_settable(in.L, -3);
  }
}

void unpack_value(Input& in, int depth) {
  lua_State* L = in.L;
  if (depth > limits::kNesting || !lua_checkstack(L, 4)) luaL_error(L, "Too many nested values in input.");
  const auto type = in.read<uint8_t>();
  if (type < 0x80 || type >= 0xe0) return lua_pushnumber(L, static_cast<int8_t>(type));
  if (type >= 0xa0 && type <= 0xbf) return unpack_string(in, type & 31);
  if ((type & 0xf0) == 0x90) return unpack_array(in, type & 15, depth);
  if ((type & 0xf0) == 0x80) return unpack_map(in, type & 15, depth);
  switch (type) {
    case 0xc0: return lua_pushnil(L);
    case 0xc2: return lua_pushboolean(L, 0);
    case 0xc3: return lua_pushboolean(L, 1);
    case 0xca: return lua_pushnumber(L, std::bit_cast<float>(in.read<uint32_t>()));
    case 0xcb: return lua_pushnumber(L, std::bit_cast<double>(in.read<uint64_t>()));
    case 0xcc: return lua_pushnumber(L, in.read<uint8_t>());
    case 0xcd: return lua_pushnumber(L, in.read<uint16_t>());
    case 0xce: return lua_pushnumber(L, in.read<uint32_t>());
    case 0xd0: return lua_pushnumber(L, in.read<int8_t>());
    case 0xd1: return lua_pushnumber(L, in.read<int16_t>());
    case 0xd2: return lua_pushnumber(L, in.read<int32_t>());
    // As in Redis's library both of these are signed.
    case 0xcf:
    case 0xd3: return lua_pushnumber(L, static_cast<double>(in.read<int64_t>()));
    case 0xd9: return unpack_string(in, in.read<uint8_t>());
    case 0xda: return unpack_string(in, in.read<uint16_t>());
    case 0xdb: return unpack_string(in, in.read<uint32_t>());
    case 0xdc: return unpack_array(in, in.read<uint16_t>(), depth);
    case 0xdd: return unpack_array(in, in.read<uint32_t>(), depth);
    case 0xde: return unpack_map(in, in.read<uint16_t>(), depth);
    case 0xdf: return unpack_map(in, in.read<uint32_t>(), depth);
    default: luaL_error(L, "Bad data format in input.");
  }
}

/// Unpacks `limit` values from `offset` on, or all where both are 0. In the first case the offset of the next value comes before them; it
/// is -1 where none is left.
int unpack_from(lua_State* L, int limit, int offset) {
  if (lua_gettop(L) > 1) lua_settop(L, 1);
  size_t n;
  const char* bytes = luaL_checklstring(L, 1, &n);
  if (offset < 0 || limit < 0)
    return luaL_error(L, "Invalid request to unpack with offset of %d and limit of %d.", offset, static_cast<int>(n));
  if (static_cast<size_t>(offset) > n)
    return luaL_error(L, "Start offset %d greater than input length %d.", offset, static_cast<int>(n));
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes);
  const bool full = limit == 0 && offset == 0;
  Input in{L, begin + offset, begin + n};
  int count = 0;
  while (in.left() > 0 && (full || count < limit)) {
    luaL_checkstack(L, 2, "too many values");
    unpack_value(in, 0);
    ++count;
  }
  if (full) return count;
  lua_pushnumber(L, in.left() > 0 ? static_cast<double>(in.at - begin) : -1);
  lua_insert(L, -count - 1);
  return count + 1;
}

int unpack(lua_State* L) { return unpack_from(L, 0, 0); }

int unpack_one(lua_State* L) {
  const auto offset = static_cast<int>(luaL_optinteger(L, 2, 0));
  return unpack_from(L, 1, offset);
}

int unpack_limit(lua_State* L) {
  const auto limit = static_cast<int>(luaL_checkinteger(L, 2));
  const auto offset = static_cast<int>(luaL_optinteger(L, 3, 0));
  return unpack_from(L, limit, offset);
}

}  // namespace

int open_cmsgpack(lua_State* L) {
  static constexpr luaL_Reg kFunctions[] = {
      {"pack", pack}, {"unpack", unpack}, {"unpack_one", unpack_one}, {"unpack_limit", unpack_limit}, {nullptr, nullptr},
  };
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  lua_pushliteral(L, "cmsgpack");
  lua_setfield(L, -2, "_NAME");
  // The version of the library whose behaviour this is.
  lua_pushliteral(L, "lua-cmsgpack 0.4.0");
  lua_setfield(L, -2, "_VERSION");
  return 1;
}

}  // namespace quartet::server::lua
