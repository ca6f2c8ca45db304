#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/config_target.h"
#include "server/server.h"

namespace quartet::server {

namespace {

void config_get_command(Context& ctx) {
  const auto shown = [&](int database) { return ctx.session.user->may_use(ctx.command, database); };
  const auto settings = ctx.server.config_store.get({ctx.args.begin() + 2, ctx.args.end()}, shown);
  ctx.reply.map(settings.size());
  for (const auto& [name, value] : settings) {
    ctx.reply.bulk(name);
    ctx.reply.bulk(value);
  }
}

void config_set_command(Context& ctx) {
  if (ctx.args.size() % 2 != 0) return ctx.reply.error(errors::kSyntax);
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  for (size_t i = 2; i < ctx.args.size(); i += 2) pairs.emplace_back(ctx.arg(i), ctx.arg(i + 1));
  for (size_t i = 2; i < ctx.args.size(); i += 2)
    if (const Directive* directive = find_directive(ctx.arg(i)); directive && directive->flags & Directive::Secret)
      ctx.redact(i + 1);
  const bool local = ctx.session.loopback || ctx.session.unix_socket;
  if (const auto error = ctx.server.config_store.set(pairs, local)) return ctx.reply.error(*error);
  ctx.reply.ok();
}

void named_databases(Args names, size_t step, const Config& config, std::vector<int>& databases) {
  for (size_t i = 0; i < names.size(); i += step)
    if (const auto target = find_target(names[i], config); target && target->database)
      databases.push_back(static_cast<int>(*target->database));
}
// What a pattern matches in other databases is only left out.
void read_databases(Args args, const Config& config, std::vector<int>& databases) {
  named_databases(args.subspan(2), 1, config, databases);
}
void written_databases(Args args, const Config& config, std::vector<int>& databases) {
  named_databases(args.subspan(2), 2, config, databases);
}

void config_resetstat_command(Context& ctx) {
  ctx.server.stats.reset();
  ctx.server.commands.reset_stats();
  ctx.reply.ok();
}

void config_rewrite_command(Context& ctx) {
  if (ctx.server.config.aclfile.empty()) ctx.server.config_store.set_users(ctx.server.acl.configured_lines());
  if (const auto error = ctx.server.config_store.rewrite()) return ctx.reply.error(*error);
  ctx.server.log.notice("CONFIG REWRITE executed with success.");
  ctx.reply.ok();
}

void config_help_command(Context& ctx) {
  reply_help(ctx, {"GET <pattern> [<pattern> ...]", "    Give the settings whose names match, with their values.",
                   "SET <directive> <value> [<directive> <value> ...]", "    Change settings, all or none.",
                   "RESETSTAT", "    Let the counters of INFO begin anew.", "REWRITE",
                   "    Write the settings into the configuration file."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_config_subcommands[] = {
    {.name = "rewrite", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.8.0", .complexity = "O(1)",
     .summary = "Writes the settings in force into the configuration file.",
     .handler = config_rewrite_command},
    {.name = "resetstat", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Sets the counters that INFO shows back.",
     .handler = config_resetstat_command},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "server", .since = "5.0.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = config_help_command},
    {.name = "get", .arity = -3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Gives the values of settings.",
     .syntax = "parameter [parameter ...]",
     .handler = config_get_command, .databases = read_databases},
    {.name = "set", .arity = -4, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Changes settings, all or none.",
     .syntax = "parameter value [parameter value ...]",
     .handler = config_set_command, .tips = tips::kAllNodesSucceed, .databases = written_databases},
};

constexpr Command kCommands[] = {
    {.name = "config", .arity = -2,
     .group = "server", .since = "2.0.0", .complexity = "Depends on the subcommand",
     .summary = "Reads and changes settings.",
     .subcommands = k_config_subcommands},
};

}  // namespace

std::span<const Command> config_commands() { return kCommands; }

}  // namespace quartet::server
