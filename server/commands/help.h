#pragma once

#include <initializer_list>
#include <string_view>

#include "base/numbers.h"
#include "server/context.h"

namespace quartet::server {

/// The error for a wrong number of arguments, where a handler has to find it itself.
inline void reply_wrong_arity(Context& ctx) {
  ctx.reply.error("ERR wrong number of arguments for '" + ctx.command.full_name + "' command");
}

/// Answers a HELP subcommand: a title, the given lines, and the lines for HELP itself, as containers of Redis do.
inline void reply_help(Context& ctx, std::initializer_list<std::string_view> lines) {
  const std::string name = to_upper(ctx.command.parent ? ctx.command.parent->spec->name : ctx.command.spec->name);
  ctx.reply.array(lines.size() + 3);
  ctx.reply.simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const std::string_view line : lines) ctx.reply.simple(line);
  ctx.reply.simple("HELP");
  ctx.reply.simple("    Prints this help.");
}

}  // namespace quartet::server
