// COMMAND: what the table of commands tells to clients. COMMAND DOCS is in command_docs.cc.

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/glob.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/command_docs.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/server.h"

namespace quartet::server {

namespace {

struct Name {
  uint32_t bit;
  std::string_view text;
};

constexpr Name kFlagNames[] = {
    {kWrite, "write"},
    {kReadOnly, "readonly"},
    {kDenyOom, "denyoom"},
    {kAdmin, "admin"},
    {kPubSub, "pubsub"},
    {kNoScript, "noscript"},
    {kBlocking, "blocking"},
    {kLoading, "loading"},
    {kStale, "stale"},
    {kSkipMonitor, "skip_monitor"},
    {kSkipSlowlog, "skip_slowlog"},
    {kAsking, "asking"},
    {kFast, "fast"},
    {kNoAuth, "no_auth"},
    {kNoMandatoryKeys, "no_mandatory_keys"},
    {kNoAsyncLoading, "no_async_loading"},
    {kNoMulti, "no_multi"},
    {kMovableKeys, "movablekeys"},
    {kAllowBusy, "allow_busy"},
};

constexpr Name kKeyFlagNames[] = {
    {kKeyRO, "RO"},          {kKeyRW, "RW"},         {kKeyOW, "OW"},          {kKeyRM, "RM"},
    {kKeyAccess, "access"},  {kKeyUpdate, "update"}, {kKeyInsert, "insert"},  {kKeyDelete, "delete"},
    {kKeyNotKey, "not_key"}, {kKeyIncomplete, "incomplete"}, {kKeyVariable, "variable_flags"},
};

template <size_t N>
void reply_names(Context& ctx, const Name (&names)[N], uint32_t bits) {
  ctx.reply.set(
      static_cast<size_t>(std::count_if(names, names + N, [&](const Name& name) { return bits & name.bit; })));
  for (const Name& name : names)
    if (bits & name.bit) ctx.reply.simple(name.text);
}

// --- COMMAND and COMMAND INFO ----------------------------------------------------------------------------------------

void reply_typed(Context& ctx, std::string_view type,
                 std::initializer_list<std::pair<std::string_view, int64_t>> spec) {
  ctx.reply.map(2);
  ctx.reply.bulk("type");
  ctx.reply.bulk(type);
  ctx.reply.bulk("spec");
  ctx.reply.map(spec.size());
  for (const auto& [name, value] : spec) {
    ctx.reply.bulk(name);
    ctx.reply.integer(value);
  }
}

void reply_begin_search(Context& ctx, const KeySpec& spec) {
  switch (spec.begin) {
    case KeySpec::Begin::Index: return reply_typed(ctx, "index", {{"index", spec.index}});
    case KeySpec::Begin::Unknown: return reply_typed(ctx, "unknown", {});
    case KeySpec::Begin::Keyword: break;
  }
  ctx.reply.map(2);
  ctx.reply.bulk("type");
  ctx.reply.bulk("keyword");
  ctx.reply.bulk("spec");
  ctx.reply.map(2);
  ctx.reply.bulk("keyword");
  ctx.reply.bulk(spec.keyword);
  ctx.reply.bulk("startfrom");
  ctx.reply.integer(spec.index);
}

void reply_find_keys(Context& ctx, const KeySpec& spec) {
  switch (spec.find) {
    case KeySpec::Find::Range:
      return reply_typed(ctx, "range", {{"lastkey", spec.last}, {"keystep", spec.step}, {"limit", spec.limit}});
    case KeySpec::Find::KeyNum:
      return reply_typed(ctx, "keynum", {{"keynumidx", spec.last}, {"firstkey", spec.limit}, {"keystep", spec.step}});
    case KeySpec::Find::Unknown: return reply_typed(ctx, "unknown", {});
  }
}

void reply_key_spec(Context& ctx, const KeySpec& spec) {
  ctx.reply.map(spec.notes.empty() ? 3 : 4);
  if (!spec.notes.empty()) {
    ctx.reply.bulk("notes");
    ctx.reply.bulk(spec.notes);
  }
  ctx.reply.bulk("flags");
  reply_names(ctx, kKeyFlagNames, spec.flags);
  ctx.reply.bulk("begin_search");
  reply_begin_search(ctx, spec);
  ctx.reply.bulk("find_keys");
  reply_find_keys(ctx, spec);
}

/// First key, last key and step as they were told before there were specifications: of the ranges that begin at a fixed
/// place, as far as one follows another.
struct KeyRange {
  int first = 0, last = 0, step = 0;
};
KeyRange key_range(const Command& command) {
  KeyRange range;
  for (const KeySpec& spec : command.keys) {
    if (spec.begin != KeySpec::Begin::Index || spec.find != KeySpec::Find::Range) continue;
    const int last = spec.last < 0 ? spec.last : spec.index + spec.last;
    if (range.first == 0) {
      range = {spec.index, last, spec.step};
    } else if (range.last + 1 == spec.index && range.step == spec.step) {
      range.last = last;
    }
  }
  return range;
}

void reply_command(Context& ctx, const CommandEntry& command) {
  const KeyRange range = key_range(*command.spec);
  ctx.reply.array(10);
  ctx.reply.bulk(command.full_name);
  ctx.reply.integer(command.spec->arity);
  reply_names(ctx, kFlagNames, command.flags);
  ctx.reply.integer(range.first);
  ctx.reply.integer(range.last);
  ctx.reply.integer(range.step);
  ctx.reply.set(static_cast<size_t>(std::popcount(command.categories)));
  for (size_t i = 0; i < category_names().size(); ++i)
    if (command.categories >> i & 1) ctx.reply.simple(fmt::format("@{}", category_names()[i]));
  ctx.reply.set(command.spec->tips.size());
  for (const std::string_view tip : command.spec->tips) ctx.reply.bulk(tip);
  ctx.reply.set(command.spec->keys.size());
  for (const KeySpec& spec : command.spec->keys) reply_key_spec(ctx, spec);
  ctx.reply.set(command.subcommands.size());
  for (const auto& sub : command.subcommands) reply_command(ctx, *sub);
}

void command_command(Context& ctx) {
  const auto& commands = ctx.server.commands.all();
  ctx.reply.array(commands.size());
  for (const auto& command : commands) reply_command(ctx, *command);
}

void command_info_command(Context& ctx) {
  const Args names = ctx.args.subspan(2);
  if (names.empty()) return command_command(ctx);
  ctx.reply.array(names.size());
  for (const std::string_view name : names) {
    if (const CommandEntry* command = ctx.server.commands.find_full(name)) {
      reply_command(ctx, *command);
    } else {
      ctx.reply.null();
    }
  }
}

void command_count_command(Context& ctx) { ctx.reply.integer(static_cast<int64_t>(ctx.server.commands.all().size())); }

void command_docs_command(Context& ctx) { reply_command_docs(ctx, ctx.args.subspan(2)); }

// --- COMMAND LIST ----------------------------------------------------------------------------------------------------

/// Replies the names of the commands and subcommands that `wanted` accepts.
template <class Wanted>
void reply_list(Context& ctx, Wanted wanted) {
  const protocol::Reply::Open open = ctx.reply.begin();
  size_t count = 0;
  ctx.server.commands.for_each([&](const CommandEntry& command) {
    if (!wanted(command)) return;
    ctx.reply.bulk(command.full_name);
    ++count;
  });
  ctx.reply.end_array(open, count);
}

void command_list_command(Context& ctx) {
  if (ctx.args.size() == 2) return reply_list(ctx, [](const CommandEntry&) { return true; });
  Arguments in(ctx, 2);
  if (ctx.args.size() != 5 || !in.option("FILTERBY", 2)) return ctx.reply.error(errors::kSyntax);
  const std::string_view operand = ctx.arg(4);
  if (in.option("MODULE", 1)) return ctx.reply.array(0);
  if (in.option("PATTERN", 1))
    return reply_list(ctx, [&](const CommandEntry& command) { return glob_match(operand, command.full_name, true); });
  if (!in.option("ACLCAT", 1)) return ctx.reply.error(errors::kSyntax);
  const uint32_t category = category_bit(operand);
  reply_list(ctx, [&](const CommandEntry& command) { return (command.categories & category) != 0; });
}

// --- COMMAND GETKEYS -------------------------------------------------------------------------------------------------

/// The keys of the request that follows the two names; false with the error written.
bool read_key_uses(Context& ctx, std::vector<KeyUse>& uses) {
  const Args request = ctx.args.subspan(2);
  const auto fail = [&](std::string_view error) {
    ctx.reply.error(error);
    return false;
  };
  const CommandEntry* command = ctx.server.commands.find(request[0]);
  if (command && !command->subcommands.empty())
    command = request.size() > 1 ? CommandTable::find_subcommand(*command, request[1]) : nullptr;
  if (!command) return fail("ERR Invalid command specified");
  const Command& spec = *command->spec;
  if (!command->names_keys()) return fail("ERR The command has no key arguments");
  if (!command->takes(request.size())) return fail("ERR Invalid number of arguments specified for command");
  if ((!find_key_uses(spec, request, uses) || uses.empty()) && !(command->flags & kNoMandatoryKeys))
    return fail("ERR Invalid arguments specified for command");
  return true;
}

void command_getkeys_command(Context& ctx) {
  std::vector<KeyUse> uses;
  if (!read_key_uses(ctx, uses)) return;
  ctx.reply.array(uses.size());
  for (const KeyUse& use : uses) ctx.reply.bulk(ctx.arg(static_cast<size_t>(use.position) + 2));
}

void command_getkeysandflags_command(Context& ctx) {
  std::vector<KeyUse> uses;
  if (!read_key_uses(ctx, uses)) return;
  ctx.reply.array(uses.size());
  for (const KeyUse& use : uses) {
    ctx.reply.array(2);
    ctx.reply.bulk(ctx.arg(static_cast<size_t>(use.position) + 2));
    reply_names(ctx, kKeyFlagNames, use.flags & ~uint32_t{kKeyVariable});
  }
}

void command_help_command(Context& ctx) {
  reply_help(ctx, {"(no subcommand)", "    Describe all commands.", "COUNT", "    Count the commands.", "LIST",
                   "    List the names of the commands and subcommands.", "INFO [<command-name> ...]",
                   "    Describe commands for clients; all, if none is named.", "DOCS [<command-name> ...]",
                   "    Describe commands for people; all, if none is named.", "GETKEYS <full-command>",
                   "    Find the keys of a request.", "GETKEYSANDFLAGS <full-command>",
                   "    Find the keys of a request and what is done to them."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_command_subcommands[] = {
    {.name = "docs", .arity = -2, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Describes commands for people and their tools.",
     .syntax = "[command-name [command-name ...]]",
     .handler = command_docs_command, .tips = tips::kUnordered},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "5.0.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = command_help_command},
    {.name = "getkeysandflags", .arity = -4, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Finds the keys of a request and tells what is done to them.",
     .handler = command_getkeysandflags_command},
    {.name = "getkeys", .arity = -4, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "2.8.13", .complexity = "O(N)",
     .summary = "Finds the keys of a request.",
     .handler = command_getkeys_command},
    {.name = "info", .arity = -2, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "2.8.13", .complexity = "O(N)",
     .summary = "Describes commands for clients.",
     .syntax = "[command-name [command-name ...]]",
     .handler = command_info_command, .tips = tips::kUnordered},
    {.name = "count", .arity = 2, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "2.8.13", .complexity = "O(1)",
     .summary = "Counts the commands.",
     .handler = command_count_command},
    {.name = "list", .arity = -2, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Lists the names of commands.",
     .syntax = "[FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]",
     .handler = command_list_command, .tips = tips::kUnordered},
};

constexpr Command kCommands[] = {
    {.name = "command", .arity = -1, .flags = kLoading | kStale,
     .categories = kConnection, .group = "server", .since = "2.8.13", .complexity = "O(N)",
     .summary = "Describes the commands of the server.",
     .handler = command_command, .subcommands = k_command_subcommands, .tips = tips::kUnordered},
};

}  // namespace

std::span<const Command> introspection_commands() { return kCommands; }

}  // namespace quartet::server
