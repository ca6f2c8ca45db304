#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "base/limits.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/argument_work.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/commands/leftover.h"
#include "server/commands/scan_options.h"
#include "server/server.h"
#include "storage/set.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::SetValue;
using storage::Type;

SetValue open_or_create(Context& ctx, std::string_view key, Entry* entry) {
  return entry ? SetValue(ctx.db(), entry) : SetValue::create(ctx.db(), key);
}

// --- Members ---------------------------------------------------------------------------------------------------------

void sadd_command(Context& ctx) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::Set, entry)) return;
  SetValue set = open_or_create(ctx, key, entry);
  int64_t added = 0;
  for (const std::string_view member : ctx.args.subspan(2)) {
    ctx.breathe_for(member);
    added += set.add(member);
  }
  if (added) ctx.changed(key, EventClass::Set, "sadd", static_cast<size_t>(added));
  ctx.reply.integer(added);
}

void srem_command(Context& ctx) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::Set, entry)) return;
  if (!entry) return ctx.reply.integer(0);
  SetValue set(ctx.db(), entry);
  int64_t removed = 0;
  for (const std::string_view member : ctx.args.subspan(2)) {
    ctx.breathe_for(member);
    removed += set.remove(member);
  }
  if (removed) {
    ctx.changed(key, EventClass::Set, "srem", static_cast<size_t>(removed));
    ctx.erase_if_empty(set.entry);
  }
  ctx.reply.integer(removed);
}

void smove_command(Context& ctx) {
  const std::string_view from_key = ctx.arg(1), to_key = ctx.arg(2), member = ctx.arg(3);
  Entry* from = ctx.find_write(from_key);
  if (!from) return ctx.reply.integer(0);
  Entry* to;
  if (from->type() != Type::Set) return ctx.reply.error(errors::kWrongType);
  if (!ctx.find_write(to_key, Type::Set, to)) return;
  SetValue source(ctx.db(), from);
  if (from == to) return ctx.reply.integer(source.contains(member));
  if (!source.remove(member)) return ctx.reply.integer(0);
  ctx.changed(from_key, EventClass::Set, "srem");
  ctx.erase_if_empty(source.entry);
  if (open_or_create(ctx, to_key, to).add(member)) ctx.changed(to_key, EventClass::Set, "sadd");
  ctx.reply.integer(1);
}

void sismember_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Set, entry)) return;
  ctx.reply.integer(entry && SetValue(ctx.db(), entry).contains(ctx.arg(2)));
}

void smismember_command(Context& ctx) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Set, entry)) return;
  ctx.reply.array(ctx.args.size() - 2);
  for (const std::string_view member : ctx.args.subspan(2)) {
    ctx.breathe_for(member);
    ctx.reply.integer(entry && SetValue(ctx.db(), entry).contains(member));
  }
}

void scard_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Set, entry)) return;
  ctx.reply.integer(entry ? static_cast<int64_t>(SetValue(ctx.db(), entry).size()) : 0);
}

void smembers_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Set, entry)) return;
  if (!entry) return ctx.reply.set(0);
  const SetValue set(ctx.db(), entry);
  if (ctx.takes_long(set.size())) return;
  ctx.reply.set(set.size());
  set.for_each([&](std::string_view member) {
    ctx.reply_element(member);
    return true;
  });
}

void sscan_command(Context& ctx) {
  ScanOptions options;
  if (!options.read_cursor(ctx, 2)) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Set, entry)) return;
  if (!entry) return ScanReply(ctx).send(0);
  if (!options.read(ctx, 3)) return;
  const SetValue set(ctx.db(), entry);
  if (ctx.takes_long(std::min(options.count, set.size()))) return;
  ScanReply found(ctx);
  const uint64_t next = set.scan(options.cursor, options.count, [&](std::string_view member) {
    ctx.breathe_for(member);
    if (options.matches(ctx, member)) found.add(member);
  });
  found.send(next);
}

// --- Chance ----------------------------------------------------------------------------------------------------------

/// What was popped is carried as the removal of just these members.
void carry_removal(Context& ctx, std::string_view key, const std::vector<std::string>& members) {
  Leftover<std::vector<std::string_view>> effect(ctx, {"SREM", key});
  if (ctx.server.feed.active()) {
    effect->reserve(2 + members.size());
    for (const std::string& member : members) {
      ctx.breathe();
      effect->push_back(member);
    }
  }
  ctx.effect(*effect);
}

/// Pops `count` members, which are not all.
void pop_some(Context& ctx, SetValue& set, size_t count, std::vector<std::string>& popped) {
  popped.reserve(count);
  set.sample(count, ctx.server.random, [&](std::string_view member) {
    ctx.breathe_for(member);
    popped.emplace_back(member);
  }, ctx.pauses);
  for (const std::string& member : popped) {
    ctx.breathe_for(member);
    set.remove(member);
  }
}

