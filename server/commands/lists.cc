#include <algorithm>
#include <optional>

#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/argument_work.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/commands/pop_first.h"
#include "server/server.h"
#include "storage/list.h"

namespace quartet::server {

namespace {

using storage::End;
using storage::Entry;
using storage::ListValue;
using storage::Type;

constexpr std::string_view pop_name(End end) { return end == End::Head ? "lpop" : "rpop"; }
constexpr std::string_view push_name(End end) { return end == End::Head ? "lpush" : "rpush"; }

ListValue open_or_create(Context& ctx, std::string_view key, Entry* entry) {
  return entry ? ListValue(ctx.db(), entry) : ListValue::create(ctx.db(), key);
}

/// Reads LEFT or RIGHT; anything else is a syntax error.
End read_end(Arguments& in) {
  if (in.option("LEFT")) return End::Head;
  if (!in.option("RIGHT")) in.fail(errors::kSyntax);
  return End::Tail;
}

// --- Push and pop ----------------------------------------------------------------------------------------------------

void push(Context& ctx, End end, bool only_existing) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::List, entry)) return;
  if (!entry && only_existing) return ctx.reply.integer(0);
  ListValue list = open_or_create(ctx, key, entry);
  for (const std::string_view value : ctx.args.subspan(2)) {
    ctx.breathe_for(value);
    list.push(end, value);
  }
  ctx.reply.integer(static_cast<int64_t>(list.size()));
  ctx.changed(key, EventClass::List, push_name(end), ctx.args.size() - 2);
}

void lpush_command(Context& ctx) { push(ctx, End::Head, false); }
void rpush_command(Context& ctx) { push(ctx, End::Tail, false); }
void lpushx_command(Context& ctx) { push(ctx, End::Head, true); }
void rpushx_command(Context& ctx) { push(ctx, End::Tail, true); }

/// Replies and removes `count` elements, at most all, as an array, or the one as a bulk string.
void pop_elements(Context& ctx, std::string_view key, Entry* entry, End end, size_t count, bool as_array) {
  ListValue list(ctx.db(), entry);
  const size_t size = list.size();
  count = std::min(count, size);
  if (as_array) ctx.reply.array(count);
  list.for_each(end == End::Head ? 0 : size - 1, count, [&](std::string_view value) {
    ctx.reply_element(value);
    return true;
  }, end);
  list.drop(end, count, ctx.pauses);
  ctx.changed(key, EventClass::List, pop_name(end), count);
  ctx.erase_if_empty(list.entry);
}

void pop(Context& ctx, End end) {
  if (ctx.args.size() > 3) return reply_wrong_arity(ctx);
  const bool counted = ctx.args.size() == 3;
  int64_t count = 1;
  if (counted) {
    const auto value = parse_int(ctx.arg(2));
    if (!value || *value < 0) return ctx.reply.error(errors::kNotPositive);
    count = *value;
  }
  Entry* entry;
  if (!ctx.find_write(ctx.arg(1), Type::List, entry)) return;
  if (!entry) return counted ? ctx.reply.null_array() : ctx.reply.null();
  if (count == 0) return ctx.reply.array(0);
  const ListValue list(ctx.db(), entry);
  if (ctx.takes_long(list.work_of(end, std::min(static_cast<size_t>(count), list.size()), ctx.long_work))) return;
  pop_elements(ctx, ctx.arg(1), entry, end, static_cast<size_t>(count), counted);
}

void lpop_command(Context& ctx) { pop(ctx, End::Head); }
void rpop_command(Context& ctx) { pop(ctx, End::Tail); }

// --- Looking at a list -----------------------------------------------------------------------------------------------

void llen_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::List, entry)) return;
  ctx.reply.integer(entry ? static_cast<int64_t>(ListValue(ctx.db(), entry).size()) : 0);
}

/// The position that an index, negative from the tail, means; no value where it lies outside.
std::optional<size_t> position_of(const ListValue& list, int64_t index) {
  const auto size = static_cast<int64_t>(list.size());
  if (index < 0) index += size;
  if (index < 0 || index >= size) return {};
  return static_cast<size_t>(index);
}

