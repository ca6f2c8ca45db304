#include "server/lua/readonly.h"

namespace quartet::server::lua {

namespace {

// Array part of a front's metatable. Scripts cannot make such a one, because they never see this light user datum.
constexpr int kMarkSlot = 1;
constexpr int kVisibleMetatableSlot = 2;
constexpr char kMark = 0;

void* mark() { return const_cast<char*>(&kMark); }

int refuse_assignment(lua_State* L) { return luaL_error(L, "%s", kReadonlyError); }

/// Pushes the metatable of the front at `index`; false, with nothing pushed, where it is none.
bool push_front_metatable(lua_State* L, int index) {
  if (lua_type(L, index) != LUA_TTABLE || !lua_getmetatable(L, index)) return false;
  lua_rawgeti(L, -1, kMarkSlot);
  const bool found = lua_touserdata(L, -1) == mark();
  lua_pop(L, found ? 1 : 2);
  return found;
}

}  // namespace

void make_readonly(lua_State* L) {
  lua_newtable(L);  // real, front
  lua_newtable(L);  // real, front, metatable
  lua_pushlightuserdata(L, mark());
  lua_rawseti(L, -2, kMarkSlot);
  lua_pushcfunction(L, refuse_assignment);
  lua_setfield(L, -2, "__newindex");
  if (lua_getmetatable(L, -3)) {
    lua_newtable(L);
    lua_getfield(L, -2, "__index");
    lua_setfield(L, -2, "__index");
    make_readonly(L);
    lua_rawseti(L, -3, kVisibleMetatableSlot);
    lua_pop(L, 1);
  }
  lua_pushvalue(L, -3);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_remove(L, -2);
}

bool push_real_table(lua_State* L, int index) {
  if (!push_front_metatable(L, index)) return false;
  lua_getfield(L, -1, "__index");
  lua_remove(L, -2);
  return true;
}

bool is_readonly(lua_State* L, int index) {
  if (!push_front_metatable(L, index)) return false;
  lua_pop(L, 1);
  return true;
}

void push_visible_metatable(lua_State* L, int index) {
  if (!push_front_metatable(L, index)) return lua_pushnil(L);
  lua_rawgeti(L, -1, kVisibleMetatableSlot);
  lua_remove(L, -2);
}

int raise_readonly(lua_State* L) {
  lua_pushstring(L, kReadonlyError);
  return lua_error(L);
}

}  // namespace quartet::server::lua