void spop_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Arguments in(ctx, 2);
  const bool counted = in.more();
  const int64_t count = counted ? in.integer_in(0, INT64_MAX, errors::kNotPositive) : 1;
  if (in.more()) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(key, Type::Set, entry)) return;
  if (!entry) return counted ? ctx.reply.set(0) : ctx.reply.null();
  if (count == 0) return ctx.reply.set(0);

  SetValue set(ctx.db(), entry);
  if (count > 1 && ctx.takes_long(storage::work_of(*entry, static_cast<size_t>(count)))) return;
  Leftover<std::vector<std::string>> result(ctx);
  std::vector<std::string>& popped = *result;
  if (static_cast<size_t>(count) >= set.size()) {
    if (counted) ctx.reply.set(set.size());
    set.for_each([&](std::string_view member) {
      ctx.reply_element(member);
      return true;
    });
    ctx.notify(key, EventClass::Set, "spop");
    ctx.erase(set.entry, "del", set.size());
    return ctx.effect({"DEL", key});
  }
  pop_some(ctx, set, static_cast<size_t>(count), popped);
  if (counted) ctx.reply.set(popped.size());
  for (const std::string& member : popped) ctx.reply_element(member);
  ctx.changed(key, EventClass::Set, "spop", popped.size());
  carry_removal(ctx, key, popped);
}

void srandmember_command(Context& ctx) {
  Arguments in(ctx, 2);
  const bool counted = in.more();
  const int64_t count = counted ? in.integer_in(-INT64_MAX, INT64_MAX, errors::kCountRange, errors::kNotInteger) : 1;
  if (count < -limits::kRandomElements) in.fail(errors::kOutOfRange);
  if (in.more()) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Set, entry)) return;
  if (!entry) return counted ? ctx.reply.array(0) : ctx.reply.null();
  const SetValue set(ctx.db(), entry);
  // A large part of a set is drawn by going through all of it.
  if (ctx.takes_long(count < 0    ? static_cast<size_t>(-count)
                     : count == 1 ? 1
                                  : std::min(static_cast<size_t>(count) * 4, set.size())))
    return;
  const auto reply_member = [&](std::string_view member) { ctx.reply_element(member); };
  if (counted && count < 0) {
    ctx.reply.array(static_cast<size_t>(-count));
    return set.draw(static_cast<size_t>(-count), ctx.server.random, reply_member);
  }
  const size_t shown = std::min(static_cast<size_t>(count), set.size());
  if (counted) ctx.reply.array(shown);
  set.sample(shown, ctx.server.random, reply_member, ctx.pauses);
}

// --- Algebra ---------------------------------------------------------------------------------------------------------

/// The sets of several keys; a missing key is a null entry. No value where a key holds another type: the error is
/// written.
std::optional<std::vector<Entry*>> find_sets(Context& ctx, Args keys) {
  std::vector<Entry*> entries;
  for (const std::string_view key : keys) {
    ctx.breathe();
    Entry* entry;
    if (!ctx.find_read(key, Type::Set, entry)) return {};
    entries.push_back(entry);
  }
  return entries;
}

enum class Operation { Intersect, Unite, Subtract };

/// All sets are gone through, or one of them, whose members are looked up in the others.
size_t work_of(Operation operation, const std::vector<Entry*>& entries) {
  const auto work = [](const Entry* entry) { return entry ? storage::work_of(*entry) : 0; };
  size_t all = 0, least = SIZE_MAX;
  for (const Entry* entry : entries) {
    all += work(entry);
    least = std::min(least, work(entry));
  }
  switch (operation) {
    case Operation::Intersect: return least * entries.size();
    case Operation::Unite: return all;
    case Operation::Subtract: return work(entries[0]) * entries.size();
  }
  return 0;
}

/// Calls `visit(member)` for each member that is in all sets until it returns false. The smallest set leads.
template <class Visit>
void intersect(Context& ctx, std::vector<Entry*> entries, Visit visit) {
  if (std::find(entries.begin(), entries.end(), nullptr) != entries.end()) return;
  std::sort(entries.begin(), entries.end(), [&](const Entry* a, const Entry* b) {
    ctx.breathe();
    return length_of(*a) < length_of(*b);
  });
  SetValue(ctx.db(), entries[0]).for_each([&](std::string_view member) {
    ctx.breathe_for(member);
    for (size_t i = 1; i < entries.size(); ++i) {
      ctx.breathe_for(member);
      if (entries[i] != entries[0] && !SetValue(ctx.db(), entries[i]).contains(member)) return true;
    }
    return visit(member);
  });
}

