#include "base/glob.h"
#include "base/numbers.h"
#include "persistence/dump_payload.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/config_target.h"
#include "server/server.h"
#include "storage/access.h"

#include <limits>

namespace quartet::server {

namespace {

using storage::Encoding;
using storage::Entry;
using storage::Keyspace;

// --- DEL, UNLINK, EXISTS, TOUCH, TYPE --------------------------------------------------------------------------------

/// DEL and UNLINK are the same here: what is slow to free is always freed in the background.
void del_command(Context& ctx) {
  // A value may be as large as one that is just not freed elsewhere.
  constexpr size_t kMostWork = 16;
  if (ctx.takes_long(kMostWork * ctx.args.size())) return;
  int64_t deleted = 0;
  for (const std::string_view key : ctx.args.subspan(1)) {
    ctx.breathe();
    Entry* entry = ctx.find_replace(key);
    if (!entry) continue;
    ctx.breathe(kMostWork);
    ctx.erase(entry);
    ++deleted;
  }
  ctx.reply.integer(deleted);
}

void exists_command(Context& ctx) {
  if (ctx.takes_long(ctx.args.size())) return;
  int64_t found = 0;
  for (const std::string_view key : ctx.args.subspan(1)) {
    ctx.breathe();
    found += ctx.find_untouched(key) != nullptr;
  }
  ctx.reply.integer(found);
}

void touch_command(Context& ctx) {
  if (ctx.takes_long(ctx.args.size())) return;
  int64_t found = 0;
  for (const std::string_view key : ctx.args.subspan(1)) {
    ctx.breathe();
    found += ctx.find_read(key) != nullptr;
  }
  ctx.reply.integer(found);
}

void type_command(Context& ctx) {
  const Entry* entry = ctx.find_untouched(ctx.arg(1));
  ctx.reply.simple(entry ? storage::type_name(entry->type()) : "none");
}

// --- RENAME, RENAMENX, MOVE, COPY ------------------------------------------------------------------------------------

void rename(Context& ctx, bool replace) {
  const auto answer = [&](bool renamed) { replace ? ctx.reply.ok() : ctx.reply.integer(renamed); };
  const std::string_view from = ctx.arg(1), to = ctx.arg(2);
  Entry* entry = ctx.find_write(from);
  if (!entry) return ctx.reply.error(errors::kNoSuchKey);
  if (from == to) return answer(false);
  if (Entry* old = ctx.find_replace(to)) {
    if (!replace) return answer(false);
    ctx.db().erase(old);
  }
  ctx.db().insert(Keyspace::rekey(ctx.db().unlink(entry), to));
  ctx.keep_expiries();
  ctx.changed(from, EventClass::Generic, "rename_from", 0);
  ctx.changed(to, EventClass::Generic, "rename_to");
  answer(true);
}

void rename_command(Context& ctx) { rename(ctx, true); }
void renamenx_command(Context& ctx) { rename(ctx, false); }

/// The database that an argument names, by its number or its name; null, with the error latched, where there is none.
Keyspace* named_database(const Context& ctx, Arguments& in) {
  const std::string_view text = in.next();
  if (in.failed()) return nullptr;
  const int index = ctx.server.database_index(text);
  if (index >= 0) return &ctx.server.database(index);
  using Int = std::numeric_limits<int32_t>;
  const auto number = parse_int(text);
  if (!number) {
    in.fail(errors::kNotInteger);
  } else if (*number < Int::min() || *number > Int::max()) {
    in.fail("ERR value is out of range, value must between -2147483648 and 2147483647");
  } else {
    in.fail(errors::kDbIndex);
  }
  return nullptr;
}

constexpr std::string_view kSameObjects = "ERR source and destination objects are the same";

/// What has come to another database from one that is kept on disk in another way is carried with its value.
void restore_effect(Context& ctx, Keyspace& db, std::string_view key) {
  if (!ctx.server.feed.active()) return;
  const Entry* entry = db.find_raw(key);
  std::string payload;
  persistence::append_dump_payload(payload, *entry, false);
  char number[kNumberChars];
  const std::string_view expiry(number, format_int(std::max<int64_t>(entry->expiry(), 0), number));
  ctx.effect_in(db, {"RESTORE", key, expiry, payload, "ABSTTL", "REPLACE"});
}

void move_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  Keyspace* other = named_database(ctx, in);
  if (other == &ctx.db()) in.fail(kSameObjects);
  if (!in.ok()) return;
  if (const auto refusal = ctx.server.leaving_refusal("MOVE", ctx.db().index(), other->index()))
    return ctx.reply.error(*refusal);
  if (!ctx.enters(*other)) return;
  Entry* entry = ctx.find_write(key);
  if (!entry || other->find(key, ctx.now_ms())) return ctx.reply.integer(0);
  other->insert(ctx.db().unlink(entry));
  ctx.changed(key, EventClass::Generic, "move_from");
  ctx.changed_in(*other, key, EventClass::Generic, "move_to", 0);
  if (ctx.server.durability.alike(ctx.db().index(), other->index())) {
    // By number, because only Quartet's databases have names.
    char number[kNumberChars];
    ctx.effect_between(ctx.db(), *other, {"MOVE", key, {number, format_int(other->index(), number)}});
  } else {
    ctx.effect({"DEL", key});
    restore_effect(ctx, *other, key);
  }
  ctx.reply.integer(1);
}

void copy_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view from = in.next(), to = in.next();
  Keyspace* other = &ctx.db();
  bool replace = false;
  while (in.more()) {
    if (in.option("REPLACE")) {
      replace = true;
    } else if (in.option("DB", 1)) {
      other = named_database(ctx, in);
    } else {
      in.fail(errors::kSyntax);
    }
  }
  if (other == &ctx.db() && from == to) in.fail(kSameObjects);
  if (!in.ok() || (other != &ctx.db() && !ctx.enters(*other))) return;
  const Entry* entry = ctx.find_read(from);
  if (!entry) return ctx.reply.integer(0);
  if (Entry* old = other->find(to, ctx.now_ms()); old && !replace) return ctx.reply.integer(0);
  if (ctx.takes_long(storage::work_of(*entry))) return;
  Entry* copy = Keyspace::clone(*entry, to, ctx.pauses);
  // Meanwhile others may have been in the other database.
  if (other != &ctx.db() && ctx.in_slices) static_cast<void>(ctx.enters(*other));
  if (Entry* old = other->find(to, ctx.now_ms())) {
    if (!replace) {
      storage::dispose(copy);
      return ctx.reply.integer(0);
    }
    other->erase(old);
  }
  other->insert(copy);
  ctx.changed_in(*other, to, EventClass::Generic, "copy_to");
  char number[kNumberChars];
  const std::string_view index(number, format_int(other->index(), number));
  if (!ctx.server.durability.alike(ctx.db().index(), other->index())) {
    restore_effect(ctx, *other, to);
  } else if (replace) {
    ctx.effect_between(ctx.db(), *other, {"COPY", from, to, "DB", index, "REPLACE"});
  } else {
    ctx.effect_between(ctx.db(), *other, {"COPY", from, to, "DB", index});
  }
  ctx.reply.integer(1);
}

