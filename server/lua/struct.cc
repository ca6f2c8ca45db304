// The library `struct`. A format is a sequence of options:
//
//   > <     big, little endian from here on        ! [n]   largest alignment (a power of 2; the platform's without n)
//   x       a zero byte                             b B h H l L T   integers of the platform's sizes, signed and unsigned
//   i I [n] integers of n bytes (4)                 f d     float, double
//   s       a string that ends with a zero byte     c [n]   n characters (1); c0: as many as the number before says,
//   (blank) nothing                                         and when packing the whole string

#include <cctype>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "server/lua/buffer.h"
#include "server/lua/libraries.h"

namespace quartet::server::lua {

namespace {

constexpr size_t kMaxIntegerBytes = 32;
constexpr size_t kPlatformAlignment = 8;

struct Format {
  lua_State* L;
  const char* at;
  bool little = true;
  size_t alignment = 1;

  size_t number(size_t otherwise) {
    if (!std::isdigit(static_cast<unsigned char>(*at))) return otherwise;
    size_t value = 0;
    for (; std::isdigit(static_cast<unsigned char>(*at)); ++at) {
      const auto digit = static_cast<size_t>(*at - '0');
      if (value > (INT_MAX - digit) / 10) luaL_error(L, "integral size overflow");
      value = value * 10 + digit;
    }
    return value;
  }

  /// The size of an option's value in bytes; 0 where it has none of its own.
  size_t size(char option) {
    switch (option) {
      case 'b':
      case 'B':
      case 'x': return 1;
      case 'h':
      case 'H': return 2;
      case 'l':
      case 'L':
      case 'T':
      case 'd': return 8;
      case 'f': return 4;
      case 'c': return number(1);
      case 'i':
      case 'I': {
        const size_t n = number(4);
        if (n > kMaxIntegerBytes)
          luaL_error(L, "integral size %d is larger than limit of %d", static_cast<int>(n), static_cast<int>(kMaxIntegerBytes));
        return n;
      }
      default: return 0;
    }
  }

  size_t padding(size_t position, char option, size_t size) const {
    if (size == 0 || option == 'c') return 0;
    const size_t to = size > alignment ? alignment : size;
    return (to - (position & (to - 1))) & (to - 1);
  }

  void control(char option) {
    switch (option) {
      case ' ': return;
      case '>': little = false; return;
      case '<': little = true; return;
      case '!': {
        const size_t n = number(kPlatformAlignment);
        if (n == 0 || (n & (n - 1)) != 0) luaL_error(L, "alignment %d is not a power of 2", static_cast<int>(n));
        alignment = n;
        return;
      }
      default: luaL_argerror(L, 1, lua_pushfstring(L, "invalid format option '%c'", option));
    }
  }
};

uint64_t to_integer(double value) {
  constexpr double kTwoTo63 = 9223372036854775808.0;
  if (std::isnan(value)) return 0;
  if (value < -kTwoTo63) return static_cast<uint64_t>(INT64_MIN);
  if (value < kTwoTo63) return static_cast<uint64_t>(static_cast<int64_t>(value));
  return value < 2 * kTwoTo63 ? static_cast<uint64_t>(value) : UINT64_MAX;
}

void put_integer(Buffer& out, uint64_t value, size_t size, bool little) {
  char bytes[kMaxIntegerBytes];
  for (size_t i = 0; i < size; ++i, value >>= 8) bytes[little ? i : size - 1 - i] = static_cast<char>(value);
  out.add(bytes, size);
}

double get_integer(const char* bytes, size_t size, bool little, bool is_signed) {
  uint64_t value = 0;
  for (size_t i = 0; i < size; ++i) value = value << 8 | static_cast<uint8_t>(bytes[little ? size - 1 - i : i]);
  if (!is_signed) return static_cast<double>(value);
  if (size > 0 && size < 8) {
    const size_t unused = 64 - 8 * size;
    return static_cast<double>(static_cast<int64_t>(value << unused) >> unused);
  }
  return static_cast<double>(static_cast<int64_t>(value));
}

template <class Real>
void put_real(Buffer& out, double number, bool little) {
  const auto value = static_cast<Real>(number);
  char bytes[sizeof(Real)];
  std::memcpy(bytes, &value, sizeof(Real));
  for (size_t i = 0; i < sizeof(Real); ++i) out.add(bytes[little ? i : sizeof(Real) - 1 - i]);
}

template <class Real>
double get_real(const char* data, bool little) {
  char bytes[sizeof(Real)];
  for (size_t i = 0; i < sizeof(Real); ++i) bytes[i] = data[little ? i : sizeof(Real) - 1 - i];
  Real value;
  std::memcpy(&value, bytes, sizeof(Real));
  return value;
}

bool is_integer(char option) { return std::strchr("bBhHlLTiI", option) != nullptr; }
bool is_signed(char option) { return std::strchr("bhli", option) != nullptr; }

/// The arguments of pack, from the second on. A missing one is nil.
struct PackArguments {
  lua_State* L;
  int count;
  int next = 2;

