#pragma once

#include <fmt/format.h>

#include "server/arguments.h"

namespace quartet::server {

/// The expiry that SET, GETEX and their kin take: EX, PX, EXAT, PXAT, and KEEPTTL or PERSIST. At most one of them.
struct ExpiryOption {
  enum Also { kKeepTtl, kPersist };

  bool given = false;
  bool keep = false;
  bool persist = false;
  /// After resolve(): the absolute time, in ms since the epoch.
  int64_t at_ms = -1;

  /// Reads one option where the next argument is one; false where it is something else or the second of its kind.
  bool read(Arguments& in, Also also) {
    if (given || keep || persist) return false;
    if (also == kKeepTtl && in.option("KEEPTTL")) return keep = true;
    if (also == kPersist && in.option("PERSIST")) return persist = true;
    if (in.option("EX", 1)) return take(in, 1000, true);
    if (in.option("PX", 1)) return take(in, 1, true);
    if (in.option("EXAT", 1)) return take(in, 1000, false);
    if (in.option("PXAT", 1)) return take(in, 1, false);
    return false;
  }

  void set_relative(int64_t value, int64_t unit_ms) {
    given = relative_ = true;
    value_ = value;
    unit_ms_ = unit_ms;
  }

  /// Computes at_ms; false, with the error written, where the time is not positive or cannot be told in ms.
  [[nodiscard]] bool resolve(Context& ctx) {
    if (!given) return true;
    if (value_ > 0 && !__builtin_mul_overflow(value_, unit_ms_, &at_ms) &&
        (!relative_ || !__builtin_add_overflow(at_ms, ctx.now_ms(), &at_ms)))
      return true;
    ctx.reply.error(fmt::format("ERR invalid expire time in '{}' command", ctx.command.full_name));
    return false;
  }

 private:
  bool take(Arguments& in, int64_t unit_ms, bool relative) {
    value_ = in.integer();
    unit_ms_ = unit_ms;
    relative_ = relative;
    return given = true;
  }

  int64_t value_ = 0;
  int64_t unit_ms_ = 1;
  bool relative_ = false;
};

}  // namespace quartet::server