void move_databases(Args args, const Config& config, std::vector<int>& databases) {
  add_database(args[2], config, databases);
}

void copy_databases(Args args, const Config& config, std::vector<int>& databases) {
  // Each one is looked at: which of several counts is the handler's business.
  for (size_t i = 3; i + 1 < args.size(); ++i)
    if (equals_ignoring_case(args[i], "DB")) add_database(args[i + 1], config, databases);
}

// --- RANDOMKEY, KEYS -------------------------------------------------------------------------------------------------

void randomkey_command(Context& ctx) {
  if (ctx.takes_long(ctx.db().expiring())) return;
  // Each turn but the last erases an expired entry, unless nothing may be changed: then somebody's luck ends.
  constexpr int kMostKept = 100;
  for (int kept = 0; kept < kMostKept; kept += ctx.server.keeps_expired()) {
    const Entry* entry = ctx.db().random(ctx.server.random);
    if (!entry) break;
    if (!entry->expired(ctx.now_ms()) || ctx.db().find(entry->key(), ctx.now_ms())) return ctx.reply.bulk(entry->key());
    ctx.breathe();
  }
  ctx.reply.null();
}

void keys_command(Context& ctx) {
  if (ctx.takes_long(ctx.db().size())) return;
  const std::string_view pattern = ctx.arg(1);
  const bool all = pattern == "*";
  size_t count = 0;
  const auto open = ctx.reply.begin();
  ctx.db().for_each([&](const Entry& entry) {
    ctx.breathe(all ? 1 : work_of_bytes(entry.key().size() + pattern.size()));
    if (!entry.expired(ctx.now_ms()) && (all || glob_match(pattern, entry.key(), false, ctx.pauses))) {
      ctx.reply.bulk(entry.key(), ctx.pauses);
      ++count;
    }
    return true;
  });
  ctx.reply.end_array(open, count);
}

