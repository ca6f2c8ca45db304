// The library `bit`. A number stands for its value modulo 2^32; results are signed. Shift counts are taken modulo 32.

#include <bit>
#include <cstdint>
#include <cstring>

#include "server/lua/libraries.h"

namespace quartet::server::lua {

namespace {

uint32_t bits_of(lua_State* L, int index) {
  // 2^52 + 2^51 moves the integer part into the low bits of the mantissa, rounded to even.
  const double number = luaL_checknumber(L, index) + 6755399441055744.0;
  return static_cast<uint32_t>(std::bit_cast<uint64_t>(number));
}

int push(lua_State* L, uint32_t bits) {
  lua_pushnumber(L, static_cast<int32_t>(bits));
  return 1;
}

int tobit(lua_State* L) { return push(L, bits_of(L, 1)); }
int bnot(lua_State* L) { return push(L, ~bits_of(L, 1)); }
int bswap(lua_State* L) { return push(L, __builtin_bswap32(bits_of(L, 1))); }

template <class Operation>
int fold(lua_State* L, Operation operation) {
  uint32_t bits = bits_of(L, 1);
  for (int i = lua_gettop(L); i > 1; --i) bits = operation(bits, bits_of(L, i));
  return push(L, bits);
}
int band(lua_State* L) { return fold(L, [](uint32_t a, uint32_t b) { return a & b; }); }
int bor(lua_State* L) { return fold(L, [](uint32_t a, uint32_t b) { return a | b; }); }
int bxor(lua_State* L) { return fold(L, [](uint32_t a, uint32_t b) { return a ^ b; }); }

template <class Operation>
int shift(lua_State* L, Operation operation) {
  const uint32_t bits = bits_of(L, 1);
  return push(L, operation(bits, static_cast<int>(bits_of(L, 2) & 31)));
}
int lshift(lua_State* L) { return shift(L, [](uint32_t bits, int n) { return bits << n; }); }
int rshift(lua_State* L) { return shift(L, [](uint32_t bits, int n) { return bits >> n; }); }
int arshift(lua_State* L) {
  return shift(L, [](uint32_t bits, int n) { return static_cast<uint32_t>(static_cast<int32_t>(bits) >> n); });
}
int rol(lua_State* L) { return shift(L, [](uint32_t bits, int n) { return std::rotl(bits, n); }); }
int ror(lua_State* L) { return shift(L, [](uint32_t bits, int n) { return std::rotr(bits, n); }); }

int tohex(lua_State* L) {
  uint32_t bits = bits_of(L, 1);
  const auto wanted = lua_isnone(L, 2) ? 8 : static_cast<int32_t>(bits_of(L, 2));
  const char* digits = wanted < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
  const int64_t length = wanted < 0 ? -static_cast<int64_t>(wanted) : wanted;
  const size_t n = length > 8 ? 8 : static_cast<size_t>(length);
  char text[8];
  for (size_t i = n; i-- > 0; bits >>= 4) text[i] = digits[bits & 15];
  lua_pushlstring(L, text, n);
  return 1;
}

}  // namespace

int open_bit(lua_State* L) {
  static constexpr luaL_Reg kFunctions[] = {
      {"tobit", tobit},   {"bnot", bnot},       {"band", band}, {"bor", bor}, {"bxor", bxor},   {"lshift", lshift},
      {"rshift", rshift}, {"arshift", arshift}, {"rol", rol},   {"ror", ror}, {"bswap", bswap}, {"tohex", tohex},
      {nullptr, nullptr},
  };
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}

}  // namespace quartet::server::lua
