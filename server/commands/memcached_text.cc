// The classic commands of memcached's protocol. Replies and errors are those of memcached 1.6.

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "base/numbers.h"
#include "protocol/memcached_parser.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/memcached_items.h"
#include "server/server.h"

namespace quartet::server {

namespace {

using protocol::MemcachedReply;
using protocol::parse_memcached_int;
using protocol::parse_memcached_uint;
using storage::Entry;

constexpr std::string_view kBadExptime = "CLIENT_ERROR invalid exptime argument";

/// False, with the error written, where the line has fewer or more words than it may have.
bool has_words(Context& ctx, size_t least, size_t most) {
  if (ctx.args.size() >= least && ctx.args.size() <= most) return true;
  MemcachedReply(ctx.reply).error(errors::memcached::kWords);
  return false;
}

/// Of an item that is replied.
size_t copied_bytes(const Entry* item) {
  return storage::Entry::has_bytes(item->encoding()) ? item->bytes().size() : 0;
}

// --- Retrieval -------------------------------------------------------------------------------------------------------

/// Replies the items of the keys from the word `first` on; with an exptime each of them gets that.
void retrieve(Context& ctx, size_t first, bool with_numbers, std::optional<int64_t> exptime) {
  // How long the items are is not known before, but from this length on they are not copied.
  constexpr size_t kMostWork = work_of_bytes(limits::kInlineStringBytes);
  if (ctx.takes_long(exptime ? kMostWork * ctx.args.size() : ctx.args.size())) return;
  MemcachedReply reply(ctx.reply);
  const size_t mark = reply.mark();
  // Counted at the end: the call may be broken off, and the command begin again.
  uint64_t hits = 0, misses = 0;
  bool fit = true;
  for (const std::string_view key : ctx.args.subspan(first)) {
    fit = memcached_key_fits(key);
    if (!fit) break;
    Entry* item = find_item(ctx, key);
    ++(item ? hits : misses);
    ctx.breathe(item ? work_of_elements(1, copied_bytes(item)) : 1);
    if (!item) continue;
    uint64_t number;
    if (with_numbers) number = unique_number(ctx, item);
    char scratch[kNumberChars];
    reply.value(key, item->client_flags(), data_of(ctx, item, scratch), with_numbers ? &number : nullptr);
    if (exptime) retime(ctx, key, item, memcached_expiry(ctx, *exptime));
  }
  MemcachedStatistics& stats = memcached_stats(ctx);
  stats.cmd_get += hits + misses;
  stats.get_hits += hits;
  stats.get_misses += misses;
  if (exptime) {
    stats.cmd_touch += hits + misses;
    stats.touch_hits += hits;
    stats.touch_misses += misses;
  }
  if (fit) return reply.line("END");
  reply.forget(mark);
  reply.error(errors::memcached::kFormat);
}

void get(Context& ctx, bool with_numbers) {
  if (!has_words(ctx, 2, SIZE_MAX)) return;
  retrieve(ctx, 1, with_numbers, {});
}
void get_command(Context& ctx) { get(ctx, false); }
void gets_command(Context& ctx) { get(ctx, true); }

void get_and_touch(Context& ctx, bool with_numbers) {
  if (!has_words(ctx, 2, SIZE_MAX)) return;
  const auto exptime = parse_memcached_int(ctx.arg(1));
  if (!exptime) return MemcachedReply(ctx.reply).error(kBadExptime);
  retrieve(ctx, 2, with_numbers, exptime);
}
void gat_command(Context& ctx) { get_and_touch(ctx, false); }
void gats_command(Context& ctx) { get_and_touch(ctx, true); }

// --- Storage ---------------------------------------------------------------------------------------------------------

/// The parser has seen to it that the words are right: verb, key, flags, exptime, bytes, number where it is cas; the
/// data last.
void store(Context& ctx, StoreMode mode, bool compares = false) {
  TextReply reply(ctx);
  ++memcached_stats(ctx).cmd_set;
  StoreRequest request{.key = ctx.arg(1), .data = ctx.args.back(), .mode = mode};
  request.client_flags = static_cast<uint32_t>(*parse_memcached_uint(ctx.arg(2)));
  request.exptime = *parse_memcached_int(ctx.arg(3));
  if (compares) request.cas = parse_memcached_uint(ctx.arg(5));
  Entry* stored;
  switch (store_item(ctx, request, stored)) {
    case StoreOutcome::Stored: return reply.line("STORED");
    case StoreOutcome::NotStored: return reply.line("NOT_STORED");
    case StoreOutcome::Exists: return reply.line("EXISTS");
    case StoreOutcome::NotFound: return reply.line("NOT_FOUND");
    case StoreOutcome::WrongType: return ctx.reply.error(errors::kWrongType);
  }
}

/// What an unauthenticated client sets is a user and a password with a space between them, whatever the key; noreply is
/// not heard.
void authenticate_by_set(Context& ctx) {
  MemcachedReply reply(ctx.reply);
  MemcachedStatistics& stats = memcached_stats(ctx);
  for (size_t i = 1; i < ctx.args.size(); ++i) ctx.redact(i);
  ++stats.auth_cmds;
  std::string_view pair = ctx.args.back();
  const size_t space = pair.find(' ');
  std::string_view error;
  if (space != pair.npos && ctx.server.log_in(ctx, pair.substr(0, space), pair.substr(space + 1), error))
    return reply.line("STORED");
  ++stats.auth_errors;
  reply.error(space == pair.npos ? "CLIENT_ERROR bad authentication token format"
                                 : "CLIENT_ERROR authentication failure");
}

void set_command(Context& ctx) {
  if (ctx.server.must_log_in(ctx.session)) [[unlikely]]
    return authenticate_by_set(ctx);
  store(ctx, StoreMode::Set);
}
void add_command(Context& ctx) { store(ctx, StoreMode::Add); }
void replace_command(Context& ctx) { store(ctx, StoreMode::Replace); }
void append_command(Context& ctx) { store(ctx, StoreMode::Append); }
void prepend_command(Context& ctx) { store(ctx, StoreMode::Prepend); }
void cas_command(Context& ctx) { store(ctx, StoreMode::Set, true); }

/// A storage command whose data are too large and are passed over. What set and ms were to replace goes all the same,
/// so that nobody takes it for current.
void too_large_command(Context& ctx) {
  TextReply reply(ctx);
  MemcachedStatistics& stats = memcached_stats(ctx);
  ++stats.cmd_set;
  ++stats.store_too_large;
  const std::string_view key = ctx.arg(1);
  if (ctx.arg(0) == "set" || ctx.arg(0) == "ms") {
    if (Entry* entry = ctx.find_replace(key)) delete_entry(ctx, key, entry);
  }
  reply.error("SERVER_ERROR object too large for cache");
}

// --- Others ----------------------------------------------------------------------------------------------------------

void delete_command(Context& ctx) {
  if (!has_words(ctx, 2, 4)) return;
  TextReply reply(ctx);
  const std::string_view key = ctx.arg(1);
  if (!memcached_key_fits(key)) return reply.error(errors::memcached::kFormat);
  // Once there was a time here, of which only 0 is left.
  const size_t extra = ctx.args.size() - 2;
  const bool quiet = ctx.session.memcached->quiet;
  if (extra > 0 && !(extra == 1 && (quiet || ctx.arg(2) == "0")) && !(extra == 2 && ctx.arg(2) == "0" && quiet))
    return reply.error("CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]");
  MemcachedStatistics& stats = memcached_stats(ctx);
  Entry* entry = ctx.find_replace(key);
  ++(entry ? stats.delete_hits : stats.delete_misses);
  if (!entry) return reply.line("NOT_FOUND");
  delete_entry(ctx, key, entry);
  reply.line("DELETED");
}

void count(Context& ctx, bool up) {
  if (!has_words(ctx, 3, 4)) return;
  TextReply reply(ctx);
  const std::string_view key = ctx.arg(1);
  if (!memcached_key_fits(key)) return reply.error(errors::memcached::kFormat);
  const auto delta = parse_memcached_uint(ctx.arg(2));
  if (!delta) return reply.error("CLIENT_ERROR invalid numeric delta argument");
  uint64_t result;
  Entry* counted;
  switch (count_item(ctx, key, *delta, up, 0, result, counted)) {
    case CountOutcome::Done: return reply.line(std::to_string(result));
    case CountOutcome::NotFound: return reply.line("NOT_FOUND");
    case CountOutcome::WrongType: return ctx.reply.error(errors::kWrongType);
    case CountOutcome::NotNumeric: return reply.error(errors::memcached::kNotNumeric);
    case CountOutcome::Exists: break;  // is of what names a number
  }
}
void incr_command(Context& ctx) { count(ctx, true); }
void decr_command(Context& ctx) { count(ctx, false); }

void touch_command(Context& ctx) {
  if (!has_words(ctx, 3, 4)) return;
  TextReply reply(ctx);
  const std::string_view key = ctx.arg(1);
  if (!memcached_key_fits(key)) return reply.error(errors::memcached::kFormat);
  const auto exptime = parse_memcached_int(ctx.arg(2));
  if (!exptime) return reply.error(kBadExptime);
  MemcachedStatistics& stats = memcached_stats(ctx);
  ++stats.cmd_touch;
  Entry* entry = ctx.find_read(key);
  ++(entry ? stats.touch_hits : stats.touch_misses);
  if (!entry) return reply.line("NOT_FOUND");
  retime(ctx, key, entry, memcached_expiry(ctx, *exptime));
  reply.line("TOUCHED");
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "add", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Stores an item unless the key is there.",
     .syntax = "key flags exptime bytes [NOREPLY]",
     .handler = add_command, .keys = keys::kCreate},
    {.name = "append", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds data behind those of an item.",
     .syntax = "key flags exptime bytes [NOREPLY]",
     .handler = append_command, .keys = keys::kInsert},
    {.name = "cas", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Stores an item unless it has changed since its number was read.",
     .syntax = "key flags exptime bytes unique [NOREPLY]",
     .handler = cas_command, .keys = keys::kOverwrite},
    {.name = "decr", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Takes away from an item that is a number.",
     .syntax = "key value [NOREPLY]",
     .handler = decr_command, .keys = keys::kModify},
    {.name = "delete", .arity = -1, .flags = kMemcached | kWrite | kFast,
     .categories = kKeyspace, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Deletes an item.",
     .syntax = "key [NOREPLY]",
     .handler = delete_command, .keys = keys::kRemove},
    {.name = "gat", .arity = -1, .flags = kMemcached | kWrite | kFast,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives items and sets when they expire.",
     .syntax = "exptime key [key ...]",
     .handler = gat_command, .keys = keys::kModifyAllFromSecond},
    {.name = "gats", .arity = -1, .flags = kMemcached | kWrite | kFast,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives items with their numbers and sets when they expire.",
     .syntax = "exptime key [key ...]",
     .handler = gats_command, .keys = keys::kModifyAllFromSecond},
    {.name = "get", .arity = -1, .flags = kMemcached | kReadOnly | kFast,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives items.",
     .syntax = "key [key ...]",
     .handler = get_command, .keys = keys::kReadAll},
    {.name = "gets", .arity = -1, .flags = kMemcached | kReadOnly | kFast,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives items with their numbers.",
     .syntax = "key [key ...]",
     .handler = gets_command, .keys = keys::kMarkAll},
    {.name = "incr", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds to an item that is a number.",
     .syntax = "key value [NOREPLY]",
     .handler = incr_command, .keys = keys::kModify},
    {.name = "prepend", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(N)",
     .summary = "Adds data before those of an item.",
     .syntax = "key flags exptime bytes [NOREPLY]",
     .handler = prepend_command, .keys = keys::kInsert},
    {.name = "replace", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Stores an item where the key is there.",
     .syntax = "key flags exptime bytes [NOREPLY]",
     .handler = replace_command, .keys = keys::kOverwrite},
    {.name = "set", .arity = -1, .flags = kMemcachedStore | kNoAuth | kChecksPassword,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Stores an item, or authenticates.",
     .syntax = "key flags exptime bytes [NOREPLY]",
     .handler = set_command, .keys = keys::kOverwrite},
    {.name = "too_large", .arity = -1, .flags = kMemcached | kInternal | kWrite | kFast,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Is what a storage command with too much data becomes.",
     .syntax = "verb key",
     .handler = too_large_command, .keys = keys::kRemove},
    {.name = "touch", .arity = -1, .flags = kMemcached | kWrite | kFast,
     .categories = kKeyspace, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Sets when an item expires.",
     .syntax = "key exptime [NOREPLY]",
     .handler = touch_command, .keys = keys::kUpdate},
};

}  // namespace

std::span<const Command> memcached_commands() { return kCommands; }

}  // namespace quartet::server
