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
  count_error(session.reply.last_error());
}

void Server::count_error(std::string_view code, uint64_t times) {
  stats.error_replies += times;
  std::string name(code);
  // What has a meaning in INFO's own form.
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '#' || c == ':' || c == '\r' || c == '\n'; }, '_');
  constexpr size_t kKnownCodes = 128;  // a script can make up codes; the table of them stays bounded
  if (stats.errors.size() < kKnownCodes || stats.errors.contains(name)) stats.errors[name] += times;
}

bool Server::may_write(const CommandEntry& command, Args args) const {
  if (command.flags & (kWrite | kMayReplicate)) return true;
  if (!(command.flags & kRunsScript) || (command.flags & kReadOnly)) return false;
  return scripting->may_write(args, command.spec->name == "evalsha");
}

bool Server::must_pause(const Session& session, const CommandEntry& command, Args args) const {
  if (durability.shutting_down()) return !(command.flags & kAllowBusy);
  if (paused_until_ms_ == 0 || session.client_class() == ClientClass::Replica) return false;
  if (!pause_writes_only_) return true;
  // A transaction waits as a whole if one of its commands would.
  if (!(command.flags & kEndsMulti)) return may_write(command, args);
  return std::any_of(session.queue.begin(), session.queue.end(), [this](const QueuedCommand& queued) {
    return may_write(*queued.command, std::vector<std::string_view>(queued.arguments.begin(), queued.arguments.end()));
  });
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
  session.silenced = !session.wants_replies();
  Awaited awaited;
  Outcome outcome = Outcome::Done;
  try {
    outcome = admit_and_execute(session, command, args, mark, now, awaited);
  } catch (const std::exception&) {
    fail_request(session, mark);
  }
  // The reply of a command that goes on comes later.
  if (outcome == Outcome::Done && session.wait != Wait::OwnSlices && !session.blocked) finish_reply(session, mark, awaited);
  if (session.silenced) [[unlikely]]
    session.join_pushes();
  return outcome;
}

void Server::finish_reply(Session& session, size_t mark, const Awaited& awaited) {
  if (session.out.overrun() && session.wants_replies()) [[unlikely]]
    end_overrun(session, mark);
  if (awaited) hold(session, mark, awaited);
  if (session.wants_replies()) return;
  session.out.truncate(mark);
  if (session.reply_mode == ReplyMode::Skipping) session.reply_mode = ReplyMode::On;
}