// --- OBJECT ----------------------------------------------------------------------------------------------------------

/// The entry that a subcommand of OBJECT asks about; null, with the null written, where there is none. Unlike other
/// reads it does not publish a miss.
const Entry* object_of(Context& ctx) {
  const Entry* entry = ctx.db().find(ctx.arg(2), ctx.now_ms());
  DatabaseStatistics& stats = ctx.server.stats.database(ctx.db().index());
  ++(entry ? stats.keyspace_hits : stats.keyspace_misses);
  if (!entry) ctx.reply.null();
  return entry;
}

void object_encoding_command(Context& ctx) {
  if (const Entry* entry = object_of(ctx)) ctx.reply.bulk(storage::encoding_name(*entry));
}

void object_refcount_command(Context& ctx) {
  const Entry* entry = object_of(ctx);
  if (!entry) return;
  // Redis shares the objects of small integers, and says so by the largest count. Not where each needs an access of its
  // own.
  constexpr int64_t kSharedIntegers = 10000;
  const bool small = entry->encoding() == Encoding::Int && entry->integer() >= 0 && entry->integer() < kSharedIntegers;
  const bool shared = small && !ctx.server.memory_limit.judges_accesses(ctx.db());
  ctx.reply.integer(shared ? std::numeric_limits<int32_t>::max() : 1);
}

void object_idletime_command(Context& ctx) {
  const Entry* entry = object_of(ctx);
  if (!entry) return;
  if (ctx.db().counts_accesses())
    return ctx.reply.error(
        "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between "
        "policies at runtime LRU and LFU data will take some time to adjust.");
  ctx.reply.integer(storage::LruAccess::idle(entry->access(), ctx.now));
}

void object_freq_command(Context& ctx) {
  const Entry* entry = object_of(ctx);
  if (!entry) return;
  if (!ctx.db().counts_accesses())
    return ctx.reply.error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
        "between policies at runtime LRU and LFU data will take some time to adjust.");
  const DatabaseSettings& settings = ctx.server.config.database[static_cast<size_t>(ctx.db().index())];
  ctx.reply.integer(storage::LfuAccess::counter(entry->access(), ctx.now, settings.lfu_decay_time));
}

void object_help_command(Context& ctx) {
  constexpr std::string_view kLines[] = {
      "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
      "ENCODING <key>",
      "    Tell in which form the value of a <key> lies in memory.",
      "FREQ <key>",
      "    Tell how often a <key> was used of late, on a logarithmic scale. Only under",
      "    an LFU policy.",
      "IDLETIME <key>",
      "    Tell for how many seconds a <key> has not been used.",
      "REFCOUNT <key>",
      "    Tell how many references to the value of a <key> there are.",
      "HELP",
      "    Print this help.",
  };
  ctx.reply.array(std::size(kLines));
  for (const std::string_view line : kLines) ctx.reply.simple(line);
}

// --- WAIT ------------------------------------------------------------------------------------------------------------

