#pragma once

#include <string_view>

#include <lua.hpp>

#include "protocol/reply.h"

namespace quartet::server::lua {

/// Pushes a reply, in RESP2 or RESP3, as scripts see it: integers as numbers, bulk strings as strings, arrays as tables,
/// a status as {ok =}, an error as {err =, ignore_error_stats_update = true}, RESP2's nulls as false; of RESP3 maps as {map =}, sets as {set =},
/// doubles as {double =}, big numbers as {big_number =}, verbatim strings as {verbatim_string = {format =, string =}}, null as nil.
/// REQUIRES: `reply` is one whole reply as protocol::Reply writes it.
void push_reply(lua_State* L, std::string_view reply);

/// Writes the decimal form that commands see of a number: integers plain up to 17 digits, others with 17 significant digits. `out` holds at
/// least 32 bytes. Returns the length.
size_t format_argument(double number, char* out);

/// Writes the value at the top as the reply of a script. `resp3` is whether the script chose RESP3 by redis.setresp. Nesting beyond
/// limits::kNesting is answered by an error in its place. Adds to `counted` how many of the errors that it writes are in the statistics.
void write_value(lua_State* L, protocol::Reply& reply, bool resp3, uint64_t& counted);

}  // namespace quartet::server::lua