/// A range of indices, negative from the tail, cut to what is there.
struct Range {
  size_t start = 0, count = 0;
};
Range range_of(const ListValue& list, int64_t start, int64_t end) {
  const auto size = static_cast<int64_t>(list.size());
  if (start < 0) start = std::max<int64_t>(start + size, 0);
  if (end < 0) end += size;
  end = std::min(end, size - 1);
  if (start > end) return {};
  return {static_cast<size_t>(start), static_cast<size_t>(end - start + 1)};
}

void lindex_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::List, entry)) return;
  if (!entry) return ctx.reply.null();
  Arguments in(ctx, 2);
  const int64_t index = in.integer();
  if (!in.ok()) return;
  const ListValue list(ctx.db(), entry);
  const auto position = position_of(list, index);
  if (!position) return ctx.reply.null();
  char scratch[kNumberChars];
  ctx.reply.bulk(list.at(*position, scratch));
}

void lrange_command(Context& ctx) {
  Arguments in(ctx, 2);
  const int64_t start = in.integer(), end = in.integer();
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::List, entry)) return;
  if (!entry) return ctx.reply.array(0);
  const ListValue list(ctx.db(), entry);
  const Range range = range_of(list, start, end);
  if (ctx.takes_long(range.count)) return;
  ctx.reply.array(range.count);
  list.for_each(range.start, range.count, [&](std::string_view value) {
    ctx.reply_element(value);
    return true;
  });
}

void lpos_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next(), wanted = in.next();
  int64_t rank = 1, count = -1, most = 0;
  while (in.more()) {
    if (in.option("RANK", 1)) {
      rank = in.integer();
      if (rank == 0)
        in.fail(
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to "
            "start from the end of the list");
    } else if (in.option("COUNT", 1)) {
      count = in.integer_in(0, INT64_MAX, "ERR COUNT can't be negative");
    } else if (in.option("MAXLEN", 1)) {
      most = in.integer_in(0, INT64_MAX, "ERR MAXLEN can't be negative");
    } else {
      in.fail(errors::kSyntax);
    }
  }
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(key, Type::List, entry)) return;
  if (!entry) return count >= 0 ? ctx.reply.array(0) : ctx.reply.null();

  const ListValue list(ctx.db(), entry);
  if (ctx.takes_long(most > 0 ? std::min(static_cast<size_t>(most), list.size()) : list.size())) return;
  const End from = rank < 0 ? End::Tail : End::Head;
  // The least integer has no opposite; Redis takes it for -1.
  uint64_t to_skip = rank == INT64_MIN ? 0 : static_cast<uint64_t>(std::abs(rank)) - 1;
  const auto open = count >= 0 ? std::optional(ctx.reply.begin()) : std::nullopt;
  size_t found = 0;
  list.find(wanted, from, static_cast<size_t>(most), [&](size_t index) {
    if (to_skip > 0) {
      --to_skip;
      return true;
    }
    ++found;
    ctx.reply.integer(static_cast<int64_t>(index));
    return count >= 0 && (count == 0 || found < static_cast<size_t>(count));
  }, ctx.pauses);
  if (open) {
    ctx.reply.end_array(*open, found);
  } else if (found == 0) {
    ctx.reply.null();
  }
}

// --- Changing a list within ------------------------------------------------------------------------------------------

void lset_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::List, entry)) return;
  if (!entry) return ctx.reply.error(errors::kNoSuchKey);
  Arguments in(ctx, 2);
  const int64_t index = in.integer();
  if (!in.ok()) return;
  ListValue list(ctx.db(), entry);
  const auto position = position_of(list, index);
  if (!position) return ctx.reply.error(errors::kIndexOutOfRange);
  list.set(*position, ctx.arg(3));
  ctx.changed(key, EventClass::List, "lset");
  ctx.reply.ok();
}

