#include "server/command_presets.h"
#include "server/commands/sorted_sets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <memory_resource>
#include <vector>

#include "base/limits.h"
#include "base/numbers.h"
#include "server/arguments.h"
#include "server/commands/argument_work.h"
#include "server/commands/families.h"
#include "server/commands/scan_options.h"
#include "server/server.h"

namespace quartet::server {

using storage::Entry;
using storage::ScoreChange;
using storage::ScoredMember;
using storage::ScoreOptions;
using storage::ScoreResult;
using storage::SortedSetValue;
using storage::Type;

void store_sorted_set(Context& ctx, std::string_view key, std::span<const ScoredMember> members,
                      std::string_view event) {
  Entry* old = ctx.find_replace(key);
  if (members.empty()) {
    if (old) ctx.erase(old);
    return ctx.reply.integer(0);
  }
  // The members may lie in the old value, and with it they are gone.
  const auto count = static_cast<int64_t>(members.size());
  SortedSetValue::assign(ctx.db(), old, key, members, ctx.pauses);
  if (old) ctx.written_anew(key);
  ctx.changed(key, EventClass::SortedSet, event);
  ctx.reply.integer(count);
}

namespace {

// --- Adding ----------------------------------------------------------------------------------------------------------

/// The sorted set of a key to add to, made where there is none.
SortedSetValue open_or_create(Context& ctx, std::string_view key, Entry* entry) {
  return entry ? SortedSetValue(ctx.db(), entry) : SortedSetValue::create(ctx.db(), key);
}

/// ZINCRBY and ZADD with INCR: changes one score and replies it, or null where the options do not want it.
void increment(Context& ctx, std::string_view member, double by, ScoreOptions options) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::SortedSet, entry)) return;
  if (!entry && options.only_existing) return ctx.reply.null();
  options.increment = true;
  const ScoreResult result = open_or_create(ctx, key, entry).set(member, by, options);
  if (result.change == ScoreChange::NotANumber)
    return ctx.reply.error("ERR resulting score is not a number (NaN)");
  if (result.change == ScoreChange::Refused) return ctx.reply.null();
  if (result.change != ScoreChange::Unchanged) {
    ctx.changed(key, EventClass::SortedSet, "zincr");
    char score[kNumberChars];
    ctx.effect({"ZADD", key, {score, format_double(result.score, score)}, member});
  }
  ctx.reply.number(result.score);
}

/// ZADD without INCR. REQUIRES: `scores` are those of `pairs`, which are score, member, score, member, ...
void add(Context& ctx, Args pairs, std::span<const double> scores, ScoreOptions options, bool count_changed) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::SortedSet, entry)) return;
  if (!entry && options.only_existing) return ctx.reply.integer(0);
  SortedSetValue set = open_or_create(ctx, key, entry);
  int64_t added = 0, updated = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    ctx.breathe(3 + work_of_bytes(pairs[2 * i + 1].size()));
    const ScoreChange change = set.set(pairs[2 * i + 1], scores[i], options).change;
    added += change == ScoreChange::Added;
    updated += change == ScoreChange::Updated;
  }
  if (added || updated) ctx.changed(key, EventClass::SortedSet, "zadd", static_cast<size_t>(added + updated));
  ctx.reply.integer(count_changed ? added + updated : added);
}

struct AddOptions : ScoreOptions {
  bool count_changed = false;
  bool incremented = false;

  /// Reads one option; false where the next argument is none.
  bool read(Arguments& in) {
    if (in.option("NX")) only_new = true;
    else if (in.option("XX")) only_existing = true;
    else if (in.option("GT")) only_greater = true;
    else if (in.option("LT")) only_less = true;
    else if (in.option("CH")) count_changed = true;
    else if (in.option("INCR")) incremented = true;
    else return false;
    return true;
  }
};

