#include <catch2/catch.hpp>

#include <memory>
#include <string>

#include "server/lua/convert.h"
#include "server/lua/libraries.h"
#include "server/lua/random48.h"
#include "server/lua/readonly.h"
#include "server/lua/sha1.h"
#include "server/lua/shebang.h"

using namespace quartet::server;

namespace {

/// A Lua state with the libraries under test.
class Lua {
 public:
  Lua() : state_(luaL_newstate(), lua_close) {
    luaL_openlibs(L());
    open(lua::open_cmsgpack, "cmsgpack");
    open(lua::open_struct, "struct");
    open(lua::open_bit, "bit");
    run("function hex(s) return (s:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) end");
  }

  lua_State* L() const { return state_.get(); }

  /// What the code returns, as tostring shows it; the text of its error where it fails.
  std::string run(const std::string& code) {
    lua_settop(L(), 0);
    if (luaL_loadbuffer(L(), code.data(), code.size(), "=test") == 0) lua_pcall(L(), 0, 1, 0);
    lua_getglobal(L(), "tostring");
    lua_insert(L(), -2);
    lua_call(L(), 1, 1);
    size_t n;
    const char* text = lua_tolstring(L(), -1, &n);
    return {text, n};
  }

 private:
  void open(lua_CFunction function, const char* name) {
    lua_pushcfunction(L(), function);
    lua_call(L(), 0, 1);
    lua_setglobal(L(), name);
  }
  std::unique_ptr<lua_State, void (*)(lua_State*)> state_;
};

}  // namespace

TEST_CASE("cmsgpack writes each value in its shortest form", "[lua]") {
  Lua lua;
  const auto packed = [&](const std::string& value) { return lua.run("return hex(cmsgpack.pack(" + value + "))"); };
  CHECK(packed("127") == "7f");
  CHECK(packed("128") == "cc80");
  CHECK(packed("256") == "cd0100");
  CHECK(packed("65536") == "ce00010000");
  CHECK(packed("4294967296") == "cf0000000100000000");
  CHECK(packed("-32") == "e0");
  CHECK(packed("-33") == "d0df");
  CHECK(packed("-32769") == "d2ffff7fff");
  CHECK(packed("1.5") == "ca3fc00000");
  CHECK(packed("0.1") == "cb3fb999999999999a");
  CHECK(packed("nil, true, false") == "c0c3c2");
  CHECK(packed("('a'):rep(32)").substr(0, 4) == "d920");
  CHECK(packed("{}") == "90");
  CHECK(packed("{1, 2}") == "920102");
  CHECK(packed("{a = 1}") == "81a16101");
  CHECK(packed("{1, nil, 3}") == "8201010303");
  CHECK(packed("print") == "c0");
}