Outcome Server::admit_and_execute(Session& session, const CommandEntry* named, Args args, size_t mark, Time& now,
                                  Awaited& awaited) {
  const CommandEntry* command = resolve(named, args, session.reply);
  if (!command || !admitted(session, *command, args)) {
    if (!command) count_error(session.reply.last_error());
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
  awaited = ctx.execution.awaited;
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
  if (must_pause(session, command, args)) return Wait::Pause;
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
  ctx.execution.outer = running_;
  Time end = now;
  invoke(ctx, end);
  // Within a transaction or script time stands still: only the measure of it goes on.
}

void Server::invoke(Context& ctx, Time& now) {
  const Time begun = now;
  ctx.execution.mark = ctx.reply.buffer().size();
  ctx.execution.errors_before = ctx.reply.errors();
  {
    const Running running(*this, ctx);
    run_handler(ctx);
    if (ctx.call_again != Context::CallAgain::No) [[unlikely]]
      return;
    now = clock.now();
    finish(ctx, now.mono_us - begun.mono_us, now);
  }
  if (depth_ > 0) return;
  if (blocking.ready()) blocking.serve();
  pause_begins_ = false;
}

void Server::run_handler(Context& ctx) {
  try {
    ctx.command.spec->handler(ctx);
  } catch (const CountedWork::Exceeded&) {
    ctx.call_again = Context::CallAgain::InSlices;
  } catch (const std::exception&) {
    fail(ctx);
  }
}

void Server::finish(Context& ctx, int64_t microseconds, const Time& end) {
  Execution& execution = ctx.execution;
  // A command in slices has left its own stack for good: from here on nothing stands still.
  ctx.pauses = nullptr;
  try {
    if (!execution.new_keys.empty()) give_expiries(ctx);
    if (ctx.dirty && feed.active()) carry_effects(ctx);
  } catch (const std::exception&) {
    fail(ctx);
  }
  if (ctx.command.tells_of_data()) tells_of(ctx, ctx.database->index());
  account(ctx, microseconds, end);
  if (Context* outer = execution.outer) {
    outer->execution.awaited.also(execution.awaited);
    if (&outer->reply == &ctx.reply) outer->execution.errors_within += ctx.reply.errors() - execution.errors_before;
  }
}

void Server::say(Context& ctx, SaidEffect effect) {
  std::vector<SaidEffect>& effects = ctx.execution.effects;
  if (effects.capacity() == 0) effects.swap(spare_effects_);
  effects.push_back(std::move(effect));
}

void Server::carry_effects(Context& ctx) {
  Execution& execution = ctx.execution;
  // Commands that run others (EXEC, EVAL) change nothing themselves.
  const bool as_it_came = !ctx.explicit_effect && (ctx.command.flags & kWrite);
  std::vector<SaidEffect>& effects = execution.effects;
  const auto carry = [&](int index, Args arguments, int other = -1, const storage::Note* note = nullptr) {
    feed.append({index, arguments, other, note});
    tells_of(ctx, index);
  };
  if (effects.empty()) {
    if (as_it_came) carry(ctx.database->index(), ctx.args);
    return;
  }
  const auto carry_all = [&] {
    // What the command did comes before what has followed from it, which is expiry by default.
    if (as_it_came) carry(ctx.database->index(), ctx.args);
    for (const SaidEffect& effect : effects) {
      const std::vector<std::string_view> arguments(effect.arguments.begin(), effect.arguments.end());
      carry(effect.database, arguments, effect.other, effect.note ? &*effect.note : nullptr);
    }
  };
  effects.size() + as_it_came > 1 ? feed.as_unit(carry_all) : carry_all();
  effects.clear();
  if (spare_effects_.capacity() == 0) effects.swap(spare_effects_);
}

void Server::hold(Session& session, size_t mark, const Awaited& awaited) {
  if (durability.is_durable(awaited.position) && durability.is_saved(awaited.save)) return;
  const bool first = session.held.empty();
  if (!first && session.held.back().position >= awaited.position && session.held.back().save >= awaited.save) return;
  // Where memory runs out between the two, nobody is listed whose session does not know of it.
  if (first) held_.push_back(nullptr);
  session.held.push_back({session.sent + mark, awaited.position, awaited.save});
  if (!first) return;
  session.held_position = held_.size() - 1;
  held_.back() = &session;
}

void Server::release_held() {
  size_t kept = 0;
  for (Session* session : held_) {
    if (!session) continue;
    const auto may_go = [this](const Session::Held& held) { return durability.is_durable(held.position) && durability.is_saved(held.save); };
    std::vector<Session::Held>& held = session->held;
    held.erase(held.begin(), std::find_if_not(held.begin(), held.end(), may_go));
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
  {
    const Running running(*this, ctx);
    run_handler(ctx);
  }
  storage::Entry* entry = note && args.size() > 1 ? ctx.db().find_raw(args[1]) : nullptr;
  if (entry && entry->type() == storage::Type::String) ctx.db().set_note(entry, *note);
  std::string error;
  if (session.reply.errors() != errors) {
    const std::string reply = session.out.to_string();
    error = fmt::format("'{}' fails: {}", quoted(args[0]), reply.substr(reply.starts_with('-'), reply.find('\r')));
  }
  session.out.clear();
  if (error.empty()) return {};
  // Where memory is short here, it was not where the command comes from.
  const bool is_ours = session.reply.last_error() == "OOM";
  if (!failure || is_ours) return Error{std::move(error)};
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

bool Server::count_errors(Context& ctx) {
  const Execution& execution = ctx.execution;
  const uint64_t errors = ctx.reply.errors() - execution.errors_before - execution.errors_within;
  if (errors == 0) return false;
  if (errors > execution.errors_counted) count_error(ctx.reply.last_error(), errors - execution.errors_counted);
  return true;
}

void Server::account(Context& ctx, int64_t microseconds, const Time& end) {
  CommandStats& command_stats = ctx.command.stats;
  command_stats.microseconds += static_cast<uint64_t>(microseconds);
  if (count_errors(ctx)) ++command_stats.failed;
  if (ctx.execution.call_counted) return;
  std::vector<std::string_view> shown;
  ++stats.commands_processed;
  ++command_stats.calls;
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
  if (microseconds >= slow_from_us_ && !(ctx.command.flags & kSkipSlowlog)) {
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
    if (!monitor->user->may_use(command, session.database) || monitor->reply_mode == ReplyMode::Off) continue;
    monitor->reply.simple(line);
    output_added(*monitor);
  }
}

bool Server::serve_blocked(Session& session, std::string_view key) {
  const BlockedCommand& blocked = *session.blocked;
  const std::vector<std::string_view> args(blocked.arguments.begin(), blocked.arguments.end());
  const Time now = clock.now();
  Context ctx{*this, session, *blocked.command, args, session.reply, now, &database(blocked.database)};
  ctx.execution.mark = session.out.size();
  ctx.execution.errors_before = session.reply.errors();
  ctx.execution.call_counted = true;
  session.silenced = !session.wants_replies();
  const Running running(*this, ctx);
  try {
    if (!blocked.serve(ctx, key)) {
      session.join_pushes();
      return false;
    }
  } catch (const std::exception&) {
    fail(ctx);
  }
  const Time end = clock.now();
  finish(ctx, end.mono_us - now.mono_us, end);
  if (observer) observer->executed(session, now);
  finish_reply(session, ctx.execution.mark, ctx.execution.awaited);
  session.join_pushes();
  return true;
}

}  // namespace quartet::server
