// The table `redis`: how scripts reach the server.

#include <cstring>
#include <new>
#include <string_view>

#include "base/numbers.h"
#include "server/denial_texts.h"
#include "server/lua/convert.h"
#include "server/lua/interpreter.h"
#include "server/lua/libraries.h"
#include "server/lua/sha1.h"
#include "server/server.h"
#include "server/version.h"

namespace quartet::server::lua {

namespace {

constexpr size_t kNumberBytes = 32;

/// Pushes {err = text}; errors that the server has counted say so.
int push_error(lua_State* L, std::string_view text, bool counted = false) {
  lua_createtable(L, 0, counted ? 2 : 1);
  lua_pushlstring(L, text.data(), text.size());
  lua_setfield(L, -2, "err");
  if (counted) {
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ignore_error_stats_update");
  }
  return 1;
}

int raise(lua_State* L, std::string_view text) {
  push_error(L, text);
  return lua_error(L);
}

/// Does work that may throw, in which no error of Lua can arise; false where memory ran out.
template <class Work>
bool within_memory(Work work) noexcept {
  try {
    work();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

/// Collects the arguments of the call into Interpreter::arguments: views of Lua's strings, which stay on the stack.
/// Null, else the error.
const char* collect_arguments(lua_State* L, Interpreter& in) {
  const int count = lua_gettop(L);
  if (count == 0) return "ERR Please specify at least one argument for this redis lib call";
  in.arguments.clear();
  // Views into it are taken, so it must not grow from here on.
  if (in.number_text.size() < static_cast<size_t>(count) * kNumberBytes)
    in.number_text.resize(static_cast<size_t>(count) * kNumberBytes);
  char* text = in.number_text.data();
  for (int i = 1; i <= count; ++i) {
    const int type = lua_type(L, i);
    if (type == LUA_TSTRING) {
      size_t n;
      const char* bytes = lua_tolstring(L, i, &n);
      in.arguments.emplace_back(bytes, n);
    } else if (type == LUA_TNUMBER) {
      const size_t n = format_argument(lua_tonumber(L, i), text);
      in.arguments.emplace_back(text, n);
      text += n;
    } else {
      return "ERR Lua redis lib command arguments must be strings or integers";
    }
  }
  return nullptr;
}

/// The command that the collected arguments call, or null where there is none.
const CommandEntry* find_command(const Interpreter& in) {
  const Args args = in.arguments;
  const CommandEntry* command = in.server.commands.find(args[0]);
  if (!command || command->subcommands.empty() || args.size() < 2) return command;
  return CommandTable::find_subcommand(*command, args[1]);
}

/// The guards between a script and a command: null, else the error.
const char* refuse(Interpreter& in, const CommandEntry* command) {
  if (!command) return "ERR Unknown Redis command called from script";
  if (!command->takes(in.arguments.size()) || !command->spec->handler) return "ERR Wrong number of args calling Redis command from script";
  if (command->flags & kNoScript) return "ERR This Redis command is not allowed from script";
  if (const auto denied = in.server.denial(in.session, *command, in.arguments)) {
    in.server.log_denial(*in.run.caller, AclLog::Source::Lua, *denied, *command, in.arguments);
    return noperm_in_script(*denied);
  }
  if (in.run.read_only && (command->flags & (kWrite | kMayReplicate)))
    return "ERR Write commands are not allowed from read-only scripts.";
  if (command->flags & kWrite)
    if (const std::string* refusal = in.server.durability.refusal(in.session.database)) return refusal->c_str();
  // A script that has begun to write is not stopped half-way.
  if (in.server.memory_limit.any() && !in.server.durability.loading() && !in.run.wrote && !in.run.script->allow_oom)
    if (const std::string* refusal = in.server.memory_limit.refusal_within(in.session.database, *command, in.arguments)) return refusal->c_str();
  return nullptr;
}

/// The whole reply: where it lies, if it is in one piece.
std::string_view reply_of(Interpreter& in) {
  constexpr size_t kPieces = 16;
  iovec pieces[kPieces];
  const size_t count = in.session.out.gather(pieces, kPieces);
  if (count == 1) return {static_cast<const char*>(pieces[0].iov_base), pieces[0].iov_len};
  in.reply_bytes.clear();
  if (count == kPieces) {
    in.reply_bytes = in.session.out.to_string();
  } else {
    for (size_t i = 0; i < count; ++i) in.reply_bytes.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  }
  return in.reply_bytes;
}

/// What has become of a call.
struct Called {
  const char* error = nullptr;  // where it was refused
  bool counted = false;         // that error is in the statistics
  bool out_of_memory = false;
  std::string_view reply;
};

/// Runs the command that the arguments on the stack say. Nothing of Lua that can fail is called here, so that neither an exception nor an
/// error of Lua passes through frames of the other.
Called run_command(lua_State* L, Interpreter& in) noexcept {
  Called called;
  try {
    if ((called.error = collect_arguments(L, in))) return called;
    const CommandEntry* command = find_command(in);
    if ((called.error = refuse(in, command))) {
      if (command) ++command->stats.rejected;
      const std::string_view text = called.error;
      in.server.count_error(text.substr(0, text.find(' ')));
      called.counted = true;
      return called;
    }
    if (command->flags & kWrite) in.run.wrote = true;
    in.session.out.clear();
    Time now = in.run.now;
    in.server.call(in.session, *command, in.arguments, {.deny_blocking = true, .from_script = true}, now);
    if (in.session.reply.full()) {
      // More than the interpreter may hold.
      in.session.out.clear();
      called.out_of_memory = true;
      return called;
    }
    called.reply = reply_of(in);
  } catch (const std::exception&) {
    called.out_of_memory = true;
  }
  return called;
}

/// The same, and pushes its reply; true if that is an error.
bool push_result(lua_State* L) {
  Interpreter& in = Interpreter::of(L);
  const Called called = run_command(L, in);
  // They may have taken all the room that there is on Lua's stack.
  lua_settop(L, 0);
  if (called.out_of_memory) luaL_error(L, "not enough memory");
  if (called.error) {
    push_error(L, called.error, called.counted);
    return true;
  }
  const bool failed = called.reply.starts_with('-');
  push_reply(L, called.reply);
  return failed;
}

int call(lua_State* L) {
  if (push_result(L)) return lua_error(L);
  return 1;
}

int protected_call(lua_State* L) {
  push_result(L);
  return 1;
}

// --- Replies ----------------------------------------------------------------------------------------------------------

int error_reply(lua_State* L) {
  if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING) return push_error(L, "ERR wrong number or type of arguments");
  size_t n;
  const char* bytes = lua_tolstring(L, 1, &n);
  std::string_view text(bytes, n);
  if (text.starts_with('-')) text.remove_prefix(1);
  // Every error begins with a code, and is more than it.
  if (text.find(' ') != std::string_view::npos) return push_error(L, text);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "ERR ");
  lua_pushlstring(L, text.data(), text.size());
  lua_concat(L, 2);
  lua_setfield(L, -2, "err");
  return 1;
}

int status_reply(lua_State* L) {
  if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING) return push_error(L, "ERR wrong number or type of arguments");
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "ok");
  return 1;
}