/// Calls `visit(member)` for each member that is in any set, once.
template <class Visit>
void unite(Context& ctx, const std::vector<Entry*>& entries, Visit visit) {
  // Tables live on the heap, because they count their own allocation.
  const Leftover<std::unique_ptr<storage::SetTable>> seen_table(ctx, std::make_unique<storage::SetTable>());
  storage::SetTable* const seen = seen_table->get();
  for (Entry* entry : entries) {
    if (!entry) continue;
    SetValue(ctx.db(), entry).for_each([&](std::string_view member) {
      ctx.breathe_for(member);
      if (seen->add(member)) visit(member);
      return true;
    });
  }
}

/// Calls `visit(member)` for each member of the first set that is in no other.
template <class Visit>
void subtract(Context& ctx, const std::vector<Entry*>& entries, Visit visit) {
  if (!entries[0]) return;
  SetValue(ctx.db(), entries[0]).for_each([&](std::string_view member) {
    ctx.breathe_for(member);
    for (size_t i = 1; i < entries.size(); ++i) {
      ctx.breathe_for(member);
      if (entries[i] && SetValue(ctx.db(), entries[i]).contains(member)) return true;
    }
    visit(member);
    return true;
  });
}

template <class Visit>
void combine(Context& ctx, Operation operation, const std::vector<Entry*>& entries, Visit visit) {
  switch (operation) {
    case Operation::Intersect:
      return intersect(ctx, entries, [&](std::string_view member) {
        visit(member);
        return true;
      });
    case Operation::Unite: return unite(ctx, entries, visit);
    case Operation::Subtract: return subtract(ctx, entries, visit);
  }
}

void reply_combination(Context& ctx, Operation operation) {
  const auto entries = find_sets(ctx, ctx.args.subspan(1));
  if (!entries || ctx.takes_long(work_of(operation, *entries))) return;
  const auto open = ctx.reply.begin();
  size_t members = 0;
  combine(ctx, operation, *entries, [&](std::string_view member) {
    ctx.reply_element(member);
    ++members;
  });
  ctx.reply.end_set(open, members);
}

void store_combination(Context& ctx, Operation operation, std::string_view event) {
  if (ctx.takes_long(ctx.args.size())) return;
  const auto entries = find_sets(ctx, ctx.args.subspan(2));
  if (!entries || ctx.takes_long(work_of(operation, *entries))) return;
  // The destination may be one of the sources, so the result is complete before it is touched.
  Leftover<std::deque<std::string>> result(ctx);
  std::deque<std::string>& members = *result;
  combine(ctx, operation, *entries, [&](std::string_view member) {
    ctx.breathe_for(member);
    members.emplace_back(member);
  });
  const std::string_view key = ctx.arg(1);
  Entry* old = ctx.find_replace(key);
  if (members.empty()) {
    if (old) ctx.erase(old);
    return ctx.reply.integer(0);
  }
  if (old) ctx.db().erase(old);
  SetValue set = SetValue::create(ctx.db(), key);
  for (const std::string& member : members) {
    ctx.breathe_for(member);
    set.add(member);
  }
  ctx.changed(key, EventClass::Set, event);
  ctx.reply.integer(static_cast<int64_t>(members.size()));
}

void sinter_command(Context& ctx) { reply_combination(ctx, Operation::Intersect); }
void sunion_command(Context& ctx) { reply_combination(ctx, Operation::Unite); }
void sdiff_command(Context& ctx) { reply_combination(ctx, Operation::Subtract); }
void sinterstore_command(Context& ctx) { store_combination(ctx, Operation::Intersect, "sinterstore"); }
void sunionstore_command(Context& ctx) { store_combination(ctx, Operation::Unite, "sunionstore"); }
void sdiffstore_command(Context& ctx) { store_combination(ctx, Operation::Subtract, "sdiffstore"); }

