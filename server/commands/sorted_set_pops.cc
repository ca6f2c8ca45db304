#include <algorithm>

#include "server/arguments.h"
#include "server/commands/pop_first.h"
#include "server/commands/sorted_sets.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::SortedSetValue;
using storage::Type;

enum class End { Lowest, Highest };

constexpr std::string_view pop_event(End end) { return end == End::Lowest ? "zpopmin" : "zpopmax"; }

size_t work_of(const SortedSetValue& set, End end, size_t count, size_t enough) {
  return set.work_of(set.slice(0, count, end == End::Highest), enough);
}

/// Pops up to `count` members after calling `visit(member, score)` for each. REQUIRES: `entry` is a sorted set, count >
/// 0.
template <class Visit>
void pop_members(Context& ctx, std::string_view key, Entry* entry, End end, size_t count, Visit visit) {
  SortedSetValue set(ctx.db(), entry);
  const size_t popped = std::min(count, set.size());
  // A little at a time: what is popped is popped for good before the next pause.
  constexpr size_t kAtOnce = 64;
  for (size_t left = popped; left > 0; left -= std::min(left, kAtOnce)) {
    ctx.breathe(std::min(left, kAtOnce));
    set.pop(end == End::Highest, std::min(left, kAtOnce), visit, ctx.pauses);
  }
  ctx.changed(key, EventClass::SortedSet, pop_event(end), popped);
  ctx.erase_if_empty(set.entry);
}

// --- ZPOPMIN and ZPOPMAX ---------------------------------------------------------------------------------------------

void pop(Context& ctx, End end) {
  if (ctx.args.size() > 3) return ctx.reply.error(errors::kSyntax);
  const bool counted = ctx.args.size() == 3;
  Arguments in(ctx, 2);
  const int64_t count = counted ? in.integer_in(0, INT64_MAX, errors::kNotPositive) : 1;
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(ctx.arg(1), Type::SortedSet, entry)) return;
  if (!entry || count == 0) return ctx.reply.array(0);

  const SortedSetValue set(ctx.db(), entry);
  const size_t popped = std::min(static_cast<size_t>(count), set.size());
  if (popped > 1 && ctx.takes_long(work_of(set, end, popped, ctx.long_work))) return;
  // Without a count RESP3, too, has the member and its score in a flat array.
  const bool pairs = counted && ctx.reply.version() == 3;
  ctx.reply.array(pairs ? popped : 2 * popped);
  pop_members(ctx, ctx.arg(1), entry, end, popped, [&](std::string_view member, double score) {
    if (pairs) ctx.reply.array(2);
    ctx.reply_element(member);
    ctx.reply.number(score);
  });
}

// --- From one of several sorted sets ---------------------------------------------------------------------------------

struct SortedSetPops {
  using Value = SortedSetValue;
  using End = server::End;
  static constexpr Type kType = Type::SortedSet;

  static End read_end(Arguments& in) {
    if (in.option("MAX")) return End::Highest;
    if (!in.option("MIN")) in.fail(errors::kSyntax);
    return End::Lowest;
  }
  static std::string_view command(End end) { return end == End::Lowest ? "ZPOPMIN" : "ZPOPMAX"; }
  static size_t work_of(const SortedSetValue& set, End end, size_t count, size_t enough) {
    return server::work_of(set, end, count, enough);
  }
  static void pop_one(Context& ctx, std::string_view key, Entry* entry, End end) {
    ctx.reply.array(3);
    ctx.reply.bulk(key);
    pop_members(ctx, key, entry, end, 1, [&](std::string_view member, double score) {
      ctx.reply.bulk(member);
      ctx.reply.number(score);
    });
  }
  static void pop_many(Context& ctx, std::string_view key, Entry* entry, End end, size_t count) {
    ctx.reply.array(count);
    pop_members(ctx, key, entry, end, count, [&](std::string_view member, double score) {
      ctx.reply.array(2);
      ctx.reply_element(member);
      ctx.reply.number(score);
    });
  }
};

}  // namespace

void zpopmin_command(Context& ctx) { pop(ctx, End::Lowest); }
void zpopmax_command(Context& ctx) { pop(ctx, End::Highest); }
void bzpopmin_command(Context& ctx) { pop_or_block<SortedSetPops, End::Lowest>(ctx); }
void bzpopmax_command(Context& ctx) { pop_or_block<SortedSetPops, End::Highest>(ctx); }
void zmpop_command(Context& ctx) { multi_pop<SortedSetPops>(ctx); }
void bzmpop_command(Context& ctx) { multi_pop_or_block<SortedSetPops>(ctx); }

}  // namespace quartet::server