// --- Settings of the run ----------------------------------------------------------------------------------------------

int setresp(lua_State* L) {
  if (lua_gettop(L) != 1) return raise(L, "ERR redis.setresp() requires one argument.");
  const auto version = static_cast<int>(lua_tonumber(L, 1));
  if (version != 2 && version != 3) return raise(L, "ERR RESP version must be 2 or 3.");
  Interpreter::of(L).session.reply.set_version(version);
  return 0;
}

/// Everything that a script changes is carried to the feed; the choice is only checked.
int set_repl(lua_State* L) {
  if (lua_gettop(L) != 1) return raise(L, "ERR redis.set_repl() requires two arguments.");
  const double flags = lua_tonumber(L, 1);
  if (!(flags >= 0 && flags < 4))
    return raise(L, "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
  return 0;
}

int replicate_commands(lua_State* L) {
  lua_pushboolean(L, 1);
  return 1;
}

// The script debugger, which is not here, makes these do something.
int breakpoint(lua_State* L) {
  lua_pushboolean(L, 0);
  return 1;
}
int debug(lua_State*) { return 0; }

// --- Others -----------------------------------------------------------------------------------------------------------

int sha1hex(lua_State* L) {
  if (lua_gettop(L) != 1) return raise(L, "ERR wrong number of arguments");
  size_t n = 0;
  const char* bytes = lua_tolstring(L, 1, &n);
  char digits[40];
  sha1_hex({bytes ? bytes : "", n}, digits);
  lua_pushlstring(L, digits, sizeof(digits));
  return 1;
}

int log(lua_State* L) {
  const int count = lua_gettop(L);
  if (count < 2) return raise(L, "ERR redis.log() requires two arguments or more.");
  if (!lua_isnumber(L, 1)) return raise(L, "ERR First argument must be a number (log level).");
  const double level = lua_tonumber(L, 1);
  if (!(level >= 0 && level < 4)) return raise(L, "ERR Invalid debug level.");
  Interpreter& in = Interpreter::of(L);
  in.text.clear();
  for (int i = 2; i <= count; ++i) {
    size_t n;
    const char* text = lua_tolstring(L, i, &n);
    if (!text) continue;
    const auto append = [&] {
      if (!in.text.empty()) in.text += ' ';
      in.text.append(text, n);
    };
    if (!within_memory(append)) return luaL_error(L, "not enough memory");
  }
  const auto kind = static_cast<LogLevel>(static_cast<int>(level));
  if (kind >= in.server.log.level() && !within_memory([&] { in.server.log.write(kind, in.text); }))
    return luaL_error(L, "not enough memory");
  return 0;
}

/// Whether the caller may run a command.
int acl_check_cmd(lua_State* L) {
  Interpreter& in = Interpreter::of(L);
  const char* error = nullptr;
  bool permitted = false;
  const auto check = [&] {
    if ((error = collect_arguments(L, in))) return;
    const CommandEntry* command = find_command(in);
    if (command) {
      permitted = !in.server.denial(in.session, *command, in.arguments);
    } else {
      error = "ERR Invalid command passed to redis.acl_check_cmd()";
    }
  };
  if (!within_memory(check)) return luaL_error(L, "not enough memory");
  if (error) return raise(L, error);
  lua_pushboolean(L, permitted);
  return 1;
}

struct Constant {
  const char* name;
  int value;
};

}  // namespace

