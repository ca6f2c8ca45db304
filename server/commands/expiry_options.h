#pragma once

#include <fmt/format.h>

#include "base/numbers.h"
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

  /// Reads one option where the next argument is one; false where it is something else, or does not go with an earlier
  /// one. The same option may come again; the last one counts.
  bool read(Arguments& in, Also also) {
    if (also == kKeepTtl && !given && in.option("KEEPTTL")) return keep = true;
    if (also == kPersist && !given && in.option("PERSIST")) return persist = true;
    if (keep || persist) return false;
    return take(in, "EX", 1000, true) || take(in, "PX", 1, true) || take(in, "EXAT", 1000, false) ||
           take(in, "PXAT", 1, false);
  }

  void set_relative(std::string_view text, int64_t unit_ms) {
    given = relative_ = true;
    text_ = text;
    unit_ms_ = unit_ms;
  }

  /// Computes at_ms; false, with the error written, where the time is no number, not positive, or cannot be told in ms.
  [[nodiscard]] bool resolve(Context& ctx) {
    if (!given) return true;
    const auto value = parse_int(text_);
    if (!value) {
      ctx.reply.error(errors::kNotInteger);
      return false;
    }
    if (*value > 0 && !__builtin_mul_overflow(*value, unit_ms_, &at_ms) &&
        (!relative_ || !__builtin_add_overflow(at_ms, ctx.relative_base_ms(), &at_ms)))
      return true;
    ctx.reply.error(fmt::format("ERR invalid expire time in '{}' command", ctx.command.full_name));
    return false;
  }

 private:
  bool take(Arguments& in, std::string_view word, int64_t unit_ms, bool relative) {
    if ((given && word != word_) || !in.option(word, 1)) return false;
    word_ = word;
    text_ = in.next();
    unit_ms_ = unit_ms;
    relative_ = relative;
    return given = true;
  }

  std::string_view word_;
  std::string_view text_;
  int64_t unit_ms_ = 1;
  bool relative_ = false;
};

}  // namespace quartet::server