void sintercard_command(Context& ctx) {
  Arguments in(ctx);
  constexpr std::string_view kKeys = "ERR numkeys should be greater than 0";
  const int64_t count = in.integer_in(1, INT64_MAX, kKeys);
  if (in.failed()) return ctx.reply.error(kKeys);
  if (static_cast<size_t>(count) > in.left())
    return ctx.reply.error("ERR Number of keys can't be greater than number of args");
  const Args keys = in.take(static_cast<size_t>(count));
  constexpr std::string_view kLimit = "ERR LIMIT can't be negative";
  size_t limit = 0;
  while (in.more()) {
    if (in.option("LIMIT", 1)) {
      const auto value = parse_int(in.next());
      if (!value || *value < 0) in.fail(kLimit);
      limit = static_cast<size_t>(value.value_or(0));
    } else {
      in.fail(errors::kSyntax);
    }
  }
  if (!in.ok()) return;
  const auto entries = find_sets(ctx, keys);
  if (!entries || ctx.takes_long(work_of(Operation::Intersect, *entries))) return;
  size_t members = 0;
  intersect(ctx, *entries, [&](std::string_view) { return ++members != limit; });
  ctx.reply.integer(static_cast<int64_t>(members));
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "sadd", .arity = -3, .flags = kWrite | kDenyOom | kFast,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds members to a set.",
     .syntax = "key member [member ...]",
     .handler = sadd_command, .keys = keys::kInsert, .element = 2},
    {.name = "scard", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Counts the members of a set.",
     .syntax = "key",
     .handler = scard_command, .keys = keys::kInspect},
    {.name = "sdiff", .arity = -2, .flags = kReadOnly,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives the members of a set that are in none of the others.",
     .syntax = "key [key ...]",
     .handler = sdiff_command, .keys = keys::kReadAll, .tips = tips::kUnordered},
    {.name = "sdiffstore", .arity = -3, .flags = kWrite | kDenyOom,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Stores the members of a set that are in none of the others.",
     .syntax = "destination key [key ...]",
     .handler = sdiffstore_command, .keys = keys::kOverwriteReadAll},
    {.name = "sinter", .arity = -2, .flags = kReadOnly,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N*M)",
     .summary = "Gives the members that are in all of the sets.",
     .syntax = "key [key ...]",
     .handler = sinter_command, .keys = keys::kReadAll, .tips = tips::kUnordered},
    {.name = "sintercard", .arity = -3, .flags = kReadOnly,
     .categories = kSet, .group = "set", .since = "7.0.0", .complexity = "O(N*M)",
     .summary = "Counts the members that are in all of the sets.",
     .syntax = "numkeys key [key ...] [LIMIT limit]",
     .handler = sintercard_command, .keys = keys::kReadCounted},
    {.name = "sinterstore", .arity = -3, .flags = kWrite | kDenyOom,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N*M)",
     .summary = "Stores the members that are in all of the sets.",
     .syntax = "destination key [key ...]",
     .handler = sinterstore_command, .keys = keys::kUpdateReadAll},
    {.name = "sismember", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells whether a set has a member.",
     .syntax = "key member",
     .handler = sismember_command, .keys = keys::kInspect, .element = 2},
    {.name = "smembers", .arity = 2, .flags = kReadOnly,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives all members of a set.",
     .syntax = "key",
     .handler = smembers_command, .keys = keys::kRead, .tips = tips::kUnordered},
    {.name = "smismember", .arity = -3, .flags = kReadOnly | kFast,
     .categories = kSet, .group = "set", .since = "6.2.0", .complexity = "O(N)",
     .summary = "Tells of several members whether a set has them.",
     .syntax = "key member [member ...]",
     .handler = smismember_command, .keys = keys::kRead, .element = 2},
    {.name = "smove", .arity = 4, .flags = kWrite | kFast,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Moves a member from one set to another.",
     .syntax = "source destination member",
     .handler = smove_command, .keys = keys::kPopInsert},
    {.name = "spop", .arity = -2, .flags = kWrite | kFast,
     .categories = kSet, .group = "set", .since = "1.0.0",
     .complexity = "Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
     .summary = "Removes members chosen at random and gives them.",
     .syntax = "key [count]",
     .handler = spop_command, .keys = keys::kPop, .tips = tips::kNondeterministic},
    {.name = "srandmember", .arity = -2, .flags = kReadOnly,
     .categories = kSet, .group = "set", .since = "1.0.0",
     .complexity = "Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
     .summary = "Gives members chosen at random.",
     .syntax = "key [count]",
     .handler = srandmember_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "srem", .arity = -3, .flags = kWrite | kFast,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Removes members of a set.",
     .syntax = "key member [member ...]",
     .handler = srem_command, .keys = keys::kDelete, .element = 2},
    {.name = "sscan", .arity = -3, .flags = kReadOnly,
     .categories = kSet, .group = "set", .since = "2.8.0", .complexity = "O(1)",
     .summary = "Goes through the members of a set, a few at a time.",
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .handler = sscan_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "sunion", .arity = -2, .flags = kReadOnly,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives the members that are in any of the sets.",
     .syntax = "key [key ...]",
     .handler = sunion_command, .keys = keys::kReadAll, .tips = tips::kUnordered},
    {.name = "sunionstore", .arity = -3, .flags = kWrite | kDenyOom,
     .categories = kSet, .group = "set", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Stores the members that are in any of the sets.",
     .syntax = "destination key [key ...]",
     .handler = sunionstore_command, .keys = keys::kOverwriteReadAll},
};

}  // namespace

std::span<const Command> set_commands() { return kCommands; }

}  // namespace quartet::server
