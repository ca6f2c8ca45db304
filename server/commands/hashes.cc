#include <fmt/format.h>

#include <cmath>

#include "base/limits.h"
#include "base/numbers.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/argument_work.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/commands/scan_options.h"
#include "server/server.h"
#include "storage/hash.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::HashValue;
using storage::Type;

/// The hash of a key, made where it is missing; REQUIRES: `entry` is a hash or null.
HashValue open_or_create(Context& ctx, std::string_view key, Entry* entry) {
  return entry ? HashValue(ctx.db(), entry) : HashValue::create(ctx.db(), key);
}

void reply_value(Context& ctx, const HashValue& hash, std::string_view field) {
  if (const SharedBytes shared = hash.shared(field)) return ctx.reply.bulk(shared);
  char scratch[kNumberChars];
  if (const auto value = hash.get(field, scratch)) return ctx.reply.bulk(*value, ctx.pauses);
  ctx.reply.null();
}

// --- Writing ---------------------------------------------------------------------------------------------------------

/// HSET and HMSET: returns how many fields are new, or no value where there is nothing to reply.
std::optional<int64_t> set_fields(Context& ctx) {
  if (ctx.args.size() % 2 != 0) {
    reply_wrong_arity(ctx);
    return {};
  }
  if (ctx.takes_long(work_of_arguments(ctx))) return {};
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::Hash, entry)) return {};
  HashValue hash = open_or_create(ctx, key, entry);
  int64_t added = 0;
  for (size_t i = 2; i < ctx.args.size(); i += 2) {
    ctx.breathe(work_of_elements(1, ctx.arg(i).size() + ctx.arg(i + 1).size()));
    added += hash.set(ctx.arg(i), ctx.arg(i + 1));
  }
  ctx.changed(key, EventClass::Hash, "hset", ctx.args.size() / 2 - 1);
  return added;
}

void hset_command(Context& ctx) {
  if (const auto added = set_fields(ctx)) ctx.reply.integer(*added);
}

void hmset_command(Context& ctx) {
  if (set_fields(ctx)) ctx.reply.ok();
}

void hsetnx_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::Hash, entry)) return;
  if (entry && HashValue(ctx.db(), entry).contains(ctx.arg(2))) return ctx.reply.integer(0);
  open_or_create(ctx, key, entry).set(ctx.arg(2), ctx.arg(3));
  ctx.changed(key, EventClass::Hash, "hset");
  ctx.reply.integer(1);
}

/// The work of erasing the fields that HDEL names, counted until it comes to `enough`.
size_t work_of_erasing(const Context& ctx, const HashValue& hash, size_t enough) {
  size_t work = work_of_arguments(ctx);
  // A few are not long, whatever they hold; neither is a part of what is not long as a whole.
  constexpr size_t kFew = 16;
  if (ctx.args.size() <= kFew || work + storage::work_of(*hash.entry) < enough) return work;
  char scratch[kNumberChars];
  for (size_t i = 2; i < ctx.args.size() && work < enough; ++i)
    if (const auto value = hash.get(ctx.arg(i), scratch)) work += value->size() / kBytesOfWork;
  return work;
}

void hdel_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::Hash, entry)) return;
  int64_t removed = 0;
  if (entry) {
    HashValue hash(ctx.db(), entry);
    if (ctx.takes_long(work_of_erasing(ctx, hash, ctx.long_work))) return;
    for (size_t i = 2; i < ctx.args.size() && !hash.empty(); ++i) {
      ctx.breathe_for(ctx.arg(i));
      if (ctx.in_slices) {
        char scratch[kNumberChars];
        if (const auto value = hash.get(ctx.arg(i), scratch)) ctx.breathe_for(*value);
      }
      removed += hash.erase(ctx.arg(i));
    }
    if (removed) {
      ctx.changed(key, EventClass::Hash, "hdel", static_cast<size_t>(removed));
      ctx.erase_if_empty(hash.entry);
    }
  }
  ctx.reply.integer(removed);
}

void hincrby_command(Context& ctx) {
  const std::string_view key = ctx.arg(1), field = ctx.arg(2);
  Arguments in(ctx, 3);
  const int64_t by = in.integer();
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(key, Type::Hash, entry)) return;
  char scratch[kNumberChars];
  int64_t value = 0;
  if (const auto old = entry ? HashValue(ctx.db(), entry).get(field, scratch) : std::nullopt) {
    const auto number = parse_int(*old);
    if (!number) return ctx.reply.error("ERR hash value is not an integer");
    value = *number;
  }
  if (__builtin_add_overflow(value, by, &value)) return ctx.reply.error(errors::kOverflow);
  open_or_create(ctx, key, entry).set(field, {scratch, format_int(value, scratch)});
  ctx.changed(key, EventClass::Hash, "hincrby");
  ctx.reply.integer(value);
}

