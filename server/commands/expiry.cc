#include "base/numbers.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/server.h"

#include <fmt/format.h>

namespace quartet::server {

namespace {

using storage::Entry;

// --- Setting an expiry -----------------------------------------------------------------------------------------------

/// The conditions under which EXPIRE and its kin set the expiry. A key without one counts as living for ever, and so
/// does one that has it from `default-ttl` alone: INCR and EXPIRE NX, as limits of rates are made, mean the same with
/// and without that.
struct Condition {
  bool nx = false, xx = false, gt = false, lt = false;

  void read(Arguments& in, std::string& error) {
    while (in.more()) {
      if (in.option("NX")) {
        nx = true;
      } else if (in.option("XX")) {
        xx = true;
      } else if (in.option("GT")) {
        gt = true;
      } else if (in.option("LT")) {
        lt = true;
      } else {
        error = fmt::format("ERR Unsupported option {}", in.next());
        return;
      }
    }
    if (nx && (xx || gt || lt)) {
      error = "ERR NX and XX, GT or LT options at the same time are not compatible";
    } else if (gt && lt) {
      error = "ERR GT and LT options at the same time are not compatible";
    }
  }
  bool allows(const Entry& entry, int64_t at_ms) const {
    const bool expires = entry.expires() && !entry.expires_by_default();
    if ((nx && expires) || (xx && !expires)) return false;
    if (gt && (!expires || at_ms <= entry.expiry())) return false;
    return !(lt && expires && at_ms >= entry.expiry());
  }
};

/// The absolute time in ms of a time in units of `unit_ms` behind `base_ms`; false where it cannot be told in ms.
bool absolute_ms(int64_t time, int64_t unit_ms, int64_t base_ms, int64_t& at_ms) {
  return !__builtin_mul_overflow(time, unit_ms, &at_ms) && !__builtin_add_overflow(at_ms, base_ms, &at_ms);
}

void set_expiry(Context& ctx, int64_t unit_ms, int64_t base_ms) {
  Arguments options(ctx, 3);
  Condition condition;
  std::string error;
  condition.read(options, error);
  if (!error.empty()) return ctx.reply.error(error);
  Arguments in(ctx, 2);
  const int64_t time = in.integer();
  if (!in.ok()) return;
  int64_t at_ms;
  if (!absolute_ms(time, unit_ms, base_ms, at_ms))
    return ctx.reply.error(fmt::format("ERR invalid expire time in '{}' command", ctx.command.full_name));

  const std::string_view key = ctx.arg(1);
  Entry* entry = ctx.find_write(key);
  if (!entry || !condition.allows(*entry, at_ms)) return ctx.reply.integer(0);
  if (at_ms <= ctx.now_ms()) {
    ctx.erase(entry);
    ctx.effect({"DEL", key});
  } else {
    ctx.db().set_expiry(entry, at_ms);
    ctx.changed(key, EventClass::Generic, "expire");
    char ms[kNumberChars];
    ctx.effect({"PEXPIREAT", key, {ms, format_int(at_ms, ms)}});
  }
  ctx.reply.integer(1);
}

void expire_command(Context& ctx) { set_expiry(ctx, 1000, ctx.relative_base_ms()); }
void expireat_command(Context& ctx) { set_expiry(ctx, 1000, 0); }
void pexpire_command(Context& ctx) { set_expiry(ctx, 1, ctx.relative_base_ms()); }
void pexpireat_command(Context& ctx) { set_expiry(ctx, 1, 0); }

void persist_command(Context& ctx) {
  Entry* entry = ctx.find_write(ctx.arg(1));
  if (!entry || !entry->expires()) return ctx.reply.integer(0);
  ctx.db().set_expiry(entry, -1);
  ctx.changed(ctx.arg(1), EventClass::Generic, "persist");
  ctx.reply.integer(1);
}

// --- Asking for it ---------------------------------------------------------------------------------------------------

int64_t rounded_seconds(int64_t ms) { return ms / 1000 + (ms % 1000 >= 500); }

/// Replies what `tell` makes of the expiry in ms; -1 where the key has none, -2 where there is no key.
template <class Tell>
void reply_expiry(Context& ctx, Tell tell) {
  const Entry* entry = ctx.find_untouched(ctx.arg(1));
  if (!entry) return ctx.reply.integer(-2);
  ctx.reply.integer(entry->expires() ? tell(entry->expiry()) : -1);
}

void ttl_command(Context& ctx) {
  reply_expiry(ctx, [&](int64_t at_ms) { return rounded_seconds(at_ms - ctx.now_ms()); });
}
void pttl_command(Context& ctx) {
  reply_expiry(ctx, [&](int64_t at_ms) { return at_ms - ctx.now_ms(); });
}
void expiretime_command(Context& ctx) { reply_expiry(ctx, rounded_seconds); }
void pexpiretime_command(Context& ctx) {
  reply_expiry(ctx, [](int64_t at_ms) { return at_ms; });
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "expire", .arity = -3, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Sets when a key expires, in seconds from now.",
     .syntax = "key seconds [NX | XX | GT | LT]",
     .handler = expire_command, .keys = keys::kUpdate},
    {.name = "expireat", .arity = -3, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "1.2.0", .complexity = "O(1)",
     .summary = "Sets when a key expires, in seconds of Unix time.",
     .syntax = "key unix-time-seconds [NX | XX | GT | LT]",
     .handler = expireat_command, .keys = keys::kUpdate},
    {.name = "expiretime", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "generic", .since = "7.0.0", .complexity = "O(1)",
     .summary = "Tells when a key expires, in seconds of Unix time.",
     .syntax = "key",
     .handler = expiretime_command, .keys = keys::kRead},
    {.name = "persist", .arity = 2, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Removes a key's expiry.",
     .syntax = "key",
     .handler = persist_command, .keys = keys::kUpdate},
    {.name = "pexpire", .arity = -3, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Sets when a key expires, in milliseconds from now.",
     .syntax = "key milliseconds [NX | XX | GT | LT]",
     .handler = pexpire_command, .keys = keys::kUpdate},
    {.name = "pexpireat", .arity = -3, .flags = kWrite | kFast,
     .categories = kKeyspace, .group = "generic", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Sets when a key expires, in milliseconds of Unix time.",
     .syntax = "key unix-time-milliseconds [NX | XX | GT | LT]",
     .handler = pexpireat_command, .keys = keys::kUpdate},
    {.name = "pexpiretime", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "generic", .since = "7.0.0", .complexity = "O(1)",
     .summary = "Tells when a key expires, in milliseconds of Unix time.",
     .syntax = "key",
     .handler = pexpiretime_command, .keys = keys::kRead},
    {.name = "pttl", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "generic", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Tells how many milliseconds a key has to live.",
     .syntax = "key",
     .handler = pttl_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
    {.name = "ttl", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kKeyspace, .group = "generic", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells how many seconds a key has to live.",
     .syntax = "key",
     .handler = ttl_command, .keys = keys::kRead, .tips = tips::kNondeterministic},
};

}  // namespace

std::span<const Command> expiry_commands() { return kCommands; }

}  // namespace quartet::server