void zadd_command(Context& ctx) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  Arguments in(ctx, 2);
  AddOptions options;
  while (options.read(in)) {
  }
  const Args pairs = in.rest();
  if (pairs.empty() || pairs.size() % 2 != 0) in.fail(errors::kSyntax);
  if (options.only_new && options.only_existing)
    in.fail("ERR XX and NX options at the same time are not compatible");
  if (options.only_new + options.only_greater + options.only_less > 1)
    in.fail("ERR GT, LT, and/or NX options at the same time are not compatible");
  if (options.incremented && pairs.size() > 2) in.fail("ERR INCR option supports a single increment-element pair");

  // All scores are known to be good before the first is used. Those of a short command need no allocation.
  std::array<std::byte, 256> room;
  std::pmr::monotonic_buffer_resource memory(room.data(), room.size());
  std::pmr::vector<double> scores(&memory);
  scores.reserve(pairs.size() / 2);
  for (size_t i = 0; i < pairs.size() && !in.failed(); i += 2) {
    ctx.breathe();
    const auto score = parse_double(pairs[i]);
    if (!score) in.fail(errors::kNotFloat);
    scores.push_back(score.value_or(0));
  }
  if (!in.ok()) return;
  if (options.incremented) return increment(ctx, pairs[1], scores[0], options);
  add(ctx, pairs, scores, options, options.count_changed);
}

void zincrby_command(Context& ctx) {
  Arguments in(ctx, 2);
  // This is ZADD INCR in short, so a word of ZADD in the place of the number is taken for an option, and a pair is
  // missing.
  if (AddOptions().read(in)) in.fail(errors::kSyntax);
  const double by = in.number();
  if (in.ok()) increment(ctx, ctx.arg(3), by, {});
}

void zrem_command(Context& ctx) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::SortedSet, entry)) return;
  if (!entry) return ctx.reply.integer(0);
  SortedSetValue set(ctx.db(), entry);
  int64_t removed = 0;
  for (const std::string_view member : ctx.args.subspan(2)) {
    ctx.breathe(3 + work_of_bytes(member.size()));
    removed += set.erase(member);
  }
  if (removed) {
    ctx.changed(key, EventClass::SortedSet, "zrem", static_cast<size_t>(removed));
    ctx.erase_if_empty(set.entry);
  }
  ctx.reply.integer(removed);
}

// --- Looking at members ----------------------------------------------------------------------------------------------

void zcard_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) return;
  ctx.reply.integer(entry ? static_cast<int64_t>(SortedSetValue(ctx.db(), entry).size()) : 0);
}

void reply_score(Context& ctx, Entry* entry, std::string_view member) {
  const auto score = entry ? SortedSetValue(ctx.db(), entry).score(member) : std::nullopt;
  score ? ctx.reply.number(*score) : ctx.reply.null();
}

void zscore_command(Context& ctx) {
  Entry* entry;
  if (ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) reply_score(ctx, entry, ctx.arg(2));
}

void zmscore_command(Context& ctx) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) return;
  ctx.reply.array(ctx.args.size() - 2);
  for (const std::string_view member : ctx.args.subspan(2)) {
    ctx.breathe_for(member);
    reply_score(ctx, entry, member);
  }
}

void reply_rank(Context& ctx, bool reverse) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) return;
  if (!entry) return ctx.reply.null();
  const SortedSetValue set(ctx.db(), entry);
  const auto rank = reverse ? set.reverse_rank(ctx.arg(2)) : set.rank(ctx.arg(2));
  rank ? ctx.reply.integer(static_cast<int64_t>(*rank)) : ctx.reply.null();
}

void zrank_command(Context& ctx) { reply_rank(ctx, false); }
void zrevrank_command(Context& ctx) { reply_rank(ctx, true); }