int open_redis(lua_State* L) {
  static constexpr luaL_Reg kFunctions[] = {
      {"call", call},
      {"pcall", protected_call},
      {"error_reply", error_reply},
      {"status_reply", status_reply},
      {"setresp", setresp},
      {"set_repl", set_repl},
      {"replicate_commands", replicate_commands},
      {"breakpoint", breakpoint},
      {"debug", debug},
      {"sha1hex", sha1hex},
      {"log", log},
      {"acl_check_cmd", acl_check_cmd},
      {nullptr, nullptr},
  };
  static constexpr Constant kConstants[] = {
      {"LOG_DEBUG", 0}, {"LOG_VERBOSE", 1}, {"LOG_NOTICE", 2},   {"LOG_WARNING", 3}, {"REPL_NONE", 0},
      {"REPL_AOF", 1},  {"REPL_SLAVE", 2},  {"REPL_REPLICA", 2}, {"REPL_ALL", 3},    {"REDIS_VERSION_NUM", 0x07000f},
  };
  lua_newtable(L);
  luaL_register(L, nullptr, kFunctions);
  for (const Constant& constant : kConstants) {
    lua_pushinteger(L, constant.value);
    lua_setfield(L, -2, constant.name);
  }
  lua_pushlstring(L, kRedisVersion.data(), kRedisVersion.size());
  lua_setfield(L, -2, "REDIS_VERSION");
  return 1;
}

}  // namespace quartet::server::lua
