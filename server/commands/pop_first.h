#pragma once

#include <algorithm>

#include "base/numbers.h"
#include "server/arguments.h"

/// Commands that pop from the first of several keys that holds something, at once or by waiting for it: BLPOP,
/// BZPOPMIN, LMPOP, BLMPOP and their kin. What differs between the types is told by a struct of static members:
///
///   Value, End                          the class of the value; the type of its two ends
///   kType                               what the keys hold
///   End read_end(Arguments&)            the word for an end, or the syntax error
///   command(End)                        the name of the command that pops from one key
///   work_of(value, end, n, enough)      the work (see Pauses) of popping n elements, counted until it comes to
///   `enough`
///   pop_one(ctx, key, entry, end)       pops one element and replies it in an array behind its key
///   pop_many(ctx, key, entry, end, n)   pops n elements, of which the entry has so many, and replies them as an array
namespace quartet::server {

/// The entry that a waiting client can be served from; null where the key holds nothing, or another type.
inline storage::Entry* find_ready(Context& ctx, std::string_view key, storage::Type type) {
  storage::Entry* entry = ctx.find_write(key);
  return entry && entry->type() == type ? entry : nullptr;
}

/// Calls `pop(key, entry)` for the first key that holds something; false where none does. Where that is of another
/// type, the error is written, and it is true.
template <class Pops, class Pop>
bool pop_first(Context& ctx, Args keys, Pop pop) {
  for (const std::string_view key : keys) {
    storage::Entry* entry;
    if (!ctx.find_write(key, Pops::kType, entry)) return true;
    if (!entry) continue;
    pop(key, entry);
    return true;
  }
  return false;
}

// --- key [key ...] timeout -------------------------------------------------------------------------------------------

template <class Pops>
void pop_one_of(Context& ctx, std::string_view key, storage::Entry* entry, typename Pops::End end) {
  Pops::pop_one(ctx, key, entry, end);
  ctx.effect({Pops::command(end), key});
}

template <class Pops, typename Pops::End end>
bool serve_pop(Context& ctx, std::string_view key) {
  storage::Entry* entry = find_ready(ctx, key, Pops::kType);
  if (entry) pop_one_of<Pops>(ctx, key, entry, end);
  return entry;
}

/// BLPOP, BRPOP, BZPOPMIN, BZPOPMAX.
template <class Pops, typename Pops::End end>
void pop_or_block(Context& ctx) {
  const Args keys = ctx.args.subspan(1, ctx.args.size() - 2);
  Arguments in(ctx, ctx.args.size() - 1);
  const int64_t timeout_ms = in.timeout_seconds();
  if (!in.ok()) return;
  const auto pop = [&](std::string_view key, storage::Entry* entry) { pop_one_of<Pops>(ctx, key, entry, end); };
  if (!pop_first<Pops>(ctx, keys, pop)) ctx.block(keys, timeout_ms, serve_pop<Pops, end>);
}

// --- numkeys key [key ...] end [COUNT count] -------------------------------------------------------------------------

template <class Pops>
struct MultiPop {
  Args keys;
  typename Pops::End end{};
  size_t count = 1;

  void read(Arguments& in) {
    keys = in.take(static_cast<size_t>(in.integer_in(1, INT64_MAX, "ERR numkeys should be greater than 0")));
    end = Pops::read_end(in);
    if (in.option("COUNT", 1))
      count = static_cast<size_t>(in.integer_in(1, INT64_MAX, "ERR count should be greater than 0"));
    if (in.more()) in.fail(errors::kSyntax);
  }

  void pop(Context& ctx, std::string_view key, storage::Entry* entry) const {
    const typename Pops::Value value(ctx.db(), entry);
    const size_t popped = std::min(count, value.size());
    if (ctx.takes_long(Pops::work_of(value, end, popped, ctx.long_work))) return;
    ctx.reply.array(2);
    ctx.reply.bulk(key);
    Pops::pop_many(ctx, key, entry, end, popped);
    char number[kNumberChars];
    ctx.effect({Pops::command(end), key, {number, format_int(static_cast<int64_t>(popped), number)}});
  }

  bool pop_first(Context& ctx) const {
    return server::pop_first<Pops>(ctx, keys,
                                   [&](std::string_view key, storage::Entry* entry) { pop(ctx, key, entry); });
  }
};

/// LMPOP, ZMPOP.
template <class Pops>
void multi_pop(Context& ctx) {
  Arguments in(ctx);
  MultiPop<Pops> request;
  request.read(in);
  if (in.ok() && !request.pop_first(ctx)) ctx.reply.null_array();
}

template <class Pops>
bool serve_multi_pop(Context& ctx, std::string_view key) {
  storage::Entry* entry = find_ready(ctx, key, Pops::kType);
  if (!entry) return false;
  Arguments in(ctx, 2);
  MultiPop<Pops> request;
  request.read(in);
  request.pop(ctx, key, entry);
  return true;
}

/// BLMPOP, BZMPOP.
template <class Pops>
void multi_pop_or_block(Context& ctx) {
  // The timeout comes first but is looked at last.
  Arguments in(ctx, 2), first(ctx);
  MultiPop<Pops> request;
  request.read(in);
  if (!in.ok()) return;
  const int64_t timeout_ms = first.timeout_seconds();
  if (first.ok() && !request.pop_first(ctx)) ctx.block(request.keys, timeout_ms, serve_multi_pop<Pops>);
}

}  // namespace quartet::server
