#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/glob.h"
#include "base/numbers.h"
#include "server/arguments.h"

namespace quartet::server {

/// What SCAN, SSCAN, HSCAN and ZSCAN are asked for. The collection commands use it in Redis's order of checks:
///
///   ScanOptions options;
///   if (!options.read_cursor(ctx, 2)) return;
///   ... ctx.find_read of the key; where there is none: return ScanReply(ctx).send(0);
///   if (!options.read(ctx, 3)) return;
///   ScanReply found(ctx);
///   const uint64_t next = set.scan(options.cursor, options.count, [&](std::string_view member) {
///     if (options.matches(ctx, member)) found.add(member);
///   });
///   found.send(next);
struct ScanOptions {
  /// A position in the order of hashes (see Dict::scan). Clients see only its upper bits, so that those who keep
  /// cursors as signed integers or as doubles can hold them.
  uint64_t cursor = 0;
  static constexpr int kHiddenBits = 12;
  /// How many elements are wanted at least, before MATCH and TYPE; at most kMostCount.
  size_t count = 10;
  std::string_view pattern = "*";
  /// The type's name as the client wrote it; only where `takes_type`.
  std::string_view type = {};
  bool has_type = false;

  /// More than any collection holds, and small enough to be multiplied by what a scan allows itself for each element.
  static constexpr int64_t kMostCount = int64_t{1} << 40;

  /// Reads the cursor, which is argument `at`; false where it is none, with the error written.
  [[nodiscard]] bool read_cursor(Context& ctx, size_t at);
  /// Reads the options from argument `start` on; false where they are wrong, with the error written.
  [[nodiscard]] bool read(Context& ctx, size_t start, bool takes_type = false);

  bool matches(Context& ctx, std::string_view text) const {
    if (pattern == "*") return true;
    ctx.breathe_for(pattern);
    return glob_match(pattern, text, false, ctx.pauses);
  }
};

/// The reply of a scan: a cursor, known only at the end, and before that the elements found. They are written at once,
/// so that views given to it need not outlive the call.
class ScanReply {
 public:
  explicit ScanReply(Context& ctx) : ctx_(ctx), out_(ctx.reply.buffer().pool()), elements_(out_, ctx.reply.version()) {
    out_.set_bound(ctx.reply.buffer().bound());
  }
  void add(std::string_view element) {
    elements_.bulk(element, ctx_.pauses);
    ++count_;
  }
  /// Writes the reply with the cursor to go on from; 0 at the end.
  void send(uint64_t cursor);

 private:
  Context& ctx_;
  protocol::OutputBuffer out_;
  protocol::Reply elements_;
  size_t count_ = 0;
};

}  // namespace quartet::server