void linsert_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Arguments in(ctx, 2);
  const bool before = in.option("BEFORE");
  if (!before && !in.option("AFTER")) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(key, Type::List, entry)) return;
  if (!entry) return ctx.reply.integer(0);
  ListValue list(ctx.db(), entry);
  if (ctx.takes_long(storage::work_of(*entry))) return;
  if (!list.insert(ctx.arg(3), before, ctx.arg(4), ctx.pauses)) return ctx.reply.integer(-1);
  ctx.changed(key, EventClass::List, "linsert");
  ctx.reply.integer(static_cast<int64_t>(list.size()));
}

void lrem_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Arguments in(ctx, 2);
  const int64_t count = in.integer();
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(key, Type::List, entry)) return;
  if (!entry) return ctx.reply.integer(0);
  ListValue list(ctx.db(), entry);
  if (ctx.takes_long(storage::work_of(*entry))) return;
  const uint64_t most = count < 0 ? uint64_t{0} - static_cast<uint64_t>(count) : static_cast<uint64_t>(count);
  const size_t removed = list.remove(ctx.arg(3), count < 0 ? End::Tail : End::Head, most, ctx.pauses);
  if (removed) {
    ctx.changed(key, EventClass::List, "lrem", removed);
    ctx.erase_if_empty(list.entry);
  }
  ctx.reply.integer(static_cast<int64_t>(removed));
}

void ltrim_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Arguments in(ctx, 2);
  const int64_t start = in.integer(), end = in.integer();
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(key, Type::List, entry)) return;
  if (!entry) return ctx.reply.ok();
  ListValue list(ctx.db(), entry);
  const Range range = range_of(list, start, end);
  const size_t size = list.size(), behind = size - range.start - range.count;
  const size_t work =
      list.work_of(End::Head, range.start, ctx.long_work) + list.work_of(End::Tail, behind, ctx.long_work);
  if (ctx.takes_long(work)) return;
  list.trim(range.start, range.count, ctx.pauses);
  ctx.changed(key, EventClass::List, "ltrim", size - range.count);
  ctx.erase_if_empty(list.entry);
  ctx.reply.ok();
}

// --- From list to list -----------------------------------------------------------------------------------------------

/// Moves one element and replies it. REQUIRES: `from` is a list. The destination may hold another type: then an error
/// is written.
void move(Context& ctx, Entry* from, std::string_view to_key, End from_end, End to_end) {
  const std::string from_key(from->key());
  Entry* to;
  if (!ctx.find_write(to_key, Type::List, to)) return;
  ListValue source(ctx.db(), from);
  char scratch[kNumberChars];
  ctx.reply.bulk(source.peek(from_end, scratch));
  if (from == to) {
    source.move(from_end, source, to_end);
  } else {
    ListValue target = open_or_create(ctx, to_key, to);
    source.move(from_end, target, to_end);
  }
  ctx.changed(to_key, EventClass::List, push_name(to_end));
  ctx.changed(from_key, EventClass::List, pop_name(from_end), 0);  // one element has moved
  ctx.erase_if_empty(source.entry);
  ctx.effect(
      {"LMOVE", from_key, to_key, from_end == End::Head ? "LEFT" : "RIGHT", to_end == End::Head ? "LEFT" : "RIGHT"});
}

void move_now(Context& ctx, End from_end, End to_end) {
  Entry* from;
  if (!ctx.find_write(ctx.arg(1), Type::List, from)) return;
  if (!from) return ctx.reply.null();
  move(ctx, from, ctx.arg(2), from_end, to_end);
}

void lmove_command(Context& ctx) {
  Arguments in(ctx, 3);
  const End from_end = read_end(in), to_end = read_end(in);
  if (in.ok()) move_now(ctx, from_end, to_end);
}

void rpoplpush_command(Context& ctx) { move_now(ctx, End::Tail, End::Head); }

/// The ends that BLMOVE and BRPOPLPUSH name; the handler has checked them before.
End end_argument(const Context& ctx, size_t at, End otherwise) {
  if (ctx.args.size() != 6) return otherwise;
  return equals_ignoring_case(ctx.arg(at), "LEFT") ? End::Head : End::Tail;
}

bool serve_move(Context& ctx, std::string_view key) {
  Entry* from = find_ready(ctx, key, Type::List);
  if (!from) return false;
  move(ctx, from, ctx.arg(2), end_argument(ctx, 3, End::Tail), end_argument(ctx, 4, End::Head));
  return true;
}