void zrandmember_command(Context& ctx) {
  Arguments in(ctx, 2);
  const bool counted = in.more();
  const int64_t count = counted ? in.integer() : 1;
  if (count == INT64_MIN)
    in.fail("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
  const bool with_scores = in.option("WITHSCORES");
  if (in.more()) in.fail(errors::kSyntax);
  if (count < -limits::kRandomElements) in.fail(errors::kOutOfRange);
  if (with_scores && count > INT64_MAX / 2) in.fail(errors::kOutOfRange);
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) return;
  if (!entry) return counted ? ctx.reply.array(0) : ctx.reply.null();
  const SortedSetValue set(ctx.db(), entry);
  if (!counted) return set.draw(1, ctx.server.random, [&](std::string_view member, double) { ctx.reply.bulk(member); });

  const size_t wanted = static_cast<size_t>(count < 0 ? -count : count);
  const size_t shown = count < 0 ? wanted : std::min(wanted, set.size());
  // A large part of a set is drawn by going through all of it.
  if (ctx.takes_long(count < 0 ? wanted : std::min(shown * 4, set.size()))) return;
  ScoredReply reply(ctx, with_scores, shown);
  const auto reply_member = [&](std::string_view member, double score) {
    reply.add(member, score);
    return true;
  };
  if (count < 0) {
    set.draw(shown, ctx.server.random, reply_member);
  } else if (shown == set.size()) {
    // Nothing is left to chance; Redis gives the whole from the highest down.
    set.visit(set.slice(0, shown, true), reply_member);
  } else {
    set.sample(shown, ctx.server.random, reply_member, ctx.pauses);
  }
}

/// ZSCAN shows the integers among the scores of a small sorted set in plain form up to 2^62, where other replies turn
/// to an exponent.
size_t format_packed_score(double score, char* out) {
  constexpr double kMost = 4611686018427387904.0;
  const bool plain = std::fabs(score) <= kMost && score == std::trunc(score);
  return plain ? format_int(static_cast<int64_t>(score), out) : format_double(score, out);
}