  double number() {
    if (next > count) luaL_argerror(L, next, "number expected, got nil");
    return luaL_checknumber(L, next++);
  }
  const char* string(size_t& n) {
    if (next > count) luaL_argerror(L, next, "string expected, got nil");
    return luaL_checklstring(L, next++, &n);
  }
};

int pack(lua_State* L) {
  Format format{L, luaL_checkstring(L, 1)};
  PackArguments arguments{L, lua_gettop(L)};
  Buffer out(L);
  while (*format.at) {
    const char option = *format.at++;
    size_t size = format.size(option);
    out.add_zeros(format.padding(out.size(), option, size));
    if (is_integer(option)) {
      put_integer(out, to_integer(arguments.number()), size, format.little);
    } else if (option == 'x') {
      out.add('\0');
    } else if (option == 'f') {
      put_real<float>(out, arguments.number(), format.little);
    } else if (option == 'd') {
      put_real<double>(out, arguments.number(), format.little);
    } else if (option == 'c' || option == 's') {
      size_t n;
      const char* text = arguments.string(n);
      if (size == 0) size = n;
      if (n < size) luaL_argerror(L, arguments.next, "string too short");
      out.add(text, size);
      if (option == 's') out.add('\0');
    } else {
      format.control(option);
    }
  }
  out.push();
  return 1;
}

int unpack(lua_State* L) {
  Format format{L, luaL_checkstring(L, 1)};
  size_t length;
  const char* data = luaL_checklstring(L, 2, &length);
  const lua_Integer start = luaL_optinteger(L, 3, 1);
  if (start == 0) luaL_argerror(L, 3, "offset must be 1 or greater");
  // Before the beginning is beyond the end.
  size_t position = static_cast<size_t>(start) - 1;
  lua_settop(L, 2);
  int count = 0;
  while (*format.at) {
    const char option = *format.at++;
    size_t size = format.size(option);
    if (position > length) luaL_argerror(L, 2, "data string too short");
    position += format.padding(position, option, size);
    if (position > length || size > length - position) luaL_argerror(L, 2, "data string too short");
    luaL_checkstack(L, 2, "too many results");
    if (is_integer(option)) {
      lua_pushnumber(L, get_integer(data + position, size, format.little, is_signed(option)));
      ++count;
    } else if (option == 'x') {
      // Nothing comes of it.
    } else if (option == 'f') {
      lua_pushnumber(L, get_real<float>(data + position, format.little));
      ++count;
    } else if (option == 'd') {
      lua_pushnumber(L, get_real<double>(data + position, format.little));
      ++count;
    } else if (option == 'c') {
      if (size == 0) {
        if (count == 0 || lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "format 'c0' needs a previous size");
        const double wanted = lua_tonumber(L, -1);
        lua_pop(L, 1);
        --count;
        if (!(wanted >= 0 && wanted <= static_cast<double>(length - position))) luaL_argerror(L, 2, "data string too short");
        size = static_cast<size_t>(wanted);
      }
      lua_pushlstring(L, data + position, size);
      ++count;
    } else if (option == 's') {
      const void* end = std::memchr(data + position, 0, length - position);
      if (!end) luaL_error(L, "unfinished string in data");
      size = static_cast<size_t>(static_cast<const char*>(end) - (data + position)) + 1;
      lua_pushlstring(L, data + position, size - 1);
      ++count;
    } else {
      format.control(option);
    }
    position += size;
  }
  lua_pushnumber(L, static_cast<double>(position + 1));
  return count + 1;
}

int size(lua_State* L) {
  Format format{L, luaL_checkstring(L, 1)};
  size_t position = 0;
  while (*format.at) {
    const char option = *format.at++;
    const size_t n = format.size(option);
    position += format.padding(position, option, n);
    if (option == 's') luaL_argerror(L, 1, "option 's' has no fixed size");
    if (option == 'c' && n == 0) luaL_argerror(L, 1, "option 'c0' has no fixed size");
    if (!std::isalnum(static_cast<unsigned char>(option))) format.control(option);
    position += n;
    if (position > INT_MAX) luaL_error(L, "integral size overflow");
  }
  lua_pushnumber(L, static_cast<double>(position));
  return 1;
}

}  // namespace

int open_struct(lua_State* L) {
  static constexpr luaL_Reg kFunctions[] = {{"pack", pack}, {"unpack", unpack}, {"size", size}, {nullptr, nullptr}};
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  return 1;
}

}  // namespace quartet::server::lua