void move_or_block(Context& ctx, End from_end, End to_end, int64_t timeout_ms) {
  Entry* from;
  if (!ctx.find_write(ctx.arg(1), Type::List, from)) return;
  if (from) return move(ctx, from, ctx.arg(2), from_end, to_end);
  ctx.block(ctx.args.subspan(1, 1), timeout_ms, serve_move, Context::Unserved::Null);
}

void blmove_command(Context& ctx) {
  Arguments in(ctx, 3);
  const End from_end = read_end(in), to_end = read_end(in);
  const int64_t timeout_ms = in.timeout_seconds();
  if (in.ok()) move_or_block(ctx, from_end, to_end, timeout_ms);
}

void brpoplpush_command(Context& ctx) {
  Arguments in(ctx, 3);
  const int64_t timeout_ms = in.timeout_seconds();
  if (in.ok()) move_or_block(ctx, End::Tail, End::Head, timeout_ms);
}

// --- From one of several lists ---------------------------------------------------------------------------------------

struct ListPops {
  using Value = ListValue;
  using End = storage::End;
  static constexpr Type kType = Type::List;

  static End read_end(Arguments& in) { return server::read_end(in); }
  static std::string_view command(End end) { return end == End::Head ? "LPOP" : "RPOP"; }
  static size_t work_of(const ListValue& list, End end, size_t count, size_t enough) {
    return list.work_of(end, count, enough);
  }
  static void pop_one(Context& ctx, std::string_view key, Entry* entry, End end) {
    ctx.reply.array(2);
    ctx.reply.bulk(key);
    pop_elements(ctx, key, entry, end, 1, false);
  }
  static void pop_many(Context& ctx, std::string_view key, Entry* entry, End end, size_t count) {
    pop_elements(ctx, key, entry, end, count, true);
  }
};

