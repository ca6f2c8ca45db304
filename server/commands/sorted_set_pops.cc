#include <algorithm>

#include "base/numbers.h"
#include "server/arguments.h"
#include "server/commands/sorted_sets.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::SortedSetValue;
using storage::Type;

enum class End { Lowest, Highest };

constexpr std::string_view pop_event(End end) { return end == End::Lowest ? "zpopmin" : "zpopmax"; }
constexpr std::string_view pop_name(End end) { return end == End::Lowest ? "ZPOPMIN" : "ZPOPMAX"; }

/// Pops up to `count` members after calling `visit(member, score)` for each. REQUIRES: `entry` is a sorted set, count > 0.
template <class Visit>
void pop_members(Context& ctx, std::string_view key, Entry* entry, End end, size_t count, Visit visit) {
  SortedSetValue set(ctx.db(), entry);
  set.pop(end == End::Highest, count, visit);
  ctx.changed(key, EventClass::SortedSet, pop_event(end));
  ctx.erase_if_empty(set.entry);
}

// --- ZPOPMIN and ZPOPMAX ----------------------------------------------------------------------------------------------

void pop(Context& ctx, End end) {
  if (ctx.args.size() > 3) return ctx.reply.error(errors::kSyntax);
  const bool counted = ctx.args.size() == 3;
  Arguments in(ctx, 2);
  const int64_t count = counted ? in.integer_in(0, INT64_MAX, errors::kNotPositive) : 1;
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(ctx.arg(1), Type::SortedSet, entry)) return;
  if (!entry || count == 0) return ctx.reply.array(0);

  const size_t popped = std::min(static_cast<size_t>(count), SortedSetValue(ctx.db(), entry).size());
  // Without a count RESP3, too, has the member and its score in a flat array.
  const bool pairs = counted && ctx.reply.version() == 3;
  ctx.reply.array(pairs ? popped : 2 * popped);
  pop_members(ctx, ctx.arg(1), entry, end, popped, [&](std::string_view member, double score) {
    if (pairs) ctx.reply.array(2);
    ctx.reply.bulk(member);
    ctx.reply.number(score);
  });
}

// --- BZPOPMIN and BZPOPMAX --------------------------------------------------------------------------------------------

/// Pops one member as [key, member, score]. REQUIRES: `entry` is a sorted set.
void pop_with_key(Context& ctx, std::string_view key, Entry* entry, End end) {
  ctx.reply.array(3);
  ctx.reply.bulk(key);
  pop_members(ctx, key, entry, end, 1, [&](std::string_view member, double score) {
    ctx.reply.bulk(member);
    ctx.reply.number(score);
  });
  ctx.effect({pop_name(end), key});
}

template <End end>
bool serve_pop(Context& ctx, std::string_view key) {
  Entry* entry = ctx.find_write(key);
  if (!entry || entry->type() != Type::SortedSet) return false;
  pop_with_key(ctx, key, entry, end);
  return true;
}

template <End end>
void pop_or_block(Context& ctx) {
  const Args keys = ctx.args.subspan(1, ctx.args.size() - 2);
  Arguments in(ctx, ctx.args.size() - 1);
  const int64_t timeout_ms = in.timeout_seconds();
  if (!in.ok()) return;
  for (const std::string_view key : keys) {
    Entry* entry;
    if (!ctx.find_write(key, Type::SortedSet, entry)) return;
    if (entry) return pop_with_key(ctx, key, entry, end);
  }
  ctx.block(keys, timeout_ms, serve_pop<end>);
}

// --- ZMPOP and BZMPOP -------------------------------------------------------------------------------------------------

/// The arguments numkeys key ... MIN|MAX [COUNT count].
struct MultiPop {
  Args keys;
  End end = End::Lowest;
  size_t count = 1;

  void read(Arguments& in) {
    constexpr std::string_view kKeys = "ERR numkeys should be greater than 0";
    keys = in.take(static_cast<size_t>(in.integer_in(1, INT64_MAX, kKeys)));
    if (in.option("MAX")) {
      end = End::Highest;
    } else if (!in.option("MIN")) {
      in.fail(errors::kSyntax);
    }
    if (in.option("COUNT", 1))
      count = static_cast<size_t>(in.integer_in(1, INT64_MAX, "ERR count should be greater than 0"));
    if (in.more()) in.fail(errors::kSyntax);
  }

  void pop(Context& ctx, std::string_view key, Entry* entry) const {
    const size_t popped = std::min(count, SortedSetValue(ctx.db(), entry).size());
    ctx.reply.array(2);
    ctx.reply.bulk(key);
    ctx.reply.array(popped);
    pop_members(ctx, key, entry, end, popped, [&](std::string_view member, double score) {
      ctx.reply.array(2);
      ctx.reply.bulk(member);
      ctx.reply.number(score);
    });
    char number[kNumberChars];
    ctx.effect({pop_name(end), key, {number, format_int(static_cast<int64_t>(popped), number)}});
  }

  /// Pops from the first key that holds a sorted set; false where none does. Of another type, the error is written, and it is true.
  bool pop_first(Context& ctx) const {
    for (const std::string_view key : keys) {
      Entry* entry;
      if (!ctx.find_write(key, Type::SortedSet, entry)) return true;
      if (!entry) continue;
      pop(ctx, key, entry);
      return true;
    }
    return false;
  }
};

bool serve_multi_pop(Context& ctx, std::string_view key) {
  Entry* entry = ctx.find_write(key);
  if (!entry || entry->type() != Type::SortedSet) return false;
  Arguments in(ctx, 2);
  MultiPop request;
  request.read(in);
  request.pop(ctx, key, entry);
  return true;
}

}  // namespace

void zpopmin_command(Context& ctx) { pop(ctx, End::Lowest); }
void zpopmax_command(Context& ctx) { pop(ctx, End::Highest); }
void bzpopmin_command(Context& ctx) { pop_or_block<End::Lowest>(ctx); }
void bzpopmax_command(Context& ctx) { pop_or_block<End::Highest>(ctx); }

void zmpop_command(Context& ctx) {
  Arguments in(ctx);
  MultiPop request;
  request.read(in);
  if (in.ok() && !request.pop_first(ctx)) ctx.reply.null_array();
}

void bzmpop_command(Context& ctx) {
  // The timeout comes first but is looked at last.
  Arguments in(ctx, 2), first(ctx, 1);
  MultiPop request;
  request.read(in);
  if (!in.ok()) return;
  const int64_t timeout_ms = first.timeout_seconds();
  if (first.ok() && !request.pop_first(ctx)) ctx.block(request.keys, timeout_ms, serve_multi_pop);
}

}  // namespace quartet::server
