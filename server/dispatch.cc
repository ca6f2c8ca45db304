// The way of a request that Input has parsed: let through the guards in order, queued by MULTI or executed, and then
// accounted for, carried to the feed and shown to monitors.

#include <fmt/format.h>

#include <algorithm>

#include "base/numbers.h"
#include "server/scripting.h"
#include "server/server.h"

namespace quartet::server {

namespace {

/// A command's name or argument as error messages quote it: at most so many bytes, and up to the first NUL.
std::string_view quoted(std::string_view text, size_t most = 128) {
  return text.substr(0, std::min(most, text.find('\0')));
}

/// A web page can make a browser post to this port; its headers would be taken for commands. The first of these words
/// ends the connection before the body is read.
bool is_http(std::string_view word) { return equals_ignoring_case(word, "POST") || equals_ignoring_case(word, "Host:"); }

std::string unknown_command(Args args) {
  std::string text = fmt::format("ERR unknown command '{}', with args beginning with: ", quoted(args[0]));
  const size_t shown = text.size();
  for (size_t i = 1; i < args.size() && text.size() - shown < 128; ++i)
    text += fmt::format("'{}' ", quoted(args[i], 128 - (text.size() - shown)));
  return text;
}

}  // namespace

// --- Guards -----------------------------------------------------------------------------------------------------------

const CommandEntry* Server::resolve(const CommandEntry* command, Args args, protocol::Reply& reply) {
  if (!command) {
    reply.error(unknown_command(args));
    return nullptr;
  }
  if (!command->subcommands.empty() && args.size() > 1) {
    const CommandEntry* sub = CommandTable::find_subcommand(*command, args[1]);
    if (!sub) {
      reply.error(fmt::format("ERR unknown subcommand '{}'. Try {} HELP.", quoted(args[1]), to_upper(command->spec->name)));
      return nullptr;
    }
    command = sub;
  }
  if (!command->takes(args.size()) || !command->spec->handler) {
    ++command->stats.rejected;
    reply.error(fmt::format("ERR wrong number of arguments for '{}' command", command->full_name));
    return nullptr;
  }
  return command;
}

void Server::reject(Session& session, const CommandEntry& command, std::string_view error) {
  ++command.stats.rejected;
  session.reply.error(error);
  count_error(session.reply);
}

void Server::count_error(const protocol::Reply& reply) {
  ++stats.error_replies;
  const std::string code(reply.last_error());
  constexpr size_t kKnownCodes = 128;  // a script can make up codes; the table of them stays bounded
  if (stats.errors.size() < kKnownCodes || stats.errors.contains(code)) ++stats.errors[code];
}

bool Server::must_pause(const Session& session, const CommandEntry& command) const {
  if (durability.shutting_down()) return !(command.flags & kAllowBusy);
  if (paused_until_ms_ == 0 || session.client_class() == ClientClass::Replica) return false;
  if (!pause_writes_only_) return true;
  if (command.flags & (kWrite | kMayReplicate)) return true;
  // A transaction waits as a whole if one of its commands would.
  if (!(command.flags & kRunsInMulti)) return false;
  return std::any_of(session.queue.begin(), session.queue.end(),
                     [](const QueuedCommand& queued) { return queued.command->flags & (kWrite | kMayReplicate); });
}

bool Server::admitted(Session& session, const CommandEntry& command, Args args) {
  // Who has to log in can do nothing else, and that is permitted to everybody.
  const bool unknown = must_log_in(session);
  if (unknown && !(command.flags & kNoAuth)) {
    reject(session, command, errors::kNoAuth);
    return false;
  }
  if (session.in_multi && (command.flags & kNoMulti)) {
    reject(session, command, "ERR Command not allowed inside a transaction");
    return false;
  }
  if (!session.user->unrestricted() && !unknown && !permitted(session, command, args)) return false;
  if (session.subscribed() && session.reply.version() == 2 && !(command.flags & kRunsInSubscribed)) {
    reject(session, command,
           fmt::format("ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                       "in this context",
                       command.full_name));
    return false;
  }
  if (durability.loading() && !(command.flags & kLoading)) {
    reject(session, command, "LOADING Redis is loading the dataset in memory");
    return false;
  }
  if (memory_limit.any()) [[unlikely]] {
    if (const std::string* refusal = memory_limit.refusal(session, command, args)) {
      reject(session, command, *refusal);
      return false;
    }
  }
  if ((command.flags & kWrite) || (command.flags & kEndsMulti)) {
    if (const std::string* refusal = refusal_of(session, command)) {
      reject(session, command, *refusal);
      return false;
    }
  }
  if (scripting->busy() && !(command.flags & kAllowBusy)) {
    reject(session, command, "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.");
    return false;
  }
  if (!session.placed && command.uses_database() && !enter_database(session, session.database)) {
    reject(session, command, full_error(session.database));
    return false;
  }
  return true;
}

const std::string* Server::refusal_of(const Session& session, const CommandEntry& command) {
  if (!durability.refuses()) return nullptr;
  // What a transaction changes is in the database that it selects on the way.
  int database = session.database;
  for (const QueuedCommand& queued : session.queue) {
    if (queued.command->flags & kSelects) {
      if (const int selected = database_index(queued.arguments[1]); selected >= 0) database = selected;
    } else if ((command.flags & kEndsMulti) && (queued.command->flags & kWrite)) {
      if (const std::string* refusal = durability.refusal(database)) return refusal;
    }
  }
  return command.flags & kWrite ? durability.refusal(database) : nullptr;
}

void Server::queue(Session& session, const CommandEntry& command, Args args) {
  if (session.queue.empty()) session.queued_database = session.database;
  if (command.flags & kSelects)
    if (const int selected = database_index(args[1]); selected >= 0) session.queued_database = selected;
  QueuedCommand queued{&command, {args.begin(), args.end()}};
  session.queue_bytes += sizeof(QueuedCommand) + args.size() * sizeof(std::string);
  for (const std::string& argument : queued.arguments)
    if (argument.size() >= sizeof(std::string) / 2) session.queue_bytes += argument.capacity() + 1;
  session.queue.push_back(std::move(queued));
  session.reply.simple("QUEUED");
}

void Server::refuse(Session& session, Args args, size_t mark) {
  if (session.reply.full()) return;  // which ends the connection
  if (session.memcached) {
    if (session.memcached->quiet) session.out.truncate(mark);
    return;
  }
  const CommandEntry* command = commands.find(args[0]);
  if (!command && is_http(args[0])) {
    about_clients_.write(log, LogLevel::Warning, session.last_active,
                         "Possible SECURITY ATTACK detected: a web browser at {} talks to this port. Connection closed.", session.address);
    session.out.truncate(mark);
    return disconnect(session, true);
  }
  if (command && (command->flags & kEndsMulti)) {
    // A transaction does not outlive the failure of the command that was to end it.
    const std::string written = session.out.to_string().substr(mark);
    std::string reason = written.substr(1, written.size() - 3);
    if (reason.starts_with("ERR ")) reason.erase(0, 4);
    session.out.truncate(mark);
    discard_transaction(session);
    session.reply.error("EXECABORT Transaction discarded because of: " + reason);
  } else if (session.in_multi) {
    session.multi_failed = true;
  }
}

void Server::discard_transaction(Session& session) {
  session.in_multi = session.multi_failed = false;
  std::vector<QueuedCommand>().swap(session.queue);  // which gives back its room
  session.queue_bytes = 0;
  watches.remove_all(session);
}

Outcome Server::dispatch(Session& session, const CommandEntry* command, Args args, Time& now) {
  const size_t mark = session.out.size();
  if (session.reply_mode == ReplyMode::SkipNext) session.reply_mode = ReplyMode::Skipping;
  if (admit_and_execute(session, command, args, mark, now) == Outcome::Waits) return Outcome::Waits;
  if (session.wait != Wait::OwnSlices) finish_reply(session, mark);
  return Outcome::Done;
}

void Server::finish_reply(Session& session, size_t mark) {
  const bool wanted = session.reply_mode == ReplyMode::On || session.reply_mode == ReplyMode::SkipNext;
  if (session.out.overrun() && wanted) [[unlikely]]
    end_overrun(session, mark);
  if (awaited_ | awaited_save_) hold(session, mark);
  if (!wanted) {
    session.out.truncate(mark);
    if (session.reply_mode == ReplyMode::Skipping) session.reply_mode = ReplyMode::On;
  }
}

Outcome Server::admit_and_execute(Session& session, const CommandEntry* named, Args args, size_t mark, Time& now) {
  const CommandEntry* command = resolve(named, args, session.reply);
  if (!command || !admitted(session, *command, args)) {
    if (!command) count_error(session.reply);
    refuse(session, args, mark);
    if (observer) observer->executed(session, now);
    return Outcome::Done;
  }
  session.last_command = command;
  if (session.queues(*command)) {
    queue(session, *command, args);
    if (observer) observer->executed(session, now);
    return Outcome::Done;
  }
  if (const Wait reason = reason_to_wait(session, *command, args, now); reason != Wait::None) [[unlikely]] {
    if (reason == Wait::Database) long_commands.wait_in_line(session, false);
    input.wait(session, reason);
    return Outcome::Waits;
  }
  Context ctx{*this, session, *command, args, session.reply, now, &database(session.database)};
  ctx.long_work = long_commands.bounds().work;
  CountedWork counted_work(long_commands.most_counted());
  ctx.counted = &counted_work;
  if (command->flags & kReadOnly) ctx.only_reads();
  const DatabaseStatistics& counted = stats.database(session.database);
  const uint64_t hits = counted.keyspace_hits, misses = counted.keyspace_misses;
  invoke(ctx, now);
  if (ctx.call_again == Context::CallAgain::No) [[likely]]
    return Outcome::Done;
  session.out.truncate(mark);
  const Outcome outcome = call_again(ctx, hits, misses);
  // Its first slice may have been done.
  now = clock.now();
  return outcome;
}

Wait Server::reason_to_wait(Session& session, const CommandEntry& command, Args args, const Time& now) {
  if (long_commands.running() && must_wait_for_database(session, command)) return Wait::Database;
  if (must_pause(session, command)) return Wait::Pause;
  if (snapshot && must_wait_for_snapshot(session, command, args)) return Wait::Snapshot;
  if ((command.flags & kChecksPassword) && must_wait_to_log_in(session, args, now)) return Wait::Login;
  return Wait::None;
}

bool Server::must_wait_for_database(const Session& session, const CommandEntry& command) const {
  const auto locked = [&](int index) { return databases[static_cast<size_t>(index)]->locked(); };
  // What a transaction depends on may be in other databases.
  if ((command.flags & kEndsMulti) &&
      std::any_of(session.watches.begin(), session.watches.end(), [&](const auto& watch) { return locked(watch->database); }))
    return true;
  if (!locked(session.database)) return false;
  const auto touches_data = [](const CommandEntry& entry) {
    return entry.flags & (kWrite | kReadOnly) || (!entry.spec->keys.empty() && !(entry.flags & kPubSub));
  };
  if (!(command.flags & kEndsMulti)) return touches_data(command);
  return std::any_of(session.queue.begin(), session.queue.end(),
                     [&](const QueuedCommand& queued) { return touches_data(*queued.command); });
}

Outcome Server::call_again(const Context& ctx, uint64_t hits, uint64_t misses) {
  DatabaseStatistics& counted = stats.database(ctx.database->index());
  if (ctx.call_again == Context::CallAgain::InSlices && long_commands.may_begin(ctx)) {
    long_commands.begin(ctx, counted.keyspace_hits - hits + counted.keyspace_misses - misses);
    return Outcome::Done;
  }
  counted.keyspace_hits = hits;
  counted.keyspace_misses = misses;
  long_commands.wait_in_line(ctx.session, ctx.call_again == Context::CallAgain::WhenFree);
  input.wait(ctx.session, Wait::Database);
  return Outcome::Waits;
}

// --- Execution --------------------------------------------------------------------------------------------------------

void Server::call(Session& session, const CommandEntry& command, Args args, const CallOptions& options, Time& now) {
  // The client has waited for its own database. Another one, which was selected since, is made free now.
  if (database(session.database).locked()) long_commands.finish(database(session.database));
  Context ctx{*this, session, command, args, session.reply, now, &database(session.database)};
  ctx.deny_blocking = options.deny_blocking;
  ctx.from_script = options.from_script;
  Time end = now;
  invoke(ctx, end);
  // Within a transaction or script time stands still: only the measure of it goes on.
}

void Server::invoke(Context& ctx, Time& now) {
  const Time begun = now;
  const uint64_t errors = ctx.reply.errors();
  const bool outermost = depth_++ == 0;
  const size_t effects_before = effects_.size();
  try {
    ctx.command.spec->handler(ctx);
  } catch (const CountedWork::Exceeded&) {
    ctx.call_again = Context::CallAgain::InSlices;
  }
  if (ctx.call_again != Context::CallAgain::No) [[unlikely]] {
    --depth_;
    return;
  }
  now = clock.now();
  if (!new_keys_.empty()) give_expiries(ctx);
  carry_effects(ctx);
  effects_.resize(effects_before);
  --depth_;
  if (durability.holds()) awaited_ = std::max(awaited_, durability.awaited(ctx.database->index()));
  account(ctx, now.mono_us - begun.mono_us, ctx.reply.errors() - errors, now);
  if (outermost && blocking.ready()) blocking.serve();
}

void Server::carry(int index, Args effect, int other, const storage::Note* note) {
  feed.append({index, effect, other, note});
  if (durability.holds()) awaited_ = std::max(awaited_, durability.awaited(index));
}

void Server::carry_effects(Context& ctx) {
  if (!ctx.dirty || !feed.active()) return;
  if (!ctx.explicit_effect) {
    // Commands that run others (EXEC, EVAL) change nothing themselves.
    if (ctx.command.flags & kWrite) carry(ctx.database->index(), ctx.args);
    return;
  }
  const bool unit = effects_.size() > 1;
  if (unit) feed.begin_unit();
  for (const SaidEffect& effect : effects_) {
    const std::vector<std::string_view> arguments(effect.arguments.begin(), effect.arguments.end());
    carry(effect.database, arguments, effect.other, effect.note ? &*effect.note : nullptr);
  }
  if (unit) feed.end_unit();
}

void Server::hold(Session& session, size_t mark) {
  const uint64_t position = std::exchange(awaited_, 0), save = std::exchange(awaited_save_, 0);
  if (durability.is_durable(position) && durability.is_saved(save)) return;
  if (session.held.empty()) {
    session.held_position = held_.size();
    held_.push_back(&session);
  } else if (session.held.back().position >= position && session.held.back().save >= save) {
    return;
  }
  session.held.push_back({session.sent + mark, position, save});
}

void Server::release_held() {
  size_t kept = 0;
  for (Session* session : held_) {
    if (!session) continue;
    const auto may_go = [this](const Session::Held& held) { return durability.is_durable(held.position) && durability.is_saved(held.save); };
    while (!session->held.empty() && may_go(session->held.front())) session->held.pop_front();
    if (session->connection && session->sendable() > 0) session->connection->flush_soon();
    if (session->held.empty()) continue;
    session->held_position = kept;
    held_[kept++] = session;
  }
  held_.resize(kept);
}

Result<void> Server::replay(Session& session, int index, Args args, const storage::Note* note, std::string* failure) {
  if (index < 0 || index >= config.databases)
    return Error{fmt::format("database {} is not one of the {} that the setting `databases` allows", index, config.databases)};
  const Result<const CommandEntry*> found = commands.of_file(args);
  if (!found) return found.error();
  const CommandEntry& command = **found;
  if (!(command.flags & kWrite) && !(command.spec->categories & kScripting)) return {};
  session.database = index;
  const uint64_t errors = session.reply.errors();
  // What has expired meanwhile was there when the effects that follow happened. Time that stands at 0 lets it be.
  const Time never{0, clock.now().mono_us};
  Context ctx{*this, session, command, args, session.reply, never, &database(index)};
  ctx.deny_blocking = true;
  ++depth_;
  command.spec->handler(ctx);
  --depth_;
  storage::Entry* entry = note && args.size() > 1 ? ctx.db().find_raw(args[1]) : nullptr;
  if (entry && entry->type() == storage::Type::String) ctx.db().set_note(entry, *note);
  std::string error;
  if (session.reply.errors() != errors) {
    const std::string reply = session.out.to_string();
    error = fmt::format("'{}' fails: {}", quoted(args[0]), reply.substr(reply.starts_with('-'), reply.find('\r')));
  }
  session.out.clear();
  if (error.empty()) return {};
  if (!failure) return Error{std::move(error)};
  *failure = std::move(error);
  return {};
}

/// The arguments as logs may show them.
Args without_secrets(const Context& ctx, std::vector<std::string_view>& shown) {
  if (ctx.secrets.empty()) return ctx.args;
  shown.assign(ctx.args.begin(), ctx.args.end());
  for (const size_t secret : ctx.secrets) shown[secret] = "(redacted)";
  return shown;
}

void Server::account(Context& ctx, int64_t microseconds, uint64_t errors, const Time& end) {
  std::vector<std::string_view> shown;
  ++stats.commands_processed;
  CommandStats& command_stats = ctx.command.stats;
  ++command_stats.calls;
  command_stats.microseconds += static_cast<uint64_t>(microseconds);
  if (errors) {
    ++command_stats.failed;
    count_error(ctx.reply);
  }
  const int database = ctx.database->index();
  DatabaseStatistics& database_stats = stats.database(database);
  ++database_stats.commands_of(ctx.command.flags);
  if (config.latency_tracking) {
    const size_t bucket = LatencyHistogram::bucket_of(static_cast<uint64_t>(microseconds) * 1000);
    if (!command_stats.histogram) command_stats.histogram = std::make_unique<LatencyHistogram>();
    if (!database_stats.latencies) database_stats.latencies = std::make_unique<LatencyHistogram>();
    command_stats.histogram->add_to(bucket);
    database_stats.latencies->add_to(bucket);
  }
  if (microseconds >= slow_from_us_ && !(ctx.command.flags & kSkipSlowlog) && !ctx.from_script) {
    const int64_t slower_than = config.database[static_cast<size_t>(database)].slowlog_log_slower_than;
    if (slower_than >= 0 && microseconds >= slower_than) {
      ++database_stats.slow_commands;
      slowlog.add(ctx.session, database, without_secrets(ctx, shown), microseconds, end, static_cast<size_t>(config.slowlog_max_len));
    }
  }
  if (config.latency_monitor_threshold > 0 && microseconds >= config.latency_monitor_threshold * 1000 && !ctx.from_script)
    note_spike(ctx, microseconds, end);
  if (!(ctx.command.flags & (kSkipMonitor | kAdmin))) show_to_monitors(ctx);
  // Within a transaction or script it is a part of a request.
  if (observer && !ctx.deny_blocking && !ctx.session.blocked) observer->executed(ctx.session, ctx.now);
}

void Server::note_spike(const Context& ctx, int64_t microseconds, const Time& end) {
  const std::string event = ctx.command.flags & kFast ? "fast-command" : "command";
  const auto ms = static_cast<uint32_t>(microseconds / 1000);
  latency.add(event, ms, end.wall_us / 1'000'000);
  // Those who have given their databases names want to know in which it was.
  const std::string& name = config.database[static_cast<size_t>(ctx.database->index())].name;
  if (!name.empty()) latency.add(event + "@" + name, ms, end.wall_us / 1'000'000);
}

void Server::show_to_monitors(const Context& ctx) {
  if (monitors_.empty()) return;
  std::vector<std::string_view> shown;
  const Args args = without_secrets(ctx, shown);
  const Session& session = ctx.session;
  const Time& now = ctx.now;
  std::string line = fmt::format("{}.{:06} [{} {}]", now.wall_us / 1'000'000, now.wall_us % 1'000'000, session.database,
                                 ctx.from_script ? std::string_view("lua") : std::string_view(session.address));
  for (const std::string_view argument : args) {
    line += ' ';
    line += quoted_form(argument);
  }
  const CommandEntry& command = *commands.find("monitor");
  for (Session* monitor : monitors_) {
    if (!monitor->user->may_use(command, session.database)) continue;
    monitor->reply.simple(line);
    output_added(*monitor);
  }
}

bool Server::serve_blocked(Session& session, std::string_view key) {
  const BlockedCommand& blocked = *session.blocked;
  const std::vector<std::string_view> args(blocked.arguments.begin(), blocked.arguments.end());
  const Time now = clock.now();
  Context ctx{*this, session, *blocked.command, args, session.reply, now, &database(blocked.database)};
  const size_t effects_before = effects_.size();
  ++depth_;
  const size_t mark = session.out.size();
  // What the command that made the key ready has to wait for is its own.
  const uint64_t outer = std::exchange(awaited_, 0), outer_save = std::exchange(awaited_save_, 0);
  const bool served = blocked.serve(ctx, key);
  if (!new_keys_.empty()) give_expiries(ctx);
  if (served) carry_effects(ctx);
  effects_.resize(effects_before);
  --depth_;
  if (served && observer) observer->executed(session, now);
  if (served && durability.holds()) awaited_ = std::max(awaited_, durability.awaited(blocked.database));
  if (awaited_) hold(session, mark);
  awaited_ = outer;
  awaited_save_ = outer_save;
  if (session.reply.full()) end_overrun(session, mark);
  return served;
}

}  // namespace quartet::server
