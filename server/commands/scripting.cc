#include "server/command_presets.h"
#include "server/scripting.h"

#include "base/numbers.h"
#include "server/arguments.h"
#include "server/commands/families.h"
#include "server/server.h"

namespace quartet::server {

namespace {

void eval(Context& ctx) { ctx.server.scripting->eval(ctx, false, false); }
void eval_ro(Context& ctx) { ctx.server.scripting->eval(ctx, false, true); }
void evalsha(Context& ctx) { ctx.server.scripting->eval(ctx, true, false); }
void evalsha_ro(Context& ctx) { ctx.server.scripting->eval(ctx, true, true); }

void script_load(Context& ctx) {
  std::string sha;
  if (ctx.server.scripting->load(ctx, ctx.arg(2), sha)) ctx.reply.bulk(sha);
}

void script_exists(Context& ctx) {
  ctx.reply.array(ctx.args.size() - 2);
  for (const std::string_view sha : ctx.args.subspan(2)) ctx.reply.integer(ctx.server.scripting->exists(sha));
}

void script_flush(Context& ctx) {
  const bool mode_known = ctx.args.size() == 2 || (ctx.args.size() == 3 && (equals_ignoring_case(ctx.arg(2), "SYNC") ||
                                                                            equals_ignoring_case(ctx.arg(2), "ASYNC")));
  if (!mode_known) return ctx.reply.error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
  ctx.server.scripting->flush();
  ctx.reply.ok();
}

void script_kill(Context& ctx) {
  const std::string error = ctx.server.scripting->kill();
  if (error.empty()) return ctx.reply.ok();
  ctx.reply.error(error);
}

/// There is no debugger: turning it off is granted, as it is off.
void script_debug(Context& ctx) {
  if (equals_ignoring_case(ctx.arg(2), "NO")) return ctx.reply.ok();
  if (equals_ignoring_case(ctx.arg(2), "YES") || equals_ignoring_case(ctx.arg(2), "SYNC"))
    return ctx.reply.error("ERR The script debugger is not supported");
  ctx.reply.error("ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

void script_help(Context& ctx) {
  static constexpr std::string_view kLines[] = {
      "SCRIPT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "DEBUG (YES|SYNC|NO)",
      "    Set the debug mode for subsequent scripts executed.",
      "EXISTS <sha1> [<sha1> ...]",
      "    Return information about the existence of the scripts in the script cache.",
      "FLUSH [ASYNC|SYNC]",
      "    Flush the Lua scripts cache. Very dangerous on replicas.",
      "    When called without the optional mode argument, the behavior is determined by the",
      "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
      "    * ASYNC: Asynchronously flush the scripts cache.",
      "    * SYNC: Synchronously flush the scripts cache.",
      "KILL",
      "    Kill the currently executing Lua script.",
      "LOAD <script>",
      "    Load a script into the scripts cache without executing it.",
      "HELP",
      "    Prints this help.",
  };
  ctx.reply.array(std::size(kLines));
  for (const std::string_view line : kLines) ctx.reply.simple(line);
}

constexpr KeySpec counted_keys(uint32_t flags, std::string_view notes) {
  KeySpec spec = keys_counted_at(2, flags);
  spec.notes = notes;
  return spec;
}

constexpr uint32_t kEvalFlags = kRunsScript | kNoScript | kStale | kSkipMonitor | kNoMandatoryKeys | kMovableKeys;
constexpr KeySpec kEvalKeys[] = {
    counted_keys(kKeyRW | kKeyAccess | kKeyUpdate,
                 "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")};
constexpr KeySpec kEvalRoKeys[] = {
    counted_keys(kKeyRO | kKeyAccess,
                 "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")};
constexpr KeySpec kEvalshaKeys[] = {counted_keys(kKeyRW | kKeyAccess | kKeyUpdate, {})};
constexpr KeySpec kEvalshaRoKeys[] = {counted_keys(kKeyRO | kKeyAccess, {})};

constexpr Command kScriptCommands[] = {
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .categories = kScripting, .group = "scripting", .since = "5.0.0", .complexity = "O(1)",
     .summary = "Lists the subcommands.",
     .handler = script_help},
    {.name = "flush", .arity = -2, .flags = kNoScript,
     .categories = kScripting, .group = "scripting", .since = "2.6.0",
     .complexity = "O(N) with N being the number of scripts in cache",
     .summary = "Empties the cache of scripts.",
     .syntax = "[ASYNC | SYNC]",
     .handler = script_flush, .tips = tips::kAllNodesSucceed},
    {.name = "exists", .arity = -3, .flags = kNoScript,
     .categories = kScripting, .group = "scripting", .since = "2.6.0",
     .complexity = "O(N) with N being the number of scripts to check (so checking a single script is an O(1) "
                   "operation).",
     .summary = "Tells which of the scripts are in the cache.",
     .syntax = "sha1 [sha1 ...]",
     .handler = script_exists, .tips = tips::kAllShardsAnd},
    {.name = "debug", .arity = 3, .flags = kNoScript,
     .categories = kScripting, .group = "scripting", .since = "3.2.0", .complexity = "O(1)",
     .summary = "Chooses how the script debugger works; there is none.",
     .syntax = "<YES | SYNC | NO>",
     .handler = script_debug},
    {.name = "kill", .arity = 2, .flags = kNoScript | kAllowBusy,
     .categories = kScripting, .group = "scripting", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Ends the script that runs, if it has not written.",
     .handler = script_kill, .tips = tips::kAllShardsOneSucceeds},
    {.name = "load", .arity = 3, .flags = kNoScript | kStale,
     .categories = kScripting, .group = "scripting", .since = "2.6.0",
     .complexity = "O(N) with N being the length in bytes of the script body.",
     .summary = "Compiles a script and keeps it in the cache.",
     .syntax = "script",
     .handler = script_load, .tips = tips::kAllNodesSucceed},
};

constexpr Command kCommands[] = {
    {.name = "eval", .arity = -3, .flags = kEvalFlags,
     .categories = kScripting, .group = "scripting", .since = "2.6.0",
     .complexity = "Depends on the script that is executed.",
     .summary = "Runs a Lua script on the server.",
     .syntax = "script numkeys [key [key ...]] [arg [arg ...]]",
     .handler = eval, .keys = kEvalKeys},
    {.name = "evalsha", .arity = -3, .flags = kEvalFlags,
     .categories = kScripting, .group = "scripting", .since = "2.6.0",
     .complexity = "Depends on the script that is executed.",
     .summary = "Runs a script of the cache, named by its SHA-1.",
     .syntax = "sha1 numkeys [key [key ...]] [arg [arg ...]]",
     .handler = evalsha, .keys = kEvalshaKeys},
    {.name = "eval_ro", .arity = -3, .flags = kEvalFlags | kReadOnly,
     .categories = kScripting, .group = "scripting", .since = "7.0.0",
     .complexity = "Depends on the script that is executed.",
     .summary = "Runs a Lua script that must not write.",
     .syntax = "script numkeys [key [key ...]] [arg [arg ...]]",
     .handler = eval_ro, .keys = kEvalRoKeys},
    {.name = "evalsha_ro", .arity = -3, .flags = kEvalFlags | kReadOnly,
     .categories = kScripting, .group = "scripting", .since = "7.0.0",
     .complexity = "Depends on the script that is executed.",
     .summary = "Runs a script of the cache that must not write.",
     .syntax = "sha1 numkeys [key [key ...]] [arg [arg ...]]",
     .handler = evalsha_ro, .keys = kEvalshaRoKeys},
    {.name = "script", .arity = -2,
     .group = "scripting", .since = "2.6.0", .complexity = "Depends on subcommand.",
     .summary = "Looks after the cache of scripts.",
     .subcommands = kScriptCommands},
};

}  // namespace

std::span<const Command> scripting_commands() { return kCommands; }

}  // namespace quartet::server