void hincrbyfloat_command(Context& ctx) {
  const std::string_view key = ctx.arg(1), field = ctx.arg(2);
  const auto by = parse_long_double(ctx.arg(3));
  if (!by) return ctx.reply.error(errors::kNotFloat);
  if (std::isinf(*by)) return ctx.reply.error("ERR value is NaN or Infinity");
  Entry* entry;
  if (!ctx.find_write(key, Type::Hash, entry)) return;
  char scratch[kNumberChars];
  long double value = 0;
  if (const auto old = entry ? HashValue(ctx.db(), entry).get(field, scratch) : std::nullopt) {
    const auto number = parse_long_double(*old);
    if (!number) return ctx.reply.error("ERR hash value is not a float");
    value = *number;
  }
  value += *by;
  if (std::isnan(value) || std::isinf(value)) return ctx.reply.error("ERR increment would produce NaN or Infinity");
  const std::string text = format_long_double(value);
  open_or_create(ctx, key, entry).set(field, text);
  ctx.changed(key, EventClass::Hash, "hincrbyfloat");
  ctx.effect({"HSET", key, field, text});
  ctx.reply.bulk(text);
}

// --- Reading ---------------------------------------------------------------------------------------------------------

void hget_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  if (!entry) return ctx.reply.null();
  reply_value(ctx, HashValue(ctx.db(), entry), ctx.arg(2));
}

void hmget_command(Context& ctx) {
  if (ctx.takes_long(work_of_arguments(ctx))) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  ctx.reply.array(ctx.args.size() - 2);
  for (size_t i = 2; i < ctx.args.size(); ++i) {
    ctx.breathe_for(ctx.arg(i));
    if (entry) {
      reply_value(ctx, HashValue(ctx.db(), entry), ctx.arg(i));
    } else {
      ctx.reply.null();
    }
  }
}

void hexists_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  ctx.reply.integer(entry && HashValue(ctx.db(), entry).contains(ctx.arg(2)));
}

void hlen_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  ctx.reply.integer(entry ? static_cast<int64_t>(HashValue(ctx.db(), entry).size()) : 0);
}

void hstrlen_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  char scratch[kNumberChars];
  const auto value = entry ? HashValue(ctx.db(), entry).get(ctx.arg(2), scratch) : std::nullopt;
  ctx.reply.integer(value ? static_cast<int64_t>(value->size()) : 0);
}

void hgetall_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  if (!entry) return ctx.reply.map(0);
  const HashValue hash(ctx.db(), entry);
  if (ctx.takes_long(storage::work_of(*entry))) return;
  ctx.reply.map(hash.size());
  hash.for_each([&](std::string_view field, std::string_view value) {
    ctx.reply_element(field);
    ctx.reply.bulk(value, ctx.pauses);
    return true;
  });
}

/// HKEYS and HVALS.
void reply_half(Context& ctx, bool fields) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  if (!entry) return ctx.reply.array(0);
  const HashValue hash(ctx.db(), entry);
  if (ctx.takes_long(hash.size())) return;
  ctx.reply.array(hash.size());
  hash.for_each([&](std::string_view field, std::string_view value) {
    ctx.reply_element(fields ? field : value);
    return true;
  });
}

void hkeys_command(Context& ctx) { reply_half(ctx, true); }
void hvals_command(Context& ctx) { reply_half(ctx, false); }

void hrandfield_command(Context& ctx) {
  Arguments in(ctx, 2);
  const bool counted = in.more();
  const int64_t count = counted ? in.integer_in(-INT64_MAX, INT64_MAX, errors::kCountRange, errors::kNotInteger) : 1;
  const bool with_values = in.option("WITHVALUES");
  if (in.more()) in.fail(errors::kSyntax);
  if (with_values && (count > INT64_MAX / 2 || count < -INT64_MAX / 2)) in.fail(errors::kOutOfRange);
  if (count < -limits::kRandomElements) in.fail(errors::kOutOfRange);
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  if (!entry) return counted ? ctx.reply.array(0) : ctx.reply.null();
  const HashValue hash(ctx.db(), entry);
  if (!counted)
    return hash.draw(1, ctx.server.random, [&](std::string_view field, std::string_view) { ctx.reply.bulk(field); });

  const bool pairs = with_values && ctx.reply.version() == 3;
  const auto reply_field = [&](std::string_view field, std::string_view value) {
    if (pairs) ctx.reply.array(2);
    ctx.reply_element(field);
    if (with_values) ctx.reply.bulk(value, ctx.pauses);
  };
  const auto wanted = static_cast<size_t>(count < 0 ? -count : count);
  const size_t shown = count < 0 ? wanted : std::min(wanted, hash.size());
  // A large part of a hash is drawn by going through all of it.
  if (ctx.takes_long(count < 0 ? wanted : std::min(shown * 4, hash.size()))) return;
  ctx.reply.array(with_values && !pairs ? shown * 2 : shown);
  if (count < 0) {
    hash.draw(shown, ctx.server.random, reply_field);
  } else {
    hash.sample(shown, ctx.server.random, reply_field, ctx.pauses);
  }
}