/// There are no replicas to wait for.
void wait_command(Context& ctx) {
  Arguments in(ctx);
  const int64_t wanted = in.integer();
  const int64_t timeout_ms = in.integer("ERR timeout is not an integer or out of range");
  if (timeout_ms < 0) in.fail("ERR timeout is negative");
  if (!in.ok()) return;
  // There are no replicas: whoever wants one waits in vain.
  if (wanted <= 0) return ctx.reply.integer(0);
  ctx.block({}, timeout_ms, nullptr, Context::Unserved::Zero);
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command k_object_subcommands[] = {
    {.name = "idletime", .arity = 3, .flags = kReadOnly,
     .categories = kKeyspace, .group = "generic", .since = "2.2.3", .complexity = "O(1)",
     .summary = "Tells for how many seconds a key has not been used.",
     .syntax = "key",
     .handler = object_idletime_command, .keys = keys::kInspectSecond, .tips = tips::kNondeterministic},
    {.name = "freq", .arity = 3, .flags = kReadOnly,
     .categories = kKeyspace, .group = "generic", .since = "4.0.0", .complexity = "O(1)",
     .summary = "Tells how often a key is used, on a logarithmic scale.",
     .syntax = "key",
     .handler = object_freq_command, .keys = keys::kInspectSecond, .tips = tips::kNondeterministic},
    {.name = "help", .arity = 2, .flags = kLoading | kStale,
     .categories = kKeyspace, .group = "generic", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Lists the subcommands.",
     .handler = object_help_command},
    {.name = "encoding", .arity = 3, .flags = kReadOnly,
     .categories = kKeyspace, .group = "generic", .since = "2.2.3", .complexity = "O(1)",
     .summary = "Tells in which form a value lies in memory.",
     .syntax = "key",
     .handler = object_encoding_command, .keys = keys::kInspectSecond, .tips = tips::kNondeterministic},
    {.name = "refcount", .arity = 3, .flags = kReadOnly,
     .categories = kKeyspace, .group = "generic", .since = "2.2.3", .complexity = "O(1)",
     .summary = "Tells how many references to a value there are.",
     .syntax = "key",
     .handler = object_refcount_command, .keys = keys::kInspectSecond, .tips = tips::kNondeterministic},
};

constexpr Command kCommands[] = {
    {.name = "copy", .arity = -3, .flags = kWrite | kDenyOom,
     .categories = kKeyspace, .group = "generic", .since = "6.2.0", .complexity = "O(N)",
     .summary = "Copies a key's value and expiry to another key, in another database if asked for.",
     .syntax = "source destination [DB destination-db] [REPLACE]",
     .handler = copy_command, .keys = keys::kReadOverwrite, .databases = copy_databases},
    {.name = "del", .arity = -2, .flags = kWrite,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Deletes keys.",
     .syntax = "key [key ...]",
     .handler = del_command, .keys = keys::kRemoveAll, .tips = tips::kMultiShardSum},
    {.name = "exists", .arity = -2, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Counts how many of the keys there are.",
     .syntax = "key [key ...]",
     .handler = exists_command, .keys = keys::kInspectAll, .tips = tips::kMultiShardSum},
    {.name = "keys", .arity = 2, .flags = kReadOnly,
     .categories = kKeyspace | kDangerous, .group = "generic", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Lists the keys that match a pattern.",
     .syntax = "pattern",
     .handler = keys_command, .tips = tips::kAllShardsUnordered},
    {.name = "move", .arity = 3, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Moves a key to another database.",
     .syntax = "key db",
     .handler = move_command, .keys = keys::kModify, .databases = move_databases},
    {.name = "object", .arity = -2,
     .group = "generic", .since = "2.2.3", .complexity = "Depends on subcommand.",
     .summary = "Tells how a value is kept.",
     .subcommands = k_object_subcommands},
    {.name = "randomkey", .arity = 1, .flags = kReadOnly,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Gives a key chosen at random.",
     .handler = randomkey_command, .tips = tips::kAllShardsNondeterministic},
    {.name = "rename", .arity = 3, .flags = kWrite,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Gives a key another name and replaces what had it before.",
     .syntax = "key newkey",
     .handler = rename_command, .keys = keys::kPopOverwrite},
    {.name = "renamenx", .arity = 3, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Gives a key another name unless that is taken.",
     .syntax = "key newkey",
     .handler = renamenx_command, .keys = keys::kPopCreate},
    {.name = "touch", .arity = -2, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "generic", .since = "3.2.1", .complexity = "O(N)",
     .summary = "Marks keys as used just now and counts how many of them there are.",
     .syntax = "key [key ...]",
     .handler = touch_command, .keys = keys::kInspectAll, .tips = tips::kMultiShardSum},
    {.name = "type", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells the type of a key's value.",
     .syntax = "key",
     .handler = type_command, .keys = keys::kInspect},
    {.name = "unlink", .arity = -2, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "4.0.0", .complexity = "O(1)",
     .summary = "Deletes keys; large values are freed in the background.",
     .syntax = "key [key ...]",
     .handler = del_command, .keys = keys::kRemoveAll, .tips = tips::kMultiShardSum},
    {.name = "wait", .arity = 3, .flags = kNoScript,
     .categories = kConnection, .group = "generic", .since = "3.0.0", .complexity = "O(1)",
     .summary = "Waits until replicas have confirmed the writes made so far.",
     .syntax = "numreplicas timeout",
     .handler = wait_command, .tips = tips::kAllShardsMin},
};

}  // namespace

std::span<const Command> key_commands() { return kCommands; }

}  // namespace quartet::server
