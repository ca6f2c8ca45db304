#include "server/commands/families.h"
#include "server/commands/scan_options.h"
#include "server/server.h"

#include <algorithm>
#include <charconv>

namespace quartet::server {

namespace {

/// A cursor as C's strtoul reads it, but for spaces before it: "", "+5" and "-1" are cursors too.
bool parse_cursor(std::string_view text, uint64_t& cursor) {
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '+' || negative)) text.remove_prefix(1);
  cursor = 0;
  if (text.empty()) return true;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cursor);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (negative) cursor = -cursor;
  return true;
}

}  // namespace

bool ScanOptions::read_cursor(Context& ctx, size_t at) {
  if (parse_cursor(ctx.arg(at), cursor)) return true;
  ctx.reply.error("ERR invalid cursor");
  return false;
}

bool ScanOptions::read(Context& ctx, size_t start, bool takes_type) {
  Arguments in(ctx, start);
  while (in.more()) {
    if (in.option("COUNT", 1)) {
      const int64_t wanted = in.integer();
      if (wanted < 1) in.fail(errors::kSyntax);
      count = static_cast<size_t>(std::min(wanted, kMostCount));
    } else if (in.option("MATCH", 1)) {
      pattern = in.next();
    } else if (takes_type && in.option("TYPE", 1)) {
      type = in.next();
      has_type = true;
    } else {
      in.fail(errors::kSyntax);
    }
  }
  return in.ok();
}

void ScanReply::send(Context& ctx, uint64_t cursor) const {
  char text[kNumberChars];
  const auto end = std::to_chars(text, text + kNumberChars, cursor).ptr;
  ctx.reply.array(2);
  ctx.reply.bulk({text, static_cast<size_t>(end - text)});
  ctx.reply.array(ends_.size());
  size_t begin = 0;
  for (const size_t element_end : ends_) {
    ctx.reply.bulk(std::string_view(bytes_).substr(begin, element_end - begin));
    begin = element_end;
  }
}

}  // namespace quartet::server