void hscan_command(Context& ctx) {
  ScanOptions options;
  if (!options.read_cursor(ctx, 2)) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::Hash, entry)) return;
  if (!entry) return ScanReply(ctx).send(0);
  if (!options.read(ctx, 3)) return;
  const HashValue hash(ctx.db(), entry);
  if (ctx.takes_long(std::min(options.count, hash.size()))) return;
  ScanReply found(ctx);
  const uint64_t next =
      hash.scan(options.cursor, options.count, [&](std::string_view field, std::string_view value) {
        ctx.breathe_for(field);
        if (!options.matches(ctx, field)) return;
        found.add(field);
        found.add(value);
      });
  found.send(next);
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "hdel", .arity = -3, .flags = kWrite | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Removes fields of a hash.",
     .syntax = "key field [field ...]",
     .handler = hdel_command, .keys = keys::kDelete, .element = 2},
    {.name = "hexists", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Tells whether a hash has a field.",
     .syntax = "key field",
     .handler = hexists_command, .keys = keys::kInspect, .element = 2},
    {.name = "hget", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Gives the value of a field.",
     .syntax = "key field",
     .handler = hget_command, .keys = keys::kRead, .element = 2},
    {.name = "hgetall", .arity = 2, .flags = kReadOnly,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Gives all fields of a hash with their values.",
     .syntax = "key",
     .handler = hgetall_command, .keys = keys::kRead, .tips = tips::kUnordered},
    {.name = "hincrby", .arity = 4, .flags = kWrite | kDenyOom | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Adds a number to the integer in a field.",
     .syntax = "key field increment",
     .handler = hincrby_command, .keys = keys::kModify, .element = 2},
    {.name = "hincrbyfloat", .arity = 4, .flags = kWrite | kDenyOom | kFast,
     .categories = kHash, .group = "hash", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Adds to the floating point number in a field.",
     .syntax = "key field increment",
     .handler = hincrbyfloat_command, .keys = keys::kModify, .element = 2},
    {.name = "hkeys", .arity = 2, .flags = kReadOnly,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Gives all fields of a hash.",
     .syntax = "key",
     .handler = hkeys_command, .keys = keys::kRead, .tips = tips::kUnordered},
    {.name = "hlen", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Counts the fields of a hash.",
     .syntax = "key",
     .handler = hlen_command, .keys = keys::kInspect},
    {.name = "hmget", .arity = -3, .flags = kReadOnly | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Gives the values of several fields.",
     .syntax = "key field [field ...]",
     .handler = hmget_command, .keys = keys::kRead, .element = 2},
    {.name = "hmset", .arity = -4, .flags = kWrite | kDenyOom | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Sets several fields; the old form of HSET.",
     .syntax = "key field value [field value ...]",
     .handler = hmset_command, .keys = keys::kUpdate},
    {.name = "hrandfield", .arity = -2, .flags = kReadOnly,
     .categories = kHash, .group = "hash", .since = "6.2.0", .complexity = "O(N)",
     .summary = "Gives fields chosen at random.",
     .syntax = "key [count [WITHVALUES]]",
     .handler = hrandfield_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "hscan", .arity = -3, .flags = kReadOnly,
     .categories = kHash, .group = "hash", .since = "2.8.0", .complexity = "O(1)",
     .summary = "Goes through the fields of a hash, a few at a time.",
     .syntax = "key cursor [MATCH pattern] [COUNT count]",
     .handler = hscan_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "hset", .arity = -4, .flags = kWrite | kDenyOom | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Sets fields of a hash.",
     .syntax = "key field value [field value ...]",
     .handler = hset_command, .keys = keys::kUpdate, .element = 2},
    {.name = "hsetnx", .arity = 4, .flags = kWrite | kDenyOom | kFast,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Sets a field if it does not exist.",
     .syntax = "key field value",
     .handler = hsetnx_command, .keys = keys::kInsert, .element = 2},
    {.name = "hstrlen", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kHash, .group = "hash", .since = "3.2.0", .complexity = "O(1)",
     .summary = "Gives the length of the value of a field.",
     .syntax = "key field",
     .handler = hstrlen_command, .keys = keys::kInspect, .element = 2},
    {.name = "hvals", .arity = 2, .flags = kReadOnly,
     .categories = kHash, .group = "hash", .since = "2.0.0", .complexity = "O(N)",
     .summary = "Gives all values of a hash.",
     .syntax = "key",
     .handler = hvals_command, .keys = keys::kRead, .tips = tips::kUnordered},
};

}  // namespace

std::span<const Command> hash_commands() { return kCommands; }

}  // namespace quartet::server
