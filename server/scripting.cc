// Scripts are compiled once and kept in Lua's registry, under their SHA-1. Everything that Lua does for a run, from
// setting KEYS to writing the reply, happens within one protected call, because memory can run out anywhere in it.

#include "server/scripting.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <unordered_map>

#include "base/hash.h"
#include "base/numbers.h"
#include "server/arguments.h"
#include "server/lua/convert.h"
#include "server/lua/interpreter.h"
#include "server/lua/sandbox.h"
#include "server/lua/sha1.h"
#include "server/lua/shebang.h"
#include "server/server.h"

namespace quartet::server {

namespace lua {

void* allocate(void* interpreter, void* block, size_t old_size, size_t new_size) {
  size_t& memory = static_cast<Interpreter*>(interpreter)->memory;
  if (new_size == 0) {
    std::free(block);
    memory -= old_size;
    return nullptr;
  }
  if (new_size > old_size && memory + (new_size - old_size) > limits::kScriptMemoryBytes) return nullptr;
  void* moved = std::realloc(block, new_size);
  // Lua relies on it that a block can always shrink.
  if (!moved) return new_size <= old_size ? block : nullptr;
  memory += new_size - old_size;
  return moved;
}

}  // namespace lua

namespace {

constexpr size_t kShaDigits = 40;
/// How many instructions a script runs between two looks at the clock: about a millisecond.
constexpr int kHookInstructions = 100'000;
/// Memory that scripts may have left since everything was collected last, in bytes; more is collected at once.
constexpr size_t kGarbageBytes = 64 * 1024 * 1024;
constexpr std::string_view kKilled = "ERR Script killed by user with SCRIPT KILL...";

struct HashSha {
  size_t operator()(std::string_view sha) const { return hash_bytes(sha, 0); }
};

/// Hands what is at the stack's top to the reply. Errors name the script and where in it they arose. True where the server has counted
/// the error already.
bool write_error(lua_State* L, lua::Interpreter& in, protocol::Reply& reply) {
  if (lua_type(L, -1) != LUA_TTABLE) {
    // Errors without a place: memory ran out, or the error handler failed.
    const char* text = lua_tostring(L, -1);
    in.text = fmt::format("ERR {} script: {}", text ? text : "unknown error", in.run.script->sha);
    reply.error(in.text);
    return false;
  }
  const auto field = [&](const char* name) {
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    size_t n = 0;
    const char* text = lua_tolstring(L, -1, &n);
    return std::string_view(text ? text : "", n);
  };
  in.text = field("err");
  if (lua_isnil(L, -1)) in.text = "ERR unknown error";
  lua_pop(L, 1);
  const std::string_view source = field("source");
  if (!source.empty()) in.text += fmt::format(" script: {}, on {}", in.run.script->sha, source);
  lua_pop(L, 1);
  const std::string_view line = field("line");
  if (!source.empty()) in.text += fmt::format(":{}.", line);
  lua_pop(L, 1);
  reply.error(in.text);
  lua_pushliteral(L, "ignore_error_stats_update");
  lua_rawget(L, -2);
  const bool counted = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return counted;
}

void push_list(lua_State* L, Args items) {
  lua_createtable(L, static_cast<int>(items.size()), 0);
  for (size_t i = 0; i < items.size(); ++i) {
    lua_pushlstring(L, items[i].data(), items[i].size());
    lua_rawseti(L, -2, static_cast<int>(i + 1));
  }
}

/// The script ends at this instruction or, if it catches the error, at the next one.
void end_script(lua_State* L, lua_Hook hook, lua_Debug* where) {
  lua::Run& run = lua::Interpreter::of(L).run;
  lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  lua_sethook(lua::Interpreter::of(L).state, hook, LUA_MASKCOUNT, 1);
  if (run.error_line == 0 && lua_getinfo(L, "Sl", where)) {
    std::snprintf(run.error_source, sizeof(run.error_source), "%s", where->source);
    run.error_line = where->currentline;
  }
  lua_pushlstring(L, kKilled.data(), kKilled.size());
  lua_error(L);
}

void watch_time(lua_State* L, lua_Debug* where) {
  lua::Interpreter& in = lua::Interpreter::of(L);
  lua::Run& run = in.run;
  Server& server = in.server;
  if (!run.killed) {
    const int64_t threshold = server.config.busy_reply_threshold;
    const int64_t elapsed_ms = (server.clock.now().mono_us - run.now.mono_us) / 1000;
    if (threshold <= 0 || elapsed_ms < threshold) return;
    if (!run.busy) {
      run.busy = true;
      server.log.warning(
          "Slow script detected: still in execution after {} milliseconds. You can try killing the script using the "
          "SCRIPT KILL command. Script name is: {}.",
          elapsed_ms, run.script->sha);
    }
    server.host.poll_input();
  }
  if (run.killed) end_script(L, watch_time, where);
}

}  // namespace

struct Scripting::Impl {
  explicit Impl(Server& server) : in(server) {
    in.session.authenticated = true;
    in.session.user = &server.acl.internal();
    in.session.address = "?:0";  // as the slow log shows it
    start();
    // The library sets itself up when it is first used: now, and not within somebody's first script.
    char sha[kShaDigits];
    lua::sha1_hex({}, sha);
  }
  ~Impl() { lua_close(in.state); }

