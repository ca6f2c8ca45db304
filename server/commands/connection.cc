#include "server/arguments.h"
#include "server/client_info.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/config_target.h"
#include "server/server.h"
#include "server/version.h"

#include <fmt/format.h>

namespace quartet::server {

namespace {

void auth_command(Context& ctx) {
  if (ctx.args.size() > 3) return ctx.reply.error(errors::kSyntax);
  for (size_t i = 1; i < ctx.args.size(); ++i) ctx.redact(i);
  const bool with_user = ctx.args.size() == 3;
  if (!with_user && ctx.server.acl.default_user().nopass)
    return ctx.reply.error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  std::string_view error;
  if (!ctx.server.log_in(ctx, with_user ? ctx.arg(1) : ctx.server.acl.default_user().name, ctx.args.back(), error))
    return ctx.reply.error(error);
  ctx.reply.ok();
}

void reply_hello(Context& ctx) {
  protocol::Reply& reply = ctx.reply;
  reply.map(7);
  reply.bulk("server");
  reply.bulk("redis");
  reply.bulk("version");
  reply.bulk(kRedisVersion);
  reply.bulk("proto");
  reply.integer(reply.version());
  reply.bulk("id");
  reply.integer(static_cast<int64_t>(ctx.session.id));
  reply.bulk("mode");
  reply.bulk("standalone");
  reply.bulk("role");
  reply.bulk("master");
  reply.bulk("modules");
  reply.array(0);
}

void hello_command(Context& ctx) {
  int64_t version = ctx.reply.version();
  Arguments in(ctx);
  if (in.more()) version = in.integer("ERR Protocol version is not an integer or out of range");
  if (in.failed()) return void(in.ok());
  if (version < 2 || version > 3) return ctx.reply.error("NOPROTO unsupported protocol version");
  while (in.more()) {
    if (in.option("AUTH", 2)) {
      ctx.redact(in.position());
      ctx.redact(in.position() + 1);
      const std::string_view user = in.next();
      std::string_view error;
      if (!ctx.server.log_in(ctx, user, in.next(), error)) return ctx.reply.error(error);
    } else if (in.option("SETNAME", 1)) {
      const std::string_view name = in.next();
      if (!valid_client_name(name))
        return ctx.reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
      ctx.session.name = name;
    } else {
      return ctx.reply.error(fmt::format("ERR Syntax error in HELLO option '{}'", in.peek()));
    }
  }
  if (ctx.server.must_log_in(ctx.session))
    return ctx.reply.error(
        "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> "
        "option can be used to authenticate the client and select the RESP protocol version at the same time");
  ctx.reply.set_version(static_cast<int>(version));
  reply_hello(ctx);
}

void ping_command(Context& ctx) {
  if (ctx.args.size() > 2) return reply_wrong_arity(ctx);
  const bool with_text = ctx.args.size() == 2;
  if (ctx.session.subscribed() && ctx.reply.version() == 2) {
    ctx.reply.array(2);
    ctx.reply.bulk("pong");
    ctx.reply.bulk(with_text ? ctx.arg(1) : "");
  } else if (with_text) {
    ctx.reply.bulk(ctx.arg(1));
  } else {
    ctx.reply.simple("PONG");
  }
}

void echo_command(Context& ctx) { ctx.reply.bulk(ctx.arg(1)); }

void select_command(Context& ctx) {
  const int index = ctx.server.database_index(ctx.arg(1));
  if (index < 0) {
    const auto number = parse_int(ctx.arg(1));
    if (!number) return ctx.reply.error(errors::kNotInteger);
    if (*number != static_cast<int32_t>(*number))
      return ctx.reply.error("ERR value is out of range, value must between -2147483648 and 2147483647");
    return ctx.reply.error(errors::kDbIndex);
  }
  if (!ctx.server.enter_database(ctx.session, index)) return ctx.reply.error(ctx.server.full_error(index));
  ctx.reply.ok();
}

void selected_database(Args args, const Config& config, std::vector<int>& databases) {
  add_database(args[1], config, databases);
}

void quit_command(Context& ctx) {
  ctx.reply.ok();
  ctx.server.disconnect(ctx.session, true);
}

void reset_command(Context& ctx) {
  Session& session = ctx.session;
  ctx.server.discard_transaction(session);
  ctx.server.pubsub.forget(session);
  ctx.server.remove_monitor(session);
  ctx.server.leave_database(session);
  session.name.clear();
  // What was to be skipped is this reply.
  if (session.reply_mode == ReplyMode::Off) session.reply_mode = ReplyMode::On;
  session.no_evict = session.no_touch = false;
  session.user = &ctx.server.acl.default_user();
  session.authenticated = session.user->open_to_all();
  session.unauthenticated_since_us = ctx.now.mono_us;
  ctx.reply.set_version(2);
  ctx.reply.simple("RESET");
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "auth", .arity = -2,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy | kChecksPassword,
     .categories = kConnection, .group = "connection", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Authenticates the connection.",
     .syntax = "[username] password",
     .handler = auth_command},
    {.name = "echo", .arity = 2, .flags = kLoading | kStale | kFast,
     .categories = kConnection, .group = "connection", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Gives back the message.",
     .syntax = "message",
     .handler = echo_command},
    {.name = "hello", .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy | kChecksPassword,
     .categories = kConnection, .group = "connection", .since = "6.0.0", .complexity = "O(1)",
     .summary = "Greets the server, and chooses the version of the protocol.",
     .syntax = "[protover [AUTH username password] [SETNAME clientname]]",
     .handler = hello_command},
    {.name = "ping", .arity = -1, .flags = kFast | kRunsInSubscribed,
     .categories = kConnection, .group = "connection", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Asks whether the server is there.",
     .syntax = "[message]",
     .handler = ping_command, .tips = tips::kAllShardsSucceed},
    {.name = "quit", .arity = -1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy | kRunsInMulti | kRunsInSubscribed,
     .categories = kConnection, .group = "connection", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Closes the connection.",
     .handler = quit_command},
    {.name = "reset", .arity = 1,
     .flags = kNoScript | kLoading | kStale | kFast | kNoAuth | kAllowBusy | kRunsInMulti | kRunsInSubscribed,
     .categories = kConnection, .group = "connection", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Sets the connection back to how it began.",
     .handler = reset_command},
    {.name = "select", .arity = 2, .flags = kLoading | kStale | kFast | kSelects,
     .categories = kConnection, .group = "connection", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Chooses the database of the connection, by number or name.",
     .syntax = "index",
     .handler = select_command, .databases = selected_database},
};

}  // namespace

std::span<const Command> connection_commands() { return kCommands; }

}  // namespace quartet::server
