#include "base/numbers.h"
#include "persistence/dump_payload.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/leftover.h"
#include "server/server.h"
#include "storage/access.h"

#include <limits>
#include <optional>

namespace quartet::server {

namespace {

using storage::Entry;
using storage::Keyspace;
using storage::LfuAccess;
using storage::LruAccess;

void dump_command(Context& ctx) {
  const Entry* entry = ctx.find_read(ctx.arg(1));
  if (!entry) return ctx.reply.null();
  if (ctx.takes_long(storage::work_of(*entry))) return;
  Leftover<std::string> payload(ctx);
  // A string that grows is copied in one piece.
  if (ctx.in_slices) payload->reserve(storage::memory_of(*entry));
  persistence::append_dump_payload(*payload, *entry, true, ctx.pauses);
  ctx.reply.bulk(*payload, ctx.pauses);
}

/// A keyspace that no client sees, in which a value is read before it is known to be good.
class Staging final : public storage::KeyspaceObserver {
 public:
  explicit Staging(const storage::Thresholds& thresholds) : keyspace(0, *this, thresholds) {}
  void expired(Keyspace&, std::string_view) override {}
  void reclaim(std::unique_ptr<storage::Garbage>) override {}

  Keyspace keyspace;
};

struct RestoreOptions {
  bool replace = false, absolute = false;
  std::optional<int64_t> idle_seconds, frequency;

  void read(Arguments& in) {
    constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
    while (in.more()) {
      if (in.option("REPLACE")) {
        replace = true;
      } else if (in.option("ABSTTL")) {
        absolute = true;
      } else if (!frequency && in.option("IDLETIME", 1)) {
        idle_seconds = in.integer_in(0, kMost, "ERR Invalid IDLETIME value, must be >= 0", errors::kNotInteger);
      } else if (!idle_seconds && in.option("FREQ", 1)) {
        frequency = in.integer_in(0, 255, "ERR Invalid FREQ value, must be >= 0 and <= 255", errors::kNotInteger);
      } else {
        in.fail(errors::kSyntax);
      }
    }
  }
  uint32_t access(const Context& ctx) const {
    if (ctx.db().counts_accesses())
      return frequency ? LfuAccess::minutes(ctx.now) << 8 | static_cast<uint32_t>(*frequency)
                       : LfuAccess::fresh(ctx.now);
    return (LruAccess::clock(ctx.now) - static_cast<uint32_t>(idle_seconds.value_or(0))) & 0xffffff;
  }
};

void restore_command(Context& ctx) {
  const std::string_view key = ctx.arg(1), payload = ctx.arg(3);
  RestoreOptions options;
  Arguments tail(ctx, 4);
  options.read(tail);
  if (!tail.ok()) return;
  Entry* old = ctx.find_replace(key);
  if (old && !options.replace) return ctx.reply.error("BUSYKEY Target key name already exists.");
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  Arguments in(ctx, 2);
  int64_t expiry_ms = in.integer_in(0, kMost, "ERR Invalid TTL value, must be >= 0", errors::kNotInteger);
  if (!in.ok()) return;
  // A payload of integers holds many elements in few bytes.
  if (ctx.takes_long(payload.size() / 4)) return;
  if (!persistence::is_dump_payload(payload, ctx.pauses))
    return ctx.reply.error("ERR DUMP payload version or checksum are wrong");
  Staging staging(ctx.db().thresholds());
  Entry* entry = persistence::load_dump_payload(payload, staging.keyspace, key, ctx.pauses);
  if (!entry) return ctx.reply.error("ERR Bad data format");

  if (expiry_ms == 0) {
    expiry_ms = -1;
  } else if (!options.absolute && __builtin_add_overflow(expiry_ms, ctx.relative_base_ms(), &expiry_ms)) {
    expiry_ms = kMost;
  }
  staging.keyspace.set_expiry(entry, expiry_ms);
  if (entry->expired(ctx.now_ms())) {
    if (old) {
      ctx.erase(old);
      ctx.effect({"DEL", key});
    }
    return ctx.reply.ok();
  }
  entry->set_access(options.access(ctx));
  staging.keyspace.unlink(entry);
  if (old) ctx.db().erase(old);
  ctx.db().insert(entry);
  ctx.changed(key, EventClass::Generic, "restore");
  char ms[kNumberChars];
  ctx.effect({"RESTORE", key, {ms, format_int(std::max<int64_t>(expiry_ms, 0), ms)}, payload, "REPLACE", "ABSTTL"});
  ctx.reply.ok();
}

constexpr Command kCommands[] = {
    {.name = "dump", .arity = 2, .flags = kReadOnly,
     .categories = kKeyspace, .group = "generic", .since = "2.6.0", .complexity = "O(N) in the size of the value",
     .summary = "Gives a key's value as bytes that RESTORE makes it from again.",
     .syntax = "key",
     .handler = dump_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "restore", .arity = -4, .flags = kWrite | kDenyOom,
     .categories = kKeyspace | kDangerous, .group = "generic", .since = "2.6.0",
     .complexity = "O(N) in the size of the value, and O(N*log(N)) for sorted sets",
     .summary = "Makes a key from what DUMP gave.",
     .syntax = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
     .handler = restore_command, .keys = keys::kOverwrite},
};

}  // namespace

std::span<const Command> dump_commands() { return kCommands; }

}  // namespace quartet::server