TEST_CASE("cmsgpack reads what it wrote", "[lua]") {
  Lua lua;
  CHECK(lua.run(R"(
    local values = {0, -1, 127, 128, 255, 256, 65535, 65536, 2^32, -2^31, -2^31 - 1, 2^52, 0.1, -1e300, 1/0, "", ("x"):rep(300),
                    ("y"):rep(70000), true, false}
    for _, value in ipairs(values) do
      local back = cmsgpack.unpack(cmsgpack.pack(value))
      if back ~= value then return tostring(value) .. " came back as " .. tostring(back) end
    end
    local list = {}
    for i = 1, 70000 do list[i] = i end
    local back = cmsgpack.unpack(cmsgpack.pack({list = list, deep = {{{"end"}}}}))
    for i = 1, 70000 do if back.list[i] ~= i then return "element " .. i end end
    return back.deep[1][1][1]
  )") == "end");
}

TEST_CASE("cmsgpack reads in portions", "[lua]") {
  Lua lua;
  CHECK(lua.run("return table.concat({cmsgpack.unpack('\\1\\2\\3')}, ' ')") == "1 2 3");
  CHECK(lua.run("return table.concat({cmsgpack.unpack_one('\\1\\2\\3', 1)}, ' ')") == "2 2");
  CHECK(lua.run("return table.concat({cmsgpack.unpack_limit('\\1\\2\\3', 2)}, ' ')") == "2 1 2");
  CHECK(lua.run("return table.concat({cmsgpack.unpack_limit('\\1\\2\\3', 9)}, ' ')") == "-1 1 2 3");
  CHECK(lua.run("return cmsgpack.unpack_one('\\1', 2)") == "test:1: Start offset 2 greater than input length 1.");
}

TEST_CASE("cmsgpack refuses what is cut off, unknown or too deep", "[lua]") {
  Lua lua;
  for (const char* bytes : {"\\204", "\\163ab", "\\145", "\\129\\1", "\\221\\255\\255\\255\\255", "\\219\\255\\255\\255\\255a"})
    CHECK(lua.run("return cmsgpack.unpack('" + std::string(bytes) + "')") == "test:1: Missing bytes in input.");
  CHECK(lua.run("return cmsgpack.unpack('\\193')") == "test:1: Bad data format in input.");
  CHECK(lua.run("return cmsgpack.unpack(('\\145'):rep(100000))") == "test:1: Too many nested values in input.");
  // A table that holds itself ends at the depth that is still packed.
  CHECK(lua.run("local t = {} t[1] = t return #cmsgpack.pack(t)") == "17");
}

TEST_CASE("struct packs by its format", "[lua]") {
  Lua lua;
  CHECK(lua.run("return hex(struct.pack('>h<hb', 258, 258, -1))") == "01020201ff");
  CHECK(lua.run("return hex(struct.pack('!4bi', 1, 2))") == "0100000002000000");
  CHECK(lua.run("return hex(struct.pack('sx', 'abc'))") == "6162630000");
  CHECK(lua.run("return hex(struct.pack('bc0', 3, 'abc'))") == "03616263");
  CHECK(lua.run("return hex(struct.pack('>d', 1.5))") == "3ff8000000000000");
  CHECK(lua.run("return struct.size('!bi8')") == "16");
  CHECK(lua.run("return struct.pack('i33', 1)") == "test:1: integral size 33 is larger than limit of 32");
  CHECK(lua.run("return struct.pack('!3b', 1)") == "test:1: alignment 3 is not a power of 2");
}

TEST_CASE("struct reads what it wrote", "[lua]") {
  Lua lua;
  CHECK(lua.run(R"(
    for _, order in ipairs({"<", ">"}) do
      for size = 1, 8 do
        for _, value in ipairs({0, 1, -1, 2^(size * 8 - 1) - (size > 6 and 2048 or 1), -2^(size * 8 - 1)}) do
          local back = struct.unpack(order .. "i" .. size, (struct.pack(order .. "i" .. size, value)))
          if back ~= value then return order .. size .. ": " .. value .. " came back as " .. back end
        end
      end
    end
    local a, b, c, d, after = struct.unpack("!8 b d s c2", (struct.pack("!8 b d s c2", -5, 0.25, "text", "yes")))
    return table.concat({a, b, c, d, after}, " ")
  )") == "-5 0.25 text ye 24");
  CHECK(lua.run("return struct.unpack('bc0', '\\5ab')") == "test:1: bad argument #2 to 'unpack' (data string too short)");
  CHECK(lua.run("return struct.unpack('s', 'abc')") == "test:1: unfinished string in data");
  CHECK(lua.run("return struct.unpack('b', 'abc', 2^53)") == "test:1: bad argument #2 to 'unpack' (data string too short)");
}

TEST_CASE("bit works on 32 bits", "[lua]") {
  Lua lua;
  CHECK(lua.run("return bit.tobit(0xffffffff)") == "-1");
  CHECK(lua.run("return bit.bxor(0xff00, 0x0ff0, 1)") == "61681");
  CHECK(lua.run("return bit.lshift(1, 33)") == "2");
  CHECK(lua.run("return bit.rshift(-1, 4)") == "268435455");
  CHECK(lua.run("return bit.arshift(-256, 4)") == "-16");
  CHECK(lua.run("return bit.ror(bit.rol(0x12345678, 12), 12) == 0x12345678") == "true");
  CHECK(lua.run("return bit.tohex(bit.bswap(0x12345678))") == "78563412");
  CHECK(lua.run("return bit.tohex(-1, -4)") == "FFFF");
  CHECK(lua.run("return bit.tohex(1, -2147483648)") == "00000001");
}

TEST_CASE("a read-only table reads like the real one and cannot be written", "[lua]") {
  Lua lua;
  lua_newtable(lua.L());
  lua_pushinteger(lua.L(), 7);
  lua_setfield(lua.L(), -2, "seven");
  lua::make_readonly(lua.L());
  CHECK(lua::is_readonly(lua.L(), -1));
  lua_setglobal(lua.L(), "fixed");
  CHECK(lua.run("return fixed.seven") == "7");
  CHECK(lua.run("fixed.seven = 8") == "test:1: Attempt to modify a readonly table");
  CHECK(lua.run("fixed.eight = 8") == "test:1: Attempt to modify a readonly table");
  lua_getglobal(lua.L(), "fixed");
  REQUIRE(lua::push_real_table(lua.L(), -1));
  CHECK_FALSE(lua::is_readonly(lua.L(), -1));
}

TEST_CASE("a script's numbers are those of lrand48", "[lua]") {
  // The first values that POSIX's generator gives for the seeds 0 and 5.
  lua::Random48 random;
  random.seed(0);
  CHECK(random.next() == 366850414);
  CHECK(random.next() == 1610402240);
  srand48(5);
  random.seed(5);
  for (int i = 0; i < 1000; ++i) REQUIRE(random.next() == lrand48());
}

TEST_CASE("scripts are named by their SHA-1", "[lua]") {
  std::string digits(40, ' ');
  lua::sha1_hex("return 1", digits.data());
  CHECK(digits == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
}

TEST_CASE("the first line of a script says what it may do", "[lua]") {
  lua::Shebang shebang;
  std::string error;
  CHECK(lua::parse_shebang("return 1", shebang, error));
  CHECK_FALSE(shebang.present);
  CHECK(lua::parse_shebang("#!lua flags=no-writes,allow-oom\nreturn 1", shebang, error));
  CHECK((shebang.present && shebang.no_writes && shebang.allow_oom));
  CHECK(shebang.code == "\nreturn 1");
  CHECK_FALSE(lua::parse_shebang("#!lua flags=no-writes,\n", shebang, error));
  CHECK(error == "ERR Unexpected flag in script shebang: ");
  CHECK_FALSE(lua::parse_shebang("#!lua", shebang, error));
  CHECK(error == "ERR Invalid script shebang");
  CHECK_FALSE(lua::parse_shebang("#!python\n", shebang, error));
  CHECK(error == "ERR Unexpected engine in script shebang: #!python");
}

TEST_CASE("numbers become arguments as %.17g shows them", "[lua]") {
  const auto text = [](double number) {
    char out[32];
    return std::string(out, lua::format_argument(number, out));
  };
  for (const double number : {0.0, -0.0, 1.0, -1.0, 1.5, 0.1, 1e15 + 0.5, 9007199254740992.0, 99999999999999984.0, 1e17, -1e17, 1e20, 1e300,
                              -2.5e-300, 1.0 / 3}) {
    char expected[32];
    std::snprintf(expected, sizeof(expected), "%.17g", number);
    CHECK(text(number) == expected);
  }
}
