#pragma once

#include <lua.hpp>

namespace quartet::server::lua {

// Lua 5.1 knows no table that cannot be written. What scripts see as one is an empty table in front of the real one: its
// metatable looks names up in the real table and refuses assignments. Functions that go around metatables (pairs, next,
// rawget, ...) are replaced in the sandbox by ones that know of it, so that scripts cannot tell the difference.

/// Replaces the table at the top of the stack by a read-only front of it. Its metatable is shown to scripts as the read-only front of
/// `{__index = value}` where the table's own metatable has that field, and not at all elsewhere.
void make_readonly(lua_State* L);

/// True if the value at `index` is a read-only front; then the real table is pushed.
bool push_real_table(lua_State* L, int index);
bool is_readonly(lua_State* L, int index);
/// Pushes the metatable that scripts see of the front at `index`, or nil.
void push_visible_metatable(lua_State* L, int index);

inline constexpr const char* kReadonlyError = "Attempt to modify a readonly table";
/// Raises that error without a position.
int raise_readonly(lua_State* L);

}  // namespace quartet::server::lua
