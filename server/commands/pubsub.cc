#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/server.h"

#include <fmt/format.h>

namespace quartet::server {

namespace {

using Kind = PubSub::Kind;

void subscribe_all(Context& ctx, Kind kind) {
  // Inside a transaction or for a client that cannot be told apart from its replies, a subscription would mix both.
  if (ctx.deny_blocking && !ctx.session.in_multi) {
    ctx.reply.error(fmt::format("ERR {} isn't allowed for a DENY BLOCKING client", to_upper(ctx.command.spec->name)));
    return;
  }
  for (size_t i = 1; i < ctx.args.size(); ++i) ctx.server.pubsub.subscribe(ctx.session, kind, ctx.arg(i));
}

void unsubscribe(Context& ctx, Kind kind) {
  if (ctx.args.size() == 1) return ctx.server.pubsub.unsubscribe_all(ctx.session, kind);
  for (size_t i = 1; i < ctx.args.size(); ++i) ctx.server.pubsub.unsubscribe(ctx.session, kind, ctx.arg(i));
}

void subscribe_command(Context& ctx) { subscribe_all(ctx, Kind::Channel); }
void psubscribe_command(Context& ctx) { subscribe_all(ctx, Kind::Pattern); }
void ssubscribe_command(Context& ctx) { subscribe_all(ctx, Kind::Shard); }
void unsubscribe_command(Context& ctx) { unsubscribe(ctx, Kind::Channel); }
void punsubscribe_command(Context& ctx) { unsubscribe(ctx, Kind::Pattern); }
void sunsubscribe_command(Context& ctx) { unsubscribe(ctx, Kind::Shard); }

void publish_to(Context& ctx, Kind kind) {
  const size_t receivers = ctx.server.pubsub.publish(kind, ctx.arg(1), ctx.arg(2));
  ctx.reply.integer(static_cast<int64_t>(receivers));
}

void publish_command(Context& ctx) { publish_to(ctx, Kind::Channel); }
void spublish_command(Context& ctx) { publish_to(ctx, Kind::Shard); }

void reply_channels(Context& ctx, Kind kind) {
  if (ctx.args.size() > 3)
    return ctx.reply.error(
        fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try PUBSUB HELP.", ctx.arg(1)));
  const auto pattern = ctx.args.size() == 3 ? std::optional(ctx.arg(2)) : std::nullopt;
  const auto names = ctx.server.pubsub.channels(kind, pattern);
  ctx.reply.array(names.size());
  for (const std::string_view name : names) ctx.reply.bulk(name);
}

void reply_subscribers(Context& ctx, Kind kind) {
  // Pairs, but no map even in RESP3.
  ctx.reply.array((ctx.args.size() - 2) * 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    ctx.reply.bulk(ctx.arg(i));
    ctx.reply.integer(static_cast<int64_t>(ctx.server.pubsub.subscribers(kind, ctx.arg(i))));
  }
}

void pubsub_channels_command(Context& ctx) { reply_channels(ctx, Kind::Channel); }
void pubsub_shardchannels_command(Context& ctx) { reply_channels(ctx, Kind::Shard); }
void pubsub_numsub_command(Context& ctx) { reply_subscribers(ctx, Kind::Channel); }
void pubsub_shardnumsub_command(Context& ctx) { reply_subscribers(ctx, Kind::Shard); }
void pubsub_numpat_command(Context& ctx) {
  ctx.reply.integer(static_cast<int64_t>(ctx.server.pubsub.channel_count(Kind::Pattern)));
}

void pubsub_help_command(Context& ctx) {
  reply_help(ctx, {"CHANNELS [<pattern>]", "    List the channels that have subscribers; those that match <pattern>.",
                   "NUMPAT", "    Count the patterns that have subscribers.", "NUMSUB [<channel> ...]",
                   "    Count the subscribers of each channel, without patterns.", "SHARDCHANNELS [<pattern>]",
                   "    List the shard channels that have subscribers.", "SHARDNUMSUB [<shardchannel> ...]",
                   "    Count the subscribers of each shard channel."});
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_pubsub_subcommands[] = {
    {.name = "numsub", .arity = -2, .flags = kPubSub | kLoading | kStale,
     .group = "pubsub", .since = "2.8.0", .complexity = "O(N)",
     .summary = "Counts the subscribers of channels.",
     .syntax = "[channel [channel ...]]",
     .handler = pubsub_numsub_command},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .group = "pubsub", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Shows the subcommands.",
     .handler = pubsub_help_command},
    {.name = "channels", .arity = -2, .flags = kPubSub | kLoading | kStale,
     .group = "pubsub", .since = "2.8.0", .complexity = "O(N)",
     .summary = "Lists the channels that have subscribers.",
     .syntax = "[pattern]",
     .handler = pubsub_channels_command},
    {.name = "numpat", .arity = 2, .flags = kPubSub | kLoading | kStale,
     .group = "pubsub", .since = "2.8.0", .complexity = "O(1)",
     .summary = "Counts the patterns that have subscribers.",
     .handler = pubsub_numpat_command},
    {.name = "shardnumsub", .arity = -2, .flags = kPubSub | kLoading | kStale,
     .group = "pubsub", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Counts the subscribers of shard channels.",
     .syntax = "[shardchannel [shardchannel ...]]",
     .handler = pubsub_shardnumsub_command},
    {.name = "shardchannels", .arity = -2, .flags = kPubSub | kLoading | kStale,
     .group = "pubsub", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Lists the shard channels that have subscribers.",
     .syntax = "[pattern]",
     .handler = pubsub_shardchannels_command},
};

constexpr Command kCommands[] = {
    {.name = "psubscribe", .arity = -2, .flags = kPubSub | kNoScript | kLoading | kStale | kRunsInSubscribed,
     .group = "pubsub", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Subscribes to all channels that match the patterns.",
     .syntax = "pattern [pattern ...]",
     .handler = psubscribe_command, .channels = {.first = 1, .all = true, .patterns = true}},
    {.name = "publish", .arity = 3, .flags = kPubSub | kLoading | kStale | kFast | kMayReplicate,
     .group = "pubsub", .since = "2.0.0", .complexity = "O(N+M)",
     .summary = "Sends a message to a channel.",
     .syntax = "channel message",
     .handler = publish_command, .channels = {.first = 1}},
    {.name = "pubsub", .arity = -2,
     .group = "pubsub", .since = "2.8.0", .complexity = "Depends on the subcommand",
     .summary = "Tells of channels and their subscribers.",
     .subcommands = k_pubsub_subcommands},
    {.name = "punsubscribe", .arity = -1, .flags = kPubSub | kNoScript | kLoading | kStale | kRunsInSubscribed,
     .group = "pubsub", .since = "2.0.0", .complexity = "O(N+M)",
     .summary = "Ends subscriptions to patterns.",
     .syntax = "[pattern [pattern ...]]",
     .handler = punsubscribe_command},
    {.name = "spublish", .arity = 3, .flags = kPubSub | kLoading | kStale | kFast | kMayReplicate,
     .group = "pubsub", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Sends a message to a shard channel.",
     .syntax = "shardchannel message",
     .handler = spublish_command, .keys = keys::kChannel, .channels = {.first = 1}},
    {.name = "ssubscribe", .arity = -2, .flags = kPubSub | kNoScript | kLoading | kStale | kRunsInSubscribed,
     .group = "pubsub", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Subscribes to shard channels.",
     .syntax = "shardchannel [shardchannel ...]",
     .handler = ssubscribe_command, .keys = keys::kChannels, .channels = {.first = 1, .all = true}},
    {.name = "subscribe", .arity = -2, .flags = kPubSub | kNoScript | kLoading | kStale | kRunsInSubscribed,
     .group = "pubsub", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Subscribes to channels.",
     .syntax = "channel [channel ...]",
     .handler = subscribe_command, .channels = {.first = 1, .all = true}},
    {.name = "sunsubscribe", .arity = -1, .flags = kPubSub | kNoScript | kLoading | kStale | kRunsInSubscribed,
     .group = "pubsub", .since = "7.0.0", .complexity = "O(N)",
     .summary = "Ends subscriptions to shard channels.",
     .syntax = "[shardchannel [shardchannel ...]]",
     .handler = sunsubscribe_command, .keys = keys::kChannels},
    {.name = "unsubscribe", .arity = -1, .flags = kPubSub | kNoScript | kLoading | kStale | kRunsInSubscribed,
     .group = "pubsub", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Ends subscriptions to channels.",
     .syntax = "[channel [channel ...]]",
     .handler = unsubscribe_command},
};

}  // namespace

std::span<const Command> pubsub_commands() { return kCommands; }

}  // namespace quartet::server
