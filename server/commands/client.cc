#include <fmt/format.h>

#include <set>

#include "server/arguments.h"
#include "server/client_info.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/server.h"

namespace quartet::server {

namespace {

void client_id_command(Context& ctx) { ctx.reply.integer(static_cast<int64_t>(ctx.session.id)); }

void client_getname_command(Context& ctx) {
  if (ctx.session.name.empty()) return ctx.reply.null();
  ctx.reply.bulk(ctx.session.name);
}

void client_setname_command(Context& ctx) {
  if (!valid_client_name(ctx.arg(2)))
    return ctx.reply.error("ERR Client names cannot contain spaces, newlines or special characters.");
  ctx.session.name = ctx.arg(2);
  ctx.reply.ok();
}

void client_setinfo_command(Context& ctx) {
  const bool name = equals_ignoring_case(ctx.arg(2), "LIB-NAME");
  if (!name && !equals_ignoring_case(ctx.arg(2), "LIB-VER"))
    return ctx.reply.error(fmt::format("ERR Unrecognized option '{}'", ctx.arg(2)));
  if (!valid_client_name(ctx.arg(3)))
    return ctx.reply.error(
        fmt::format("ERR {} cannot contain spaces, newlines or special characters.", name ? "lib-name" : "lib-ver"));
  (name ? ctx.session.library_name : ctx.session.library_version) = ctx.arg(3);
  ctx.reply.ok();
}

/// Reads ON or OFF as the last argument; false with the error written.
bool read_switch(Context& ctx, bool& value) {
  value = equals_ignoring_case(ctx.arg(2), "ON");
  if (value || equals_ignoring_case(ctx.arg(2), "OFF")) return true;
  ctx.reply.error(errors::kSyntax);
  return false;
}

void client_no_evict_command(Context& ctx) {
  if (read_switch(ctx, ctx.session.no_evict)) ctx.reply.ok();
}

void client_no_touch_command(Context& ctx) {
  if (read_switch(ctx, ctx.session.no_touch)) ctx.reply.ok();
}

void client_reply_command(Context& ctx) {
  if (equals_ignoring_case(ctx.arg(2), "ON")) {
    ctx.session.reply_mode = ReplyMode::On;
    ctx.reply.ok();
  } else if (equals_ignoring_case(ctx.arg(2), "OFF")) {
    ctx.session.reply_mode = ReplyMode::Off;
  } else if (equals_ignoring_case(ctx.arg(2), "SKIP")) {
    if (ctx.session.reply_mode != ReplyMode::Off) ctx.session.reply_mode = ReplyMode::SkipNext;
  } else {
    ctx.reply.error(errors::kSyntax);
  }
}

// --- Looking at clients ----------------------------------------------------------------------------------------------

void client_info_command(Context& ctx) { ctx.reply.verbatim(client_info(ctx.session, ctx.now, ctx.args) + "\n"); }

/// The class that a word names; false for an unknown word. There are no replicas and masters yet, so theirs are empty.
bool read_class(Context& ctx, std::string_view word, ClientClass& client_class) {
  static constexpr std::pair<std::string_view, ClientClass> kClasses[] = {{"normal", ClientClass::Normal},
                                                                          {"pubsub", ClientClass::PubSub},
                                                                          {"replica", ClientClass::Replica},
                                                                          {"slave", ClientClass::Replica},
                                                                          {"master", ClientClass::Replica}};
  for (const auto& [name, value] : kClasses)
    if (equals_ignoring_case(word, name)) {
      client_class = value;
      return true;
    }
  ctx.reply.error(fmt::format("ERR Unknown client type '{}'", word));
  return false;
}

void client_list_command(Context& ctx) {
  std::string lines;
  const auto add = [&](const Session& session) {
    if (Server::may_see(ctx, session))
      lines += client_info(session, ctx.now, &session == &ctx.session ? ctx.args : Args()) + "\n";
  };
  Arguments in(ctx, 2);
  if (!in.more()) {
    for (const auto& [id, session] : ctx.server.sessions()) add(*session);
  } else if (ctx.args.size() == 4 && in.option("TYPE", 1)) {
    ClientClass wanted;
    if (!read_class(ctx, in.next(), wanted)) return;
    for (const auto& [id, session] : ctx.server.sessions())
      if (session->client_class() == wanted) add(*session);
  } else if (in.option("ID", 1)) {
    while (in.more()) {
      const int64_t id = in.integer("ERR Invalid client ID");
      if (in.failed()) break;
      if (const Session* session = ctx.server.find_session(static_cast<uint64_t>(id))) add(*session);
    }
    if (!in.ok()) return;
  } else {
    return ctx.reply.error(errors::kSyntax);
  }
  ctx.reply.verbatim(lines);
}

// --- Acting on clients -----------------------------------------------------------------------------------------------

struct KillFilter {
  std::optional<uint64_t> id;
  std::optional<ClientClass> client_class;
  std::optional<std::string_view> address, local_address;
  const User* user = nullptr;
  bool skip_me = true;

