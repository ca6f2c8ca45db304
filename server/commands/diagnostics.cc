// MONITOR, SLOWLOG and LATENCY.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/server.h"

namespace quartet::server {

namespace {

void monitor_command(Context& ctx) {
  if (ctx.deny_blocking) return ctx.reply.error("ERR MONITOR isn't allowed for DENY BLOCKING client");
  // A second MONITOR changes nothing and, as in Redis, is not answered.
  if (ctx.session.monitor) return;
  ctx.server.add_monitor(ctx.session);
  ctx.reply.ok();
}

// --- SLOWLOG ---------------------------------------------------------------------------------------------------------

void slowlog_get_command(Context& ctx) {
  constexpr std::string_view kBadCount = "ERR count should be greater than or equal to -1";
  constexpr int64_t kDefaultCount = 10;
  if (ctx.args.size() > 3)
    return ctx.reply.error(
        fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try SLOWLOG HELP.", ctx.arg(1)));
  Arguments in(ctx, 2);
  const int64_t count = in.more() ? in.integer_in(-1, INT64_MAX, kBadCount) : kDefaultCount;
  if (in.failed()) return ctx.reply.error(kBadCount);
  const protocol::Reply::Open open = ctx.reply.begin();
  int64_t shown = 0;
  for (const SlowLog::Item& item : ctx.server.slowlog.items()) {
    if (shown == count) break;
    if (!ctx.session.user->may_use(ctx.command, item.database)) continue;
    ++shown;
    ctx.reply.array(6);
    ctx.reply.integer(static_cast<int64_t>(item.id));
    ctx.reply.integer(item.time);
    ctx.reply.integer(item.microseconds);
    ctx.reply.array(item.arguments.size());
    for (const std::string& argument : item.arguments) ctx.reply.bulk(argument);
    ctx.reply.bulk(item.address);
    ctx.reply.bulk(item.name);
  }
  ctx.reply.end_array(open, static_cast<size_t>(shown));
}

void slowlog_len_command(Context& ctx) {
  const auto& items = ctx.server.slowlog.items();
  ctx.reply.integer(std::count_if(items.begin(), items.end(), [&](const SlowLog::Item& item) {
    return ctx.session.user->may_use(ctx.command, item.database);
  }));
}

void slowlog_reset_command(Context& ctx) {
  ctx.server.slowlog.clear();
  ctx.reply.ok();
}

void slowlog_help_command(Context& ctx) {
  reply_help(ctx, {"GET [<count>]", "    Give the latest <count> entries (10 by default, -1 for all), each with",
                   "    its number, time, duration in microseconds, arguments, and the client's",
                   "    address and name.", "LEN", "    Count the entries.", "RESET", "    Forget all entries."});
}

// --- LATENCY: spikes -------------------------------------------------------------------------------------------------

void latency_latest_command(Context& ctx) {
  const auto& events = ctx.server.latency.events();
  ctx.reply.array(events.size());
  for (const auto& [event, series] : events) {
    ctx.reply.array(4);
    ctx.reply.bulk(event);
    ctx.reply.integer(series.samples.back().time);
    ctx.reply.integer(series.samples.back().ms);
    ctx.reply.integer(series.max);
  }
}

const LatencyMonitor::Series* find_series(Context& ctx, std::string_view event) {
  const auto& events = ctx.server.latency.events();
  const auto found = events.find(std::string(event));
  return found == events.end() ? nullptr : &found->second;
}

void latency_history_command(Context& ctx) {
  const LatencyMonitor::Series* series = find_series(ctx, ctx.arg(2));
  if (!series) return ctx.reply.array(0);
  ctx.reply.array(series->samples.size());
  for (const LatencyMonitor::Sample& sample : series->samples) {
    ctx.reply.array(2);
    ctx.reply.integer(sample.time);
    ctx.reply.integer(sample.ms);
  }
}

void latency_reset_command(Context& ctx) {
  size_t forgotten = 0;
  if (ctx.args.size() == 2) forgotten = ctx.server.latency.reset("");
  for (const std::string_view event : ctx.args.subspan(2))
    if (!event.empty()) forgotten += ctx.server.latency.reset(std::string(event));
  ctx.reply.integer(static_cast<int64_t>(forgotten));
}

/// "5s", "3m", "2h", "1d".
std::string age(int64_t seconds) {
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d", seconds / 86400);
}

/// A column for every sample: its height in rows, each told in three steps, and its age below, read downwards.
std::string draw(const std::deque<LatencyMonitor::Sample>& samples, uint32_t low, uint32_t high, int64_t now) {
  constexpr size_t kRows = 4, kSteps = 3;
  std::vector<std::string> lines(kRows, std::string(samples.size(), ' '));
  for (size_t column = 0; column < samples.size(); ++column) {
    const double share = high > low ? static_cast<double>(samples[column].ms - low) / (high - low) : 0;
    const auto level = static_cast<size_t>(std::lround(share * (kRows * kSteps - 1)));
    const size_t top = kRows - 1 - level / kSteps;
    lines[top][column] = "_o#"[level % kSteps];
    for (size_t row = top + 1; row < kRows; ++row) lines[row][column] = '|';
    const std::string label = age(now - samples[column].time);
    if (lines.size() < kRows + 1 + label.size())
      lines.resize(kRows + 1 + label.size(), std::string(samples.size(), ' '));
    for (size_t i = 0; i < label.size(); ++i) lines[kRows + 1 + i][column] = label[i];
  }
  std::string picture;
  for (const std::string& line : lines) picture += line + "\n";
  return picture;
}

void latency_graph_command(Context& ctx) {
  const LatencyMonitor::Series* series = find_series(ctx, ctx.arg(2));
  if (!series) return ctx.reply.error(fmt::format("ERR No samples available for event '{}'", ctx.arg(2)));
  const auto by_ms = [](const LatencyMonitor::Sample& a, const LatencyMonitor::Sample& b) { return a.ms < b.ms; };
  const auto [low, high] = std::minmax_element(series->samples.begin(), series->samples.end(), by_ms);
  ctx.reply.verbatim(fmt::format("{} - high {} ms, low {} ms (all time high {} ms)\n{:-<80}\n{}", ctx.arg(2), high->ms,
                                 low->ms, series->max, "",
                                 draw(series->samples, low->ms, high->ms, ctx.now.wall_us / 1'000'000)));
}

void latency_doctor_command(Context& ctx) {
  const auto& events = ctx.server.latency.events();
  if (events.empty())
    return ctx.reply.verbatim(
        ctx.server.config.latency_monitor_threshold > 0
            ? "No latency spike was seen since the start or the last LATENCY RESET.\n"
            : "Latency monitoring is off. \"CONFIG SET latency-monitor-threshold <milliseconds>\" turns it on.\n");
  std::string report = "These latency spikes were seen:\n\n";
  for (const auto& [event, series] : events) {
    double sum = 0, deviation = 0;
    for (const auto& sample : series.samples) sum += sample.ms;
    const auto count = static_cast<double>(series.samples.size());
    for (const auto& sample : series.samples) deviation += std::abs(sample.ms - sum / count);
    const auto seconds = static_cast<double>(series.samples.back().time - series.samples.front().time);
    report += fmt::format(
        "- {}: {} spikes (average {:.0f} ms, mean deviation {:.0f} ms, one in {:.2f} s). The worst took {} ms.\n",
        event, series.samples.size(), sum / count, deviation / count, seconds / count, series.max);
  }
  report += "\n";
  const int64_t threshold_us = ctx.server.config.latency_monitor_threshold * 1000;
  const auto& settings = ctx.server.config.database;
  if (std::any_of(settings.begin(), settings.end(), [&](const DatabaseConfig& database) {
        return database.slowlog_log_slower_than < 0 || database.slowlog_log_slower_than > threshold_us;
      }))
    report += fmt::format(
        "- The slow log does not hold commands as fast as these. \"CONFIG SET slowlog-log-slower-than {}\" would show "
        "them.\n",
        threshold_us);
  report += "- SLOWLOG GET shows which commands took long.\n";
  ctx.reply.verbatim(report);
}

// --- LATENCY HISTOGRAM -----------------------------------------------------------------------------------------------

void reply_histogram(Context& ctx, const CommandEntry& command, size_t& replied) {
  if (!command.stats.histogram) return;
  ++replied;
  ctx.reply.bulk(command.full_name);
  ctx.reply.map(2);
  ctx.reply.bulk("calls");
  ctx.reply.integer(static_cast<int64_t>(command.stats.histogram->total()));
  ctx.reply.bulk("histogram_usec");
  const protocol::Reply::Open open = ctx.reply.begin();
  size_t limits = 0;
  uint64_t before = 0;
  command.stats.histogram->for_each_power([&](uint64_t limit_ns, uint64_t count) {
    if (count == before) return;
    before = count;
    ctx.reply.integer(static_cast<int64_t>(limit_ns / 1000));
    ctx.reply.integer(static_cast<int64_t>(count));
    ++limits;
  });
  ctx.reply.end_map(open, limits);
}

void latency_histogram_command(Context& ctx) {
  const protocol::Reply::Open open = ctx.reply.begin();
  size_t replied = 0;
  const auto add = [&](const CommandEntry& command) {
    reply_histogram(ctx, command, replied);
    for (const auto& sub : command.subcommands) reply_histogram(ctx, *sub, replied);
  };
  if (ctx.args.size() == 2) {
    for (const auto& command : ctx.server.commands.all()) add(*command);
  }
  for (const std::string_view name : ctx.args.subspan(2))
    if (const CommandEntry* command = ctx.server.commands.find_full(name)) add(*command);
  ctx.reply.end_map(open, replied);
}

void latency_help_command(Context& ctx) {
  reply_help(ctx,
             {"DOCTOR", "    Judge the spikes in words.", "GRAPH <event>", "    Draw the spikes of <event> over time.",
              "HISTORY <event>", "    Give the spikes of <event>: time in seconds, duration in milliseconds.", "LATEST",
              "    Give the latest spike of every event.", "RESET [<event> ...]",
              "    Forget the spikes of events; of all, if none is named.", "HISTOGRAM [COMMAND ...]",
              "    Give how the durations of commands are spread; of all, if none is named."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_latency_subcommands[] = {
    {.name = "graph", .arity = 3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.8.13", .complexity = "O(1)",
     .summary = "Draws how long an event took over time.",
     .syntax = "event",
     .handler = latency_graph_command, .tips = tips::kNondeterministicAllNodes},
    {.name = "doctor", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.8.13", .complexity = "O(1)",
     .summary = "Judges the spikes in words.",
     .handler = latency_doctor_command, .tips = tips::kNondeterministicAllNodes},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "server", .since = "2.8.13", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = latency_help_command},
    {.name = "latest", .arity = 2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.8.13", .complexity = "O(1)",
     .summary = "Shows the latest spike of every event.",
     .handler = latency_latest_command, .tips = tips::kNondeterministicAllNodes},
    {.name = "reset", .arity = -2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.8.13", .complexity = "O(1)",
     .summary = "Forgets the spikes of events.",
     .syntax = "[event [event ...]]",
     .handler = latency_reset_command, .tips = tips::kAllNodesSucceed},
    {.name = "history", .arity = 3, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "2.8.13", .complexity = "O(1)",
     .summary = "Shows the spikes of an event.",
     .syntax = "event",
     .handler = latency_history_command, .tips = tips::kNondeterministicAllNodes},
    {.name = "histogram", .arity = -2, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Shows how the durations of commands are spread.",
     .syntax = "[command [command ...]]",
     .handler = latency_histogram_command, .tips = tips::kNondeterministicAllNodes},
};
constexpr Command k_slowlog_subcommands[] = {
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "server", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = slowlog_help_command},
    {.name = "get", .arity = -2, .flags = kAdmin | kLoading | kStale,
     .group = "server", .since = "2.2.12", .complexity = "O(N)",
     .summary = "Gives the latest entries of the slow log.",
     .syntax = "[count]",
     .handler = slowlog_get_command, .tips = tips::kAllNodesNondeterministic},
    {.name = "reset", .arity = 2, .flags = kAdmin | kLoading | kStale | kEveryDatabase,
     .group = "server", .since = "2.2.12", .complexity = "O(N)",
     .summary = "Forgets the entries of the slow log.",
     .handler = slowlog_reset_command, .tips = tips::kAllNodesSucceed},
    {.name = "len", .arity = 2, .flags = kAdmin | kLoading | kStale,
     .group = "server", .since = "2.2.12", .complexity = "O(1)",
     .summary = "Counts the entries of the slow log.",
     .handler = slowlog_len_command, .tips = tips::kAllNodesSum},
};

constexpr Command kCommands[] = {
    {.name = "latency", .arity = -2,
     .group = "server", .since = "2.8.13", .complexity = "Depends on the subcommand",
     .summary = "Tells of events that took long.",
     .subcommands = k_latency_subcommands},
    {.name = "monitor", .arity = 1, .flags = kAdmin | kNoScript | kLoading | kStale,
     .group = "server", .since = "1.0.0",
     .summary = "Shows every command that the server executes, as it comes.",
     .handler = monitor_command},
    {.name = "slowlog", .arity = -2,
     .group = "server", .since = "2.2.12", .complexity = "Depends on the subcommand",
     .summary = "Shows commands that took long.",
     .subcommands = k_slowlog_subcommands},
};

}  // namespace

std::span<const Command> diagnostics_commands() { return kCommands; }

}  // namespace quartet::server