void blpop_command(Context& ctx) { pop_or_block<ListPops, End::Head>(ctx); }
void brpop_command(Context& ctx) { pop_or_block<ListPops, End::Tail>(ctx); }
void lmpop_command(Context& ctx) { multi_pop<ListPops>(ctx); }
void blmpop_command(Context& ctx) { multi_pop_or_block<ListPops>(ctx); }

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "blmove", .arity = 6, .flags = kWrite | kDenyOom | kNoScript | kBlocking,
     .categories = kList, .group = "list", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Moves an element from list to list, or waits for one.",
     .syntax = "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
     .handler = blmove_command, .keys = keys::kPopInsert},
    {.name = "blmpop", .arity = -5, .flags = kWrite | kBlocking,
     .categories = kList, .group = "list", .since = "7.0.0", .complexity = "O(N+M)",
     .summary = "Pops elements from the first list that has some, or waits for one.",
     .syntax = "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
     .handler = blmpop_command, .keys = keys::kPopCountedAtSecond},
    {.name = "blpop", .arity = -3, .flags = kWrite | kNoScript | kBlocking,
     .categories = kList, .group = "list", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Pops from the head of the first list that has an element, or waits for one.",
     .syntax = "key [key ...] timeout",
     .handler = blpop_command, .keys = keys::kPopAllButLast},
    {.name = "brpop", .arity = -3, .flags = kWrite | kNoScript | kBlocking,
     .categories = kList, .group = "list", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Pops from the tail of the first list that has an element, or waits for one.",
     .syntax = "key [key ...] timeout",
     .handler = brpop_command, .keys = keys::kPopAllButLast},
    {.name = "brpoplpush", .arity = 4, .flags = kWrite | kDenyOom | kNoScript | kBlocking,
     .categories = kList, .group = "list", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Moves an element from the tail of a list to the head of another, or waits for one.",
     .syntax = "source destination timeout",
     .handler = brpoplpush_command, .keys = keys::kPopInsert},
    {.name = "lindex", .arity = 3, .flags = kReadOnly,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives an element by its index.",
     .syntax = "key index",
     .handler = lindex_command, .keys = keys::kRead},
    {.name = "linsert", .arity = 5, .flags = kWrite | kDenyOom,
     .categories = kList, .group = "list", .since = "2.2.0", .complexity = "O(N)",
     .summary = "Inserts an element before or behind another.",
     .syntax = "key <BEFORE | AFTER> pivot element",
     .handler = linsert_command, .keys = keys::kInsert},
    {.name = "llen", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Counts the elements of a list.",
     .syntax = "key",
     .handler = llen_command, .keys = keys::kInspect},
    {.name = "lmove", .arity = 5, .flags = kWrite | kDenyOom,
     .categories = kList, .group = "list", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Moves an element from an end of a list to an end of another.",
     .syntax = "source destination <LEFT | RIGHT> <LEFT | RIGHT>",
     .handler = lmove_command, .keys = keys::kPopInsert},
    {.name = "lmpop", .arity = -4, .flags = kWrite,
     .categories = kList, .group = "list", .since = "7.0.0", .complexity = "O(N+M)",
     .summary = "Pops elements from the first list that has some.",
     .syntax = "numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
     .handler = lmpop_command, .keys = keys::kPopCounted},
    {.name = "lpop", .arity = -2, .flags = kWrite | kFast,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Pops elements from the head of a list.",
     .syntax = "key [count]",
     .handler = lpop_command, .keys = keys::kPop},
    {.name = "lpos", .arity = -3, .flags = kReadOnly,
     .categories = kList, .group = "list", .since = "6.0.6", .complexity = "O(N)",
     .summary = "Finds the positions of an element.",
     .syntax = "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
     .handler = lpos_command, .keys = keys::kRead},
    {.name = "lpush", .arity = -3, .flags = kWrite | kDenyOom | kFast,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds elements at the head of a list.",
     .syntax = "key element [element ...]",
     .handler = lpush_command, .keys = keys::kInsert},
    {.name = "lpushx", .arity = -3, .flags = kWrite | kDenyOom | kFast,
     .categories = kList, .group = "list", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Adds elements at the head of a list that exists.",
     .syntax = "key element [element ...]",
     .handler = lpushx_command, .keys = keys::kInsert},
    {.name = "lrange", .arity = 4, .flags = kReadOnly,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(S+N)",
     .summary = "Gives a range of elements.",
     .syntax = "key start stop",
     .handler = lrange_command, .keys = keys::kRead},
    {.name = "lrem", .arity = 4, .flags = kWrite,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(N+M)",
     .summary = "Removes elements equal to a value.",
     .syntax = "key count element",
     .handler = lrem_command, .keys = keys::kDelete},
    {.name = "lset", .arity = 4, .flags = kWrite | kDenyOom,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Sets an element by its index.",
     .syntax = "key index element",
     .handler = lset_command, .keys = keys::kUpdate},
    {.name = "ltrim", .arity = 4, .flags = kWrite,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Keeps a range of elements and removes the others.",
     .syntax = "key start stop",
     .handler = ltrim_command, .keys = keys::kDelete},
    {.name = "rpop", .arity = -2, .flags = kWrite | kFast,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Pops elements from the tail of a list.",
     .syntax = "key [count]",
     .handler = rpop_command, .keys = keys::kPop},
    {.name = "rpoplpush", .arity = 3, .flags = kWrite | kDenyOom,
     .categories = kList, .group = "list", .since = "1.2.0", .complexity = "O(1)",
     .summary = "Moves an element from the tail of a list to the head of another.",
     .syntax = "source destination",
     .handler = rpoplpush_command, .keys = keys::kPopInsert},
    {.name = "rpush", .arity = -3, .flags = kWrite | kDenyOom | kFast,
     .categories = kList, .group = "list", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds elements at the tail of a list.",
     .syntax = "key element [element ...]",
     .handler = rpush_command, .keys = keys::kInsert},
    {.name = "rpushx", .arity = -3, .flags = kWrite | kDenyOom | kFast,
     .categories = kList, .group = "list", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Adds elements at the tail of a list that exists.",
     .syntax = "key element [element ...]",
     .handler = rpushx_command, .keys = keys::kInsert},
};

}  // namespace

std::span<const Command> list_commands() { return kCommands; }

}  // namespace quartet::server