  bool matches(const Session& session, const Session& me) const {
    return (!id || session.id == *id) && (!client_class || session.client_class() == *client_class) &&
           (!address || session.address == *address) && (!local_address || session.local_address == *local_address) &&
           (!user || session.user == user) && !(skip_me && &session == &me);
  }
};

bool read_kill_filter(Context& ctx, KillFilter& filter) {
  Arguments in(ctx, 2);
  while (in.more()) {
    if (in.option("ID", 1)) {
      const int64_t id = in.integer_in(1, INT64_MAX, "ERR client-id should be greater than 0");
      filter.id = static_cast<uint64_t>(in.failed() ? 0 : id);
      if (in.failed()) in.fail("ERR client-id should be greater than 0");
    } else if (in.option("TYPE", 1)) {
      ClientClass wanted;
      if (!read_class(ctx, in.next(), wanted)) return false;
      filter.client_class = wanted;
    } else if (in.option("ADDR", 1)) {
      filter.address = in.next();
    } else if (in.option("LADDR", 1)) {
      filter.local_address = in.next();
    } else if (in.option("USER", 1)) {
      const std::string_view name = in.next();
      filter.user = ctx.server.acl.find(name);
      if (!filter.user) {
        ctx.reply.error(fmt::format("ERR No such user '{}'", name));
        return false;
      }
    } else if (in.option("SKIPME", 1)) {
      const std::string_view word = in.next();
      filter.skip_me = equals_ignoring_case(word, "yes");
      if (!filter.skip_me && !equals_ignoring_case(word, "no")) in.fail(errors::kSyntax);
    } else {
      in.fail(errors::kSyntax);
    }
  }
  return in.ok();
}

void client_kill_command(Context& ctx) {
  KillFilter filter;
  // The old form is one address, is answered OK or an error, and may be the client's own.
  const bool old_form = ctx.args.size() == 3;
  if (old_form) {
    filter.address = ctx.arg(2);
    filter.skip_me = false;
  } else if (!read_kill_filter(ctx, filter)) {
    return;
  }
  int64_t killed = 0;
  bool me = false;
  for (const auto& [id, session] : ctx.server.sessions()) {
    if (session->closing || !Server::may_see(ctx, *session) || !filter.matches(*session, ctx.session)) continue;
    ++killed;
    if (session.get() == &ctx.session) {
      me = true;
    } else {
      ctx.server.disconnect(*session, false);
    }
  }
  if (!old_form) {
    ctx.reply.integer(killed);
  } else if (killed) {
    ctx.reply.ok();
  } else {
    ctx.reply.error("ERR No such client");
  }
  // The caller still gets its reply.
  if (me) ctx.server.disconnect(ctx.session, true);
}

void client_pause_command(Context& ctx) {
  Arguments in(ctx, 3);
  bool writes_only = false;
  if (in.option("WRITE")) {
    writes_only = true;
  } else if (in.more() && !in.option("ALL")) {
    return ctx.reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL");
  }
  if (in.more()) return ctx.reply.error(errors::kSyntax);
  const auto ms = parse_int(ctx.arg(2));
  if (!ms) return ctx.reply.error("ERR timeout is not an integer or out of range");
  if (*ms < 0) return ctx.reply.error("ERR timeout is negative");
  int64_t until;
  if (__builtin_add_overflow(ctx.now.mono_ms(), *ms, &until))
    return ctx.reply.error("ERR timeout is out of range");
  // What has begun before ends before.
  if (!ctx.enters_all()) return;
  ctx.server.pause(until, writes_only);
  ctx.reply.ok();
}

void client_unpause_command(Context& ctx) {
  ctx.server.unpause();
  ctx.reply.ok();
}

void client_unblock_command(Context& ctx) {
  bool error = false;
  if (ctx.args.size() > 4) return reply_wrong_arity(ctx);
  if (ctx.args.size() == 4) {
    error = equals_ignoring_case(ctx.arg(3), "ERROR");
    if (!error && !equals_ignoring_case(ctx.arg(3), "TIMEOUT"))
      return ctx.reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  Arguments in(ctx, 2);
  const int64_t id = in.integer();
  if (in.failed()) return void(in.ok());
  Session* session = ctx.server.find_session(static_cast<uint64_t>(id));
  if (!session || !session->blocked || !Server::may_see(ctx, *session)) return ctx.reply.integer(0);
  ctx.server.blocking.unblock(*session, error ? "UNBLOCKED client unblocked via CLIENT UNBLOCK" : "");
  ctx.reply.integer(1);
}

void client_help_command(Context& ctx) {
  reply_help(ctx, {"GETNAME",
                   "    Give the name of this connection.",
                   "ID",
                   "    Give the number of this connection.",
                   "INFO",
                   "    Describe this connection.",
                   "KILL <ip:port>",
                   "    Close the connection from <ip:port>.",
                   "KILL <option> <value> [<option> <value> [...]]",
                   "    Close connections; options: ADDR, LADDR, ID, TYPE, USER, SKIPME.",
                   "LIST [TYPE <type> | ID <id> ...]",
                   "    Describe connections.",
                   "PAUSE <timeout> [WRITE|ALL]",
                   "    Let clients wait for <timeout> milliseconds.",
                   "UNPAUSE",
                   "    End a pause.",
                   "REPLY (ON|OFF|SKIP)",
                   "    Choose whether this connection gets replies.",
                   "SETNAME <name>",
                   "    Name this connection.",
                   "SETINFO (LIB-NAME|LIB-VER) <value>",
                   "    Tell the client's library.",
                   "UNBLOCK <clientid> [TIMEOUT|ERROR]",
                   "    End the wait of a blocked client.",
                   "NO-EVICT (ON|OFF)",
                   "    Keep this connection when clients are evicted.",
                   "NO-TOUCH (ON|OFF)",
                   "    Read keys without touching their time of last access."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_client_subcommands[] = {
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "5.0.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = client_help_command},
    {.name = "unpause", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale | kEveryDatabase,
     .categories = kConnection, .group = "connection", .since = "6.2.0", .complexity = "O(N)",
     .summary = "Ends a pause of the clients.",
     .handler = client_unpause_command},
    {.name = "getname", .arity = 2, .flags = kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "2.6.9", .complexity = "O(1)",
     .summary = "Gives the name of the connection.",
     .handler = client_getname_command},
    {.name = "reply", .arity = 3, .flags = kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "3.2.0", .complexity = "O(1)",
     .summary = "Chooses whether the connection gets replies.",
     .syntax = "<ON | OFF | SKIP>",
     .handler = client_reply_command},
    {.name = "kill", .arity = -3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "2.4.0", .complexity = "O(N)",
     .summary = "Closes connections.",
     .syntax = "<ip:port | [ID client-id] [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] [USER username] "
               "[ADDR ip:port] [LADDR ip:port] [SKIPME yes/no]>",
     .handler = client_kill_command},
    {.name = "id", .arity = 2, .flags = kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "5.0.0", .complexity = "O(1)",
     .summary = "Gives the number of the connection.",
     .handler = client_id_command},
    {.name = "setname", .arity = 3, .flags = kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "2.6.9", .complexity = "O(1)",
     .summary = "Names the connection.",
     .syntax = "connection-name",
     .handler = client_setname_command},
    {.name = "pause", .arity = -3, .flags = kAdmin | kNoScript | kLoading | kStale | kEveryDatabase,
     .categories = kConnection, .group = "connection", .since = "2.9.50", .complexity = "O(1)",
     .summary = "Lets clients wait for a time, all or those that write.",
     .syntax = "timeout [WRITE | ALL]",
     .handler = client_pause_command},
    {.name = "no-evict", .arity = 3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "7.0.0", .complexity = "O(1)",
     .summary = "Keeps the connection when clients are evicted for memory.",
     .syntax = "<ON | OFF>",
     .handler = client_no_evict_command},
    {.name = "unblock", .arity = -3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "5.0.0", .complexity = "O(log N)",
     .summary = "Ends the wait of a blocked client.",
     .syntax = "client-id [TIMEOUT | ERROR]",
     .handler = client_unblock_command},
    {.name = "info", .arity = 2, .flags = kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Describes the connection.",
     .handler = client_info_command, .tips = tips::kNondeterministic},
    {.name = "list", .arity = -2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "2.4.0", .complexity = "O(N)",
     .summary = "Describes all connections.",
     .syntax = "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id [client-id ...]]",
     .handler = client_list_command, .tips = tips::kNondeterministic},
    {.name = "no-touch", .arity = 3, .flags = kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "7.2.0", .complexity = "O(1)",
     .summary = "Lets the connection read keys without touching their time of last access.",
     .syntax = "<ON | OFF>",
     .handler = client_no_touch_command},
    {.name = "setinfo", .arity = 4, .flags = kNoScript | kLoading | kStale,
     .categories = kConnection, .group = "connection", .since = "7.2.0", .complexity = "O(1)",
     .summary = "Tells the server the client's library.",
     .syntax = "<LIB-NAME libname | LIB-VER libver>",
     .handler = client_setinfo_command},
};

constexpr Command kCommands[] = {
    {.name = "client", .arity = -2,
     .group = "connection", .since = "2.4.0", .complexity = "Depends on the subcommand",
     .summary = "Tells of connections, and manages them.",
     .subcommands = k_client_subcommands},
};

}  // namespace

std::span<const Command> client_commands() { return kCommands; }

}  // namespace quartet::server
