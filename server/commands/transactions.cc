#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/denial_texts.h"
#include "server/server.h"

namespace quartet::server {

namespace {

void multi_command(Context& ctx) {
  if (ctx.session.in_multi) return ctx.reply.error("ERR MULTI calls can not be nested");
  ctx.session.in_multi = true;
  ctx.reply.ok();
}

void discard_command(Context& ctx) {
  if (!ctx.session.in_multi) return ctx.reply.error("ERR DISCARD without MULTI");
  ctx.server.discard_transaction(ctx.session);
  ctx.reply.ok();
}

/// Ends the transaction also where memory runs out in it.
struct EndOfTransaction {
  Context& ctx;
  ~EndOfTransaction() { ctx.server.discard_transaction(ctx.session); }
};

void exec_command(Context& ctx) {
  Session& session = ctx.session;
  if (!session.in_multi) return ctx.reply.error("ERR EXEC without MULTI");
  if (session.multi_failed) {
    ctx.server.discard_transaction(ctx.session);
    return ctx.reply.error("EXECABORT Transaction discarded because of previous errors.");
  }
  if (session.watch_touched || ctx.server.watches.expired_since(session, ctx.server.databases, ctx.now_ms())) {
    // Which tells that one of the keys was changed.
    for (const auto& watch : session.watches) ctx.server.tells_of(ctx, watch->database);
    ctx.server.discard_transaction(ctx.session);
    return ctx.reply.null_array();
  }
  // The watches end before the commands run: what they change is nobody's interference.
  ctx.server.watches.remove_all(session);
  const std::vector<QueuedCommand> queue = std::move(session.queue);
  const EndOfTransaction end{ctx};
  ctx.reply.array(queue.size());
  ctx.server.feed.as_unit([&] {
    std::vector<std::string_view> args;
    for (const QueuedCommand& queued : queue) {
      // The reply is not sent any more, but what is to be changed is.
      if (ctx.reply.full() && (queued.command->flags & kReadOnly)) continue;
      args.assign(queued.arguments.begin(), queued.arguments.end());
      if (const auto denied = ctx.server.denial(session, *queued.command, args)) {
        ctx.server.log_denial(session, AclLog::Source::Multi, *denied, *queued.command, args);
        ctx.reply.error(noperm_at_exec(*denied));
        ctx.server.count_error(ctx.reply.last_error());
        ++ctx.execution.errors_counted;
        continue;
      }
      Time now = ctx.now;
      ctx.server.call(session, *queued.command, args, {.deny_blocking = true}, now);
    }
  });
}

void watch_command(Context& ctx) {
  if (ctx.session.in_multi) return ctx.reply.error("ERR WATCH inside MULTI is not allowed");
  if (ctx.takes_long(ctx.args.size())) return;
  for (size_t i = 1; i < ctx.args.size(); ++i) {
    ctx.breathe();
    if (ctx.session.watch_touched) break;  // the next EXEC fails anyway
    ctx.server.watches.add(ctx.session, ctx.db(), ctx.arg(i), ctx.now_ms());
  }
  ctx.reply.ok();
}

void unwatch_command(Context& ctx) {
  ctx.server.watches.remove_all(ctx.session);
  ctx.reply.ok();
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "discard", .arity = 1, .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy | kRunsInMulti,
     .categories = kTransaction, .group = "transactions", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Forgets the commands queued since MULTI.",
     .handler = discard_command},
    {.name = "exec", .arity = 1, .flags = kNoScript | kLoading | kStale | kSkipSlowlog | kRunsInMulti | kEndsMulti,
     .categories = kTransaction, .group = "transactions", .since = "1.2.0",
     .complexity = "Depends on the queued commands",
     .summary = "Executes the commands queued since MULTI, all or none.",
     .handler = exec_command},
    {.name = "multi", .arity = 1, .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy | kRunsInMulti,
     .categories = kTransaction, .group = "transactions", .since = "1.2.0", .complexity = "O(1)",
     .summary = "Begins a transaction: the commands that follow are queued.",
     .handler = multi_command},
    {.name = "unwatch", .arity = 1, .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy,
     .categories = kTransaction, .group = "transactions", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Ends the watch over all keys.",
     .handler = unwatch_command},
    {.name = "watch", .arity = -2, .flags = kNoScript | kLoading | kStale | kFast | kAllowBusy | kRunsInMulti,
     .categories = kTransaction, .group = "transactions", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Makes the next EXEC fail if one of the keys is changed before it.",
     .syntax = "key [key ...]",
     .handler = watch_command, .keys = keys::kInspectAll},
};

}  // namespace

std::span<const Command> transaction_commands() { return kCommands; }

}  // namespace quartet::server
