// ACL: users and their permissions. The rules are in server/acl_rules.h, the users in server/acl.h.

#include <fmt/format.h>

#include <algorithm>

#include "server/arguments.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/config_file.h"
#include "server/denial_texts.h"
#include "server/server.h"

namespace quartet::server {

namespace {

constexpr std::string_view kNoFile =
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
    "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store "
    "users in the Redis configuration.";

/// Subcommands with an optional argument are called by two arguments or three.
bool too_many(Context& ctx, size_t most = 3) {
  if (ctx.args.size() <= most) return false;
  ctx.reply.error(
      fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try ACL HELP.", ctx.arg(1)));
  return true;
}

void reply_strings(Context& ctx, const std::vector<std::string>& strings) {
  ctx.reply.array(strings.size());
  for (const std::string& text : strings) ctx.reply.bulk(text);
}

// --- Users -----------------------------------------------------------------------------------------------------------

void acl_setuser_command(Context& ctx) {
  for (size_t i = 2; i < ctx.args.size(); ++i) ctx.redact(i);
  const User* user;
  if (const auto error = ctx.server.acl.set(ctx.arg(2), ctx.args.subspan(3), user)) return ctx.reply.error(*error);
  ctx.server.user_changed(*user);
  ctx.reply.ok();
}

void acl_deluser_command(Context& ctx) {
  const Args names = ctx.args.subspan(2);
  Acl& acl = ctx.server.acl;
  if (std::find(names.begin(), names.end(), acl.default_user().name) != names.end())
    return ctx.reply.error("ERR The 'default' user cannot be removed");
  std::vector<std::unique_ptr<User>> removed;
  for (const std::string_view name : names)
    if (auto user = acl.remove(name)) removed.push_back(std::move(user));
  ctx.reply.integer(static_cast<int64_t>(removed.size()));
  ctx.server.users_removed(removed);
}

void reply_selector(Context& ctx, const Selector& selector) {
  ctx.reply.bulk("commands");
  ctx.reply.bulk(describe_commands(selector));
  ctx.reply.bulk("keys");
  ctx.reply.bulk(describe_keys(selector));
  ctx.reply.bulk("channels");
  ctx.reply.bulk(describe_channels(selector));
  ctx.reply.bulk("databases");
  ctx.reply.bulk(describe_databases(selector, ctx.server.config));
}

void acl_getuser_command(Context& ctx) {
  const User* user = ctx.server.acl.find(ctx.arg(2));
  if (!user) return ctx.reply.null();
  ctx.reply.map(7);
  ctx.reply.bulk("flags");
  const auto flags = describe_flags(*user);
  ctx.reply.set(flags.size());
  for (const std::string_view flag : flags) ctx.reply.bulk(flag);
  ctx.reply.bulk("passwords");
  ctx.reply.array(user->passwords.size());
  for (const PasswordHash& password : user->passwords) ctx.reply.bulk(password.digits());
  reply_selector(ctx, user->root);
  ctx.reply.bulk("selectors");
  ctx.reply.array(user->selectors.size());
  for (const Selector& selector : user->selectors) {
    ctx.reply.map(4);
    reply_selector(ctx, selector);
  }
}

void acl_list_command(Context& ctx) { reply_strings(ctx, ctx.server.acl.lines()); }

void acl_users_command(Context& ctx) {
  const Acl::Users& users = ctx.server.acl.users();
  ctx.reply.array(users.size());
  for (const auto& [name, user] : users) ctx.reply.bulk(name);
}

void acl_whoami_command(Context& ctx) { ctx.reply.bulk(ctx.session.user->name); }

// --- The ACL file ----------------------------------------------------------------------------------------------------

void acl_load_command(Context& ctx) {
  Server& server = ctx.server;
  const std::string& path = server.config.aclfile;
  if (path.empty()) return ctx.reply.error(kNoFile);
  std::string text;
  if (const Problem problem = read_file(path, text, limits::kAclFileBytes); !problem.empty())
    return ctx.reply.error(fmt::format("ERR Error loading ACLs, opening file '{}': {}", path, problem));
  std::vector<std::unique_ptr<User>> replaced;
  if (const auto errors = server.acl.load(text, path, replaced)) return ctx.reply.error("ERR " + *errors);
  ctx.reply.ok();
  server.users_removed(replaced);
  server.user_changed(server.acl.default_user());
}

void acl_save_command(Context& ctx) {
  const std::string& path = ctx.server.config.aclfile;
  if (path.empty()) return ctx.reply.error(kNoFile);
  std::string text;
  for (const std::string& line : ctx.server.acl.lines()) text += line + "\n";
  if (const Problem problem = replace_file(path, text); !problem.empty()) {
    ctx.server.log.warning("The ACL file {} cannot be written: {}", path, problem);
    return ctx.reply.error(
        "ERR There was an error trying to save the ACLs. Please check the server logs for more information");
  }
  ctx.reply.ok();
}

// --- What users may do, and what they were refused -------------------------------------------------------------------

void acl_cat_command(Context& ctx) {
  if (too_many(ctx)) return;
  if (ctx.args.size() == 2) {
    ctx.reply.array(category_names().size());
    for (const std::string_view name : category_names()) ctx.reply.bulk(name);
    return;
  }
  const uint32_t category = category_bit(ctx.arg(2));
  if (!category) return ctx.reply.error(fmt::format("ERR Unknown category '{}'", ctx.arg(2)));
  const protocol::Reply::Open open = ctx.reply.begin();
  size_t count = 0;
  ctx.server.commands.for_each([&](const CommandEntry& command) {
    if (!(command.categories & category)) return;
    ctx.reply.bulk(command.full_name);
    ++count;
  });
  ctx.reply.end_array(open, count);
}

/// DRYRUN of a command that the server does not have. Where Redis does, it tells who is refused it; nobody can run it.
void reply_absent(Context& ctx, const User& user, Args request) {
  const CommandTable& commands = ctx.server.commands;
  auto name = request.size() > 1 ? commands.find_acl_name(fmt::format("{}|{}", request[0], request[1])) : std::nullopt;
  if (!name && !commands.find(request[0]) && !commands.has_subcommands(request[0]))
    name = commands.find_acl_name(request[0]);
  if (!name || user.permits(*name, request))
    return ctx.reply.error(fmt::format("ERR Command '{}' not found", request[0]));
  ctx.reply.bulk(fmt::format("This user has no permissions to run the '{}' command", name->name));
}

void acl_dryrun_command(Context& ctx) {
  Server& server = ctx.server;
  const User* user = server.acl.find(ctx.arg(2));
  if (!user) return ctx.reply.error(fmt::format("ERR User '{}' not found", ctx.arg(2)));
  const Args request = ctx.args.subspan(3);
  const CommandEntry* command = server.commands.find(request[0]);
  if (command && !command->subcommands.empty() && request.size() > 1)
    command = CommandTable::find_subcommand(*command, request[1]);
  if (!command) return reply_absent(ctx, *user, request);
  if (!command->takes(request.size()))
    return ctx.reply.error(fmt::format("ERR wrong number of arguments for '{}' command", command->full_name));
  const auto denied = server.denial(*user, ctx.session.database, *command, request);
  if (!denied) return ctx.reply.ok();
  ctx.reply.bulk(noperm_if_run(*denied, *command, request, server.config));
}

std::string_view name_of(AclLog::Reason reason) {
  switch (reason) {
    case AclLog::Reason::Auth: return "auth";
    case AclLog::Reason::Command: return "command";
    case AclLog::Reason::Key: return "key";
    case AclLog::Reason::Channel: return "channel";
    case AclLog::Reason::Database: break;
  }
  return "database";
}

std::string_view name_of(AclLog::Source source) {
  switch (source) {
    case AclLog::Source::TopLevel: return "toplevel";
    case AclLog::Source::Multi: return "multi";
    case AclLog::Source::Lua: break;
  }
  return "lua";
}

void reply_log_entry(Context& ctx, const AclLog::Entry& entry) {
  const auto field = [&](std::string_view name, std::string_view value) {
    ctx.reply.bulk(name);
    ctx.reply.bulk(value);
  };
  ctx.reply.map(7);
  ctx.reply.bulk("count");
  ctx.reply.integer(entry.count);
  field("reason", name_of(entry.reason));
  field("context", name_of(entry.source));
  field("object", entry.object);
  field("username", entry.user);
  ctx.reply.bulk("age-seconds");
  ctx.reply.number(static_cast<double>(ctx.now.mono_ms() - entry.last_ms) / 1000);
  field("client-info", entry.client);
}

void acl_log_command(Context& ctx) {
  constexpr int64_t kDefaultCount = 10;
  if (too_many(ctx)) return;
  AclLog& log = ctx.server.acl.log;
  Arguments in(ctx, 2);
  if (in.option("RESET")) {
    log.clear();
    return ctx.reply.ok();
  }
  const int64_t count = in.more() ? in.integer() : kDefaultCount;
  if (!in.ok()) return;
  const size_t shown = std::min(log.entries().size(), static_cast<size_t>(std::max<int64_t>(count, 0)));
  ctx.reply.array(shown);
  for (size_t i = 0; i < shown; ++i) reply_log_entry(ctx, log.entries()[i]);
}

void acl_genpass_command(Context& ctx) {
  constexpr int64_t kUsualBits = 256, kMostBits = 4096;
  if (too_many(ctx)) return;
  Arguments in(ctx, 2);
  const int64_t bits = in.more() ? in.integer() : kUsualBits;
  if (!in.failed() && (bits < 1 || bits > kMostBits))
    in.fail(
        "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096");
  if (in.ok()) ctx.reply.bulk(random_digits(static_cast<size_t>(bits)));
}

void acl_help_command(Context& ctx) {
  reply_help(ctx, {"CAT [<category>]",
                   "    List the categories of commands, or the commands of one.",
                   "DELUSER <username> [<username> ...]",
                   "    Remove users and disconnect their clients.",
                   "DRYRUN <username> <command> [<arg> ...]",
                   "    Tell whether a user may run a command, without running it.",
                   "GENPASS [<bits>]",
                   "    Make a password by chance, of 256 bits or as many as are asked for.",
                   "GETUSER <username>",
                   "    Describe a user.",
                   "LIST",
                   "    Describe all users, as the ACL file does.",
                   "LOAD",
                   "    Replace all users by those of the ACL file.",
                   "LOG [<count> | RESET]",
                   "    Show what users were refused of late, or forget it.",
                   "SAVE",
                   "    Write all users into the ACL file.",
                   "SETUSER <username> [<rule> ...]",
                   "    Make a user, or change one by rules.",
                   "USERS",
                   "    List the names of the users.",
                   "WHOAMI",
                   "    Tell the name of this connection's user."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_acl_subcommands[] = {
    {.name = "whoami", .arity = 2, .flags = kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(1)",
     .summary = "Tells the name of the connection's user.",
     .handler = acl_whoami_command},
    {.name = "list", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(N)",
     .summary = "Describes all users by their rules.",
     .handler = acl_list_command},
    {.name = "dryrun", .arity = -4, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "7.0.0", .complexity = "O(1)",
     .summary = "Tells whether a user may run a command, without running it.",
     .syntax = "username command [arg [arg ...]]",
     .handler = acl_dryrun_command},
    {.name = "getuser", .arity = 3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(N)",
     .summary = "Describes a user.",
     .syntax = "username",
     .handler = acl_getuser_command},
    {.name = "cat", .arity = -2, .flags = kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(1)",
     .summary = "Lists the categories of commands, or the commands of one.",
     .syntax = "[categoryname]",
     .handler = acl_cat_command},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = acl_help_command},
    {.name = "setuser", .arity = -3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(N)",
     .summary = "Makes a user, or changes one, by rules.",
     .syntax = "username [rule [rule ...]]",
     .handler = acl_setuser_command},
    {.name = "load", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(N)",
     .summary = "Replaces all users by those of the ACL file.",
     .handler = acl_load_command},
    {.name = "genpass", .arity = -2, .flags = kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(1)",
     .summary = "Makes a password by chance.",
     .syntax = "[bits]",
     .handler = acl_genpass_command},
    {.name = "log", .arity = -2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(N)",
     .summary = "Shows which logins failed and what users were refused.",
     .syntax = "[count | RESET]",
     .handler = acl_log_command},
    {.name = "users", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(N)",
     .summary = "Lists the names of the users.",
     .handler = acl_users_command},
    {.name = "save", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(N)",
     .summary = "Writes all users into the ACL file.",
     .handler = acl_save_command},
    {.name = "deluser", .arity = -3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "6.0.0", .complexity = "O(1)",
     .summary = "Removes users and disconnects their clients.",
     .syntax = "username [username ...]",
     .handler = acl_deluser_command},
};

constexpr Command kCommands[] = {
    {.name = "acl", .arity = -2,
     .group = "server", .since = "6.0.0", .complexity = "Depends on the subcommand",
     .summary = "Manages users and what they may do.",
     .subcommands = k_acl_subcommands},
};

}  // namespace

std::span<const Command> acl_commands() { return kCommands; }

}  // namespace quartet::server