void zscan_command(Context& ctx) {
  ScanOptions options;
  if (!options.read_cursor(ctx, 2)) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) return;
  if (!entry) return ScanReply(ctx).send(0);
  if (!options.read(ctx, 3)) return;
  const SortedSetValue set(ctx.db(), entry);
  if (ctx.takes_long(std::min(options.count, set.size()))) return;
  ScanReply found(ctx);
  const bool packed = entry->encoding() == storage::Encoding::Packed;
  const uint64_t next =
      set.scan(options.cursor, options.count, [&](std::string_view member, double score) {
        ctx.breathe_for(member);
        if (!options.matches(ctx, member)) return;
        char text[kNumberChars];
        found.add(member);
        found.add({text, packed ? format_packed_score(score, text) : format_double(score, text)});
      });
  found.send(next);
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "bzmpop", .arity = -5, .flags = kWrite | kBlocking,
     .categories = kSortedSet, .group = "sorted-set", .since = "7.0.0", .complexity = "O(K)",
     .summary = "Pops members from the first sorted set that has some, or waits for one.",
     .syntax = "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
     .handler = bzmpop_command, .keys = keys::kPopCountedAtSecond},
    {.name = "bzpopmax", .arity = -3, .flags = kWrite | kNoScript | kBlocking | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "5.0.0", .complexity = "O(log(N))",
     .summary = "Pops the highest member of the first sorted set that has one, or waits for one.",
     .syntax = "key [key ...] timeout",
     .handler = bzpopmax_command, .keys = keys::kPopAllButLast},
    {.name = "bzpopmin", .arity = -3, .flags = kWrite | kNoScript | kBlocking | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "5.0.0", .complexity = "O(log(N))",
     .summary = "Pops the lowest member of the first sorted set that has one, or waits for one.",
     .syntax = "key [key ...] timeout",
     .handler = bzpopmin_command, .keys = keys::kPopAllButLast},
    {.name = "zadd", .arity = -4, .flags = kWrite | kDenyOom | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(log(N))",
     .summary = "Adds members to a sorted set, or changes their scores.",
     .syntax = "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
     .handler = zadd_command, .keys = keys::kUpdate, .element = -1},
    {.name = "zcard", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(1)",
     .summary = "Counts the members of a sorted set.",
     .syntax = "key",
     .handler = zcard_command, .keys = keys::kInspect},
    {.name = "zcount", .arity = 4, .flags = kReadOnly | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.0.0", .complexity = "O(log(N))",
     .summary = "Counts the members in a range of scores.",
     .syntax = "key min max",
     .handler = zcount_command, .keys = keys::kRead},
    {.name = "zdiff", .arity = -3, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "6.2.0", .complexity = "O(L + (N-K)log(N))",
     .summary = "Gives the members of a sorted set that are in none of the others.",
     .syntax = "numkeys key [key ...] [WITHSCORES]",
     .handler = zdiff_command, .keys = keys::kReadCounted},
    {.name = "zdiffstore", .arity = -4, .flags = kWrite | kDenyOom,
     .categories = kSortedSet, .group = "sorted-set", .since = "6.2.0", .complexity = "O(L + (N-K)log(N))",
     .summary = "Stores the members of a sorted set that are in none of the others.",
     .syntax = "destination numkeys key [key ...]",
     .handler = zdiffstore_command, .keys = keys::kOverwriteReadCounted},
    {.name = "zincrby", .arity = 4, .flags = kWrite | kDenyOom | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(log(N))",
     .summary = "Adds to the score of a member.",
     .syntax = "key increment member",
     .handler = zincrby_command, .keys = keys::kModify, .element = -1},
    {.name = "zinter", .arity = -3, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "6.2.0", .complexity = "O(N*K)",
     .summary = "Gives the members that are in all of the sorted sets.",
     .syntax = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]",
     .handler = zinter_command, .keys = keys::kReadCounted},
    {.name = "zintercard", .arity = -3, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "7.0.0", .complexity = "O(N*K)",
     .summary = "Counts the members that are in all of the sorted sets.",
     .syntax = "numkeys key [key ...] [LIMIT limit]",
     .handler = zintercard_command, .keys = keys::kReadCounted},
    {.name = "zinterstore", .arity = -4, .flags = kWrite | kDenyOom,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.0.0", .complexity = "O(N*K)",
     .summary = "Stores the members that are in all of the sorted sets.",
     .syntax = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]",
     .handler = zinterstore_command, .keys = keys::kOverwriteReadCounted},
    {.name = "zlexcount", .arity = 4, .flags = kReadOnly | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.8.9", .complexity = "O(log(N))",
     .summary = "Counts the members in a range of members.",
     .syntax = "key min max",
     .handler = zlexcount_command, .keys = keys::kRead},
    {.name = "zmpop", .arity = -4, .flags = kWrite,
     .categories = kSortedSet, .group = "sorted-set", .since = "7.0.0", .complexity = "O(K)",
     .summary = "Pops members from the first sorted set that has some.",
     .syntax = "numkeys key [key ...] <MIN | MAX> [COUNT count]",
     .handler = zmpop_command, .keys = keys::kPopCounted},
    {.name = "zmscore", .arity = -3, .flags = kReadOnly | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "6.2.0", .complexity = "O(N)",
     .summary = "Gives the scores of several members.",
     .syntax = "key member [member ...]",
     .handler = zmscore_command, .keys = keys::kRead, .element = 2},
    {.name = "zpopmax", .arity = -2, .flags = kWrite | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "5.0.0", .complexity = "O(log(N)*M)",
     .summary = "Pops the members with the highest scores.",
     .syntax = "key [count]",
     .handler = zpopmax_command, .keys = keys::kPop},
    {.name = "zpopmin", .arity = -2, .flags = kWrite | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "5.0.0", .complexity = "O(log(N)*M)",
     .summary = "Pops the members with the lowest scores.",
     .syntax = "key [count]",
     .handler = zpopmin_command, .keys = keys::kPop},
    {.name = "zrandmember", .arity = -2, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "6.2.0", .complexity = "O(N)",
     .summary = "Gives members chosen at random.",
     .syntax = "key [count [WITHSCORES]]",
     .handler = zrandmember_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "zrange", .arity = -4, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(log(N)+M)",
     .summary = "Gives a range of members by rank, score or member.",
     .syntax = "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
     .handler = zrange_command, .keys = keys::kRead},
    {.name = "zrangebylex", .arity = -4, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.8.9", .complexity = "O(log(N)+M)",
     .summary = "Gives the members in a range of members.",
     .syntax = "key min max [LIMIT offset count]",
     .handler = zrangebylex_command, .keys = keys::kRead},
    {.name = "zrangebyscore", .arity = -4, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.0.5", .complexity = "O(log(N)+M)",
     .summary = "Gives the members in a range of scores.",
     .syntax = "key min max [WITHSCORES] [LIMIT offset count]",
     .handler = zrangebyscore_command, .keys = keys::kRead},
    {.name = "zrangestore", .arity = -5, .flags = kWrite | kDenyOom,
     .categories = kSortedSet, .group = "sorted-set", .since = "6.2.0", .complexity = "O(log(N)+M)",
     .summary = "Stores a range of members by rank, score or member.",
     .syntax = "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
     .handler = zrangestore_command, .keys = keys::kOverwriteRead},
    {.name = "zrank", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.0.0", .complexity = "O(log(N))",
     .summary = "Gives the rank of a member, counted from the lowest.",
     .syntax = "key member",
     .handler = zrank_command, .keys = keys::kRead, .element = 2},
    {.name = "zrem", .arity = -3, .flags = kWrite | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(M*log(N))",
     .summary = "Removes members of a sorted set.",
     .syntax = "key member [member ...]",
     .handler = zrem_command, .keys = keys::kDelete, .element = 2},
    {.name = "zremrangebylex", .arity = 4, .flags = kWrite,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.8.9", .complexity = "O(log(N)+M)",
     .summary = "Removes the members in a range of members.",
     .syntax = "key min max",
     .handler = zremrangebylex_command, .keys = keys::kDelete},
    {.name = "zremrangebyrank", .arity = 4, .flags = kWrite,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.0.0", .complexity = "O(log(N)+M)",
     .summary = "Removes the members in a range of ranks.",
     .syntax = "key start stop",
     .handler = zremrangebyrank_command, .keys = keys::kDelete},
    {.name = "zremrangebyscore", .arity = 4, .flags = kWrite,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(log(N)+M)",
     .summary = "Removes the members in a range of scores.",
     .syntax = "key min max",
     .handler = zremrangebyscore_command, .keys = keys::kDelete},
    {.name = "zrevrange", .arity = -4, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(log(N)+M)",
     .summary = "Gives a range of members by rank, from the highest down.",
     .syntax = "key start stop [WITHSCORES]",
     .handler = zrevrange_command, .keys = keys::kRead},
    {.name = "zrevrangebylex", .arity = -4, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.8.9", .complexity = "O(log(N)+M)",
     .summary = "Gives the members in a range of members, from the highest down.",
     .syntax = "key max min [LIMIT offset count]",
     .handler = zrevrangebylex_command, .keys = keys::kRead},
    {.name = "zrevrangebyscore", .arity = -4, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.2.0", .complexity = "O(log(N)+M)",
     .summary = "Gives the members in a range of scores, from the highest down.",
     .syntax = "key max min [WITHSCORES] [LIMIT offset count]",
     .handler = zrevrangebyscore_command, .keys = keys::kRead},
    {.name = "zrevrank", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.0.0", .complexity = "O(log(N))",
     .summary = "Gives the rank of a member, counted from the highest.",
     .syntax = "key member",
     .handler = zrevrank_command, .keys = keys::kRead, .element = 2},
    {.name = "zscan", .arity = -3, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.8.0", .complexity = "O(1)",
     .summary = "Goes through the members of a sorted set, a few at a time.",
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .handler = zscan_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "zscore", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kSortedSet, .group = "sorted-set", .since = "1.2.0", .complexity = "O(1)",
     .summary = "Gives the score of a member.",
     .syntax = "key member",
     .handler = zscore_command, .keys = keys::kRead, .element = 2},
    {.name = "zunion", .arity = -3, .flags = kReadOnly,
     .categories = kSortedSet, .group = "sorted-set", .since = "6.2.0", .complexity = "O(N)",
     .summary = "Gives the members that are in any of the sorted sets.",
     .syntax = "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] [WITHSCORES]",
     .handler = zunion_command, .keys = keys::kReadCounted},
    {.name = "zunionstore", .arity = -4, .flags = kWrite | kDenyOom,
     .categories = kSortedSet, .group = "sorted-set", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Stores the members that are in any of the sorted sets.",
     .syntax = "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX]",
     .handler = zunionstore_command, .keys = keys::kOverwriteReadCounted},
};

}  // namespace

std::span<const Command> sorted_set_commands() { return kCommands; }

}  // namespace quartet::server
