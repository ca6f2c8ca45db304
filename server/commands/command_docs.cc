#include "server/commands/command_docs.h"

#include "server/command_syntax.h"
#include "server/server.h"

namespace quartet::server {

namespace {

void reply_pair(Context& ctx, std::string_view name, std::string_view value) {
  ctx.reply.bulk(name);
  ctx.reply.bulk(value);
}

void reply_arguments(Context& ctx, const std::vector<SyntaxArgument>& arguments);

void reply_argument(Context& ctx, const SyntaxArgument& argument) {
  const size_t flags = size_t{argument.optional} + argument.multiple + argument.multiple_token;
  ctx.reply.map(size_t{2} + (argument.key_spec >= 0) + !argument.token.empty() + (flags > 0) +
                !argument.arguments.empty());
  reply_pair(ctx, "name", argument.name);
  reply_pair(ctx, "type", argument.type);
  if (argument.key_spec >= 0) {
    ctx.reply.bulk("key_spec_index");
    ctx.reply.integer(argument.key_spec);
  }
  if (!argument.token.empty()) reply_pair(ctx, "token", argument.token);
  if (flags > 0) {
    ctx.reply.bulk("flags");
    ctx.reply.set(flags);
    if (argument.optional) ctx.reply.simple("optional");
    if (argument.multiple) ctx.reply.simple("multiple");
    if (argument.multiple_token) ctx.reply.simple("multiple_token");
  }
  if (!argument.arguments.empty()) reply_arguments(ctx, argument.arguments);
}

void reply_arguments(Context& ctx, const std::vector<SyntaxArgument>& arguments) {
  ctx.reply.bulk("arguments");
  ctx.reply.array(arguments.size());
  for (const SyntaxArgument& argument : arguments) reply_argument(ctx, argument);
}

void reply_docs(Context& ctx, const CommandEntry& command) {
  const Command& spec = *command.spec;
  ctx.reply.bulk(command.full_name);
  ctx.reply.map(size_t{3} + !spec.complexity.empty() + !spec.syntax.empty() + !command.subcommands.empty());
  reply_pair(ctx, "summary", spec.summary);
  reply_pair(ctx, "since", spec.since);
  reply_pair(ctx, "group", spec.group);
  if (!spec.complexity.empty()) reply_pair(ctx, "complexity", spec.complexity);
  if (!spec.syntax.empty()) reply_arguments(ctx, parse_syntax(spec));
  if (command.subcommands.empty()) return;
  ctx.reply.bulk("subcommands");
  ctx.reply.map(command.subcommands.size());
  for (const auto& sub : command.subcommands) reply_docs(ctx, *sub);
}

}  // namespace

void reply_command_docs(Context& ctx, Args names) {
  std::vector<const CommandEntry*> commands;
  if (names.empty()) {
    for (const auto& command : ctx.server.commands.all()) commands.push_back(command.get());
  } else {
    for (const std::string_view name : names)
      if (const CommandEntry* command = ctx.server.commands.find_full(name)) commands.push_back(command);
  }
  ctx.reply.map(commands.size());
  for (const CommandEntry* command : commands) reply_docs(ctx, *command);
}

}  // namespace quartet::server