  void start() {
    in.memory = 0;
    in.state = lua_newstate(lua::allocate, &in);
    if (!in.state) throw std::bad_alloc();
    sandbox = lua::open_sandbox(in.state);
    lua_pushcfunction(in.state, run_protected);
    run_body = luaL_ref(in.state, LUA_REGISTRYINDEX);
  }

  lua::Script* find(std::string_view sha);
  lua::Script* compile(std::string_view body, std::string_view sha, protocol::Reply& reply);
  void run(Context& ctx, const lua::Script& script, size_t keys, bool read_only);
  static int run_protected(lua_State* L);
  void write_reply(lua_State* L, bool failed) noexcept;
  void relieve_memory();
  void flush();

  lua::Interpreter in;
  lua::Sandbox sandbox{};
  int run_body = LUA_NOREF;  // run_protected
  size_t collected_memory = 0;  // what was held after the last collection of everything
  std::unordered_map<std::string_view, std::unique_ptr<lua::Script>, HashSha> scripts;  // the names lie in the scripts

  // Of the run, for what is called by lua_pcall.
  Args keys, arguments;
  Context* context = nullptr;
  bool out_of_memory = false;  // while the reply was written
};

lua::Script* Scripting::Impl::find(std::string_view sha) {
  if (sha.size() != kShaDigits) return nullptr;
  char lower[kShaDigits];
  for (size_t i = 0; i < kShaDigits; ++i) lower[i] = static_cast<char>(sha[i] >= 'A' && sha[i] <= 'Z' ? sha[i] + 32 : sha[i]);
  const auto found = scripts.find({lower, kShaDigits});
  return found == scripts.end() ? nullptr : found->second.get();
}

namespace {

/// Compiles text (the light user datum at 1 points at it) to a function.
struct Source {
  std::string_view code;
  int reference = LUA_NOREF;
};

int compile_source(lua_State* L) {
  auto& source = *static_cast<Source*>(lua_touserdata(L, 1));
  // The parser takes compiled code for what it is by its first byte; nothing that begins with it is a script.
  if (source.code.starts_with(LUA_SIGNATURE[0])) return luaL_error(L, "user_script:1: unexpected symbol near 'char(27)'");
  if (luaL_loadbuffer(L, source.code.data(), source.code.size(), "@user_script") != 0) return lua_error(L);
  source.reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

}  // namespace

lua::Script* Scripting::Impl::compile(std::string_view body, std::string_view sha, protocol::Reply& to) {
  lua::Shebang shebang;
  if (!lua::parse_shebang(body, shebang, in.text)) {
    to.error(in.text);
    return nullptr;
  }
  relieve_memory();
  Source source{shebang.code};
  if (lua_cpcall(in.state, compile_source, &source) != 0) {
    const char* text = lua_tostring(in.state, -1);
    to.error(fmt::format("ERR Error compiling script (new function): {}", text ? text : "unknown error"));
    lua_settop(in.state, 0);
    return nullptr;
  }
  auto script = std::make_unique<lua::Script>();
  std::memcpy(script->sha, sha.data(), kShaDigits);
  script->function = source.reference;
  script->no_writes = shebang.no_writes;
  script->has_shebang = shebang.present;
  script->allow_oom = shebang.allow_oom;
  lua::Script* result = script.get();
  scripts.emplace(std::string_view(result->sha, kShaDigits), std::move(script));
  return result;
}

/// Scripts are never forgotten but by SCRIPT FLUSH, as in Redis; unless they leave no room to run in.
void Scripting::Impl::relieve_memory() {
  constexpr size_t kMost = limits::kScriptMemoryBytes / 2;
  if (in.memory <= kMost) return;
  lua_gc(in.state, LUA_GCCOLLECT, 0);
  if (in.memory <= kMost) return;
  in.server.log.warning("The cache of scripts holds {} bytes and is emptied.", in.memory);
  flush();
}

void Scripting::Impl::flush() {
  scripts.clear();
  lua_close(in.state);
  start();
}

/// The part of a run that happens within Lua: the light user datum at 1 is the Impl.
int Scripting::Impl::run_protected(lua_State* L) {
  auto& self = *static_cast<Impl*>(lua_touserdata(L, 1));
  lua_rawgeti(L, LUA_REGISTRYINDEX, self.sandbox.globals);
  push_list(L, self.keys);
  lua_setfield(L, -2, "KEYS");
  push_list(L, self.arguments);
  lua_setfield(L, -2, "ARGV");
  lua_rawgeti(L, LUA_REGISTRYINDEX, self.sandbox.error_handler);
  lua_rawgeti(L, LUA_REGISTRYINDEX, self.in.run.script->function);
  const int status = lua_pcall(L, 0, 1, -2);
  if (self.in.run.killed) return 0;
  self.write_reply(L, status != 0);
  if (self.out_of_memory) return luaL_error(L, "not enough memory");
  return 0;
}

/// What is thrown ends here: Lua's frames are no place for it.
void Scripting::Impl::write_reply(lua_State* L, bool failed) noexcept {
  try {
    if (failed) {
      context->execution.errors_counted += write_error(L, in, context->reply);
    } else {
      lua::write_value(L, context->reply, in.session.reply.version() == 3, context->execution.errors_counted);
    }
  } catch (const std::exception&) {
    out_of_memory = true;
  }
}

void Scripting::Impl::run(Context& ctx, const lua::Script& script, size_t numkeys, bool read_only) {
  lua_State* L = in.state;
  in.run = {.script = &script, .read_only = read_only || script.no_writes, .now = ctx.now};
  in.session.database = ctx.session.database;
  in.session.user = ctx.session.user;
  in.run.caller = &ctx.session;
  in.session.no_touch = ctx.session.no_touch;
  in.session.reply.set_version(2);
  keys = ctx.args.subspan(3, numkeys);
  arguments = ctx.args.subspan(3 + numkeys);
  context = &ctx;
  out_of_memory = false;
  const size_t mark = ctx.reply.buffer().size();

  ctx.server.feed.begin_unit();
  lua_sethook(L, watch_time, LUA_MASKCOUNT, kHookInstructions);
  // Taken from the registry, because a new closure could meet the end of memory out here.
  lua_rawgeti(L, LUA_REGISTRYINDEX, run_body);
  lua_pushlightuserdata(L, this);
  const int status = lua_pcall(L, 1, 0, 0);
  lua_sethook(L, nullptr, 0, 0);
  if (in.run.aborted) {
    // Half of what the script, or the transaction around it, was to do is nothing to be kept, nor to be answered.
    ctx.server.feed.abandon();
    ctx.server.disconnect(ctx.session, false);
  }
  ctx.server.feed.end_unit();
  if (in.run.killed) {
    ctx.reply.buffer().truncate(mark);
    ctx.reply.error(fmt::format("{} script: {}, on {}:{}.", kKilled, script.sha, in.run.error_source, in.run.error_line));
  } else if (status != 0) {
    ctx.reply.buffer().truncate(mark);
    write_error(L, in, ctx.reply);
  }
  lua_settop(L, 0);
  // Lua itself would keep what a script has filled the memory with until others need as much again. A collection gives half of its
  // buffer for strings back, which may be the largest part.
  if (in.memory > collected_memory + kGarbageBytes) {
    size_t before;
    do {
      before = in.memory;
      lua_gc(L, LUA_GCCOLLECT, 0);
    } while (in.memory + kGarbageBytes / 4 < before);
    collected_memory = in.memory;
  }
  in.session.out.clear();
  in.session.user = &ctx.server.acl.internal();
  in.run = {};
}

// --- Scripting --------------------------------------------------------------------------------------------------------

Scripting::Scripting(Server& server) : impl_(std::make_unique<Impl>(server)) {}
Scripting::~Scripting() = default;

void Scripting::eval(Context& ctx, bool by_sha, bool read_only) {
  ctx.server.show_to_monitors(ctx);
  // What cannot be a digest is refused before the number of keys is read.
  if (by_sha && ctx.arg(1).size() != kShaDigits) return ctx.reply.error(errors::kNoScript);
  Arguments in(ctx, 2);
  const int64_t keys = in.integer();
  if (!in.failed() && keys > static_cast<int64_t>(ctx.args.size()) - 3) in.fail("ERR Number of keys can't be greater than number of args");
  if (!in.failed() && keys < 0) in.fail("ERR Number of keys can't be negative");
  if (!in.ok()) return;
  lua::Script* script;
  if (by_sha) {
    script = impl_->find(ctx.arg(1));
    if (!script) return ctx.reply.error(errors::kNoScript);
  } else {
    char sha[kShaDigits];
    lua::sha1_hex(ctx.arg(1), sha);
    script = impl_->find({sha, kShaDigits});
    if (!script) script = impl_->compile(ctx.arg(1), {sha, kShaDigits}, ctx.reply);
    if (!script) return;
  }
  if (read_only && script->has_shebang && !script->no_writes)
    return ctx.reply.error("ERR Can not execute a script with write flag using *_ro command.");
  // A script with flags has said what it will do; another one is asked when it does it.
  if (ctx.server.memory_limit.any() && !ctx.server.durability.loading() && script->has_shebang && !script->no_writes && !script->allow_oom)
    if (const std::string* refusal = ctx.server.memory_limit.refusal_of(ctx.session.database)) return ctx.reply.error(*refusal);
  impl_->run(ctx, *script, static_cast<size_t>(keys), read_only);
}

bool Scripting::may_write(Args args, bool by_sha) const {
  if (by_sha) {
    const lua::Script* script = impl_->find(args[1]);
    return !script || !script->no_writes;
  }
  lua::Shebang shebang;
  std::string error;
  return !lua::parse_shebang(args[1], shebang, error) || !shebang.no_writes;
}

bool Scripting::load(Context& ctx, std::string_view body, std::string& sha) {
  sha.resize(kShaDigits);
  lua::sha1_hex(body, sha.data());
  return impl_->find(sha) || impl_->compile(body, sha, ctx.reply);
}

bool Scripting::exists(std::string_view sha) const { return impl_->find(sha) != nullptr; }

void Scripting::flush() { impl_->flush(); }

bool Scripting::busy() const { return impl_->in.run.busy; }

std::string Scripting::kill() {
  lua::Run& run = impl_->in.run;
  if (!run.script) return "NOTBUSY No scripts in execution right now.";
  if (run.wrote)
    return "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script "
           "termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.";
  run.killed = true;
  impl_->in.server.log.warning("Lua script killed by user with SCRIPT KILL.");
  return {};
}

void Scripting::abort() {
  if (impl_->in.run.script) impl_->in.run.killed = impl_->in.run.aborted = true;
}

size_t Scripting::memory() const { return impl_->in.memory; }
size_t Scripting::buffer_memory() const {
  const lua::Interpreter& in = impl_->in;
  return in.pool.memory() + in.session.out.memory() + in.number_text.capacity() + in.reply_bytes.capacity() + in.text.capacity() +
         in.arguments.capacity() * sizeof(in.arguments[0]);
}
size_t Scripting::cached_scripts() const { return impl_->scripts.size(); }

}  // namespace quartet::server
