#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/scan_options.h"
#include "server/server.h"

#include <algorithm>
#include <charconv>

namespace quartet::server {

namespace {

/// A cursor as C's strtoul reads it, but for spaces before it: "", "+5" and "-1" are cursors too.
bool parse_cursor(std::string_view text, uint64_t& cursor) {
  cursor = 0;
  if (text.empty()) return true;
  const bool negative = text.front() == '-';
  if (text.front() == '+' || negative) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cursor);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  if (negative) cursor = -cursor;
  return true;
}

}  // namespace

bool ScanOptions::read_cursor(Context& ctx, size_t at) {
  if (parse_cursor(ctx.arg(at), cursor)) {
    cursor <<= kHiddenBits;
    return true;
  }
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

void ScanReply::send(uint64_t cursor) {
  char text[kNumberChars];
  const auto end = std::to_chars(text, text + kNumberChars, cursor >> ScanOptions::kHiddenBits).ptr;
  ctx_.reply.array(2);
  ctx_.reply.bulk({text, static_cast<size_t>(end - text)});
  ctx_.reply.array(count_);
  ctx_.reply.buffer().take(out_);
}

namespace {

using storage::Entry;

void scan_command(Context& ctx) {
  ScanOptions options;
  if (!options.read_cursor(ctx, 1) || !options.read(ctx, 2, true)) return;
  if (ctx.takes_long(std::min(options.count, ctx.db().size()))) return;
  ScanReply found(ctx);
  std::vector<Entry*> expired;
  uint64_t cursor = options.cursor;
  size_t seen = 0;
  // A sparse table is not searched without end for one call.
  for (size_t buckets = 0; buckets < 10 * options.count; ++buckets) {
    ctx.breathe();
    cursor = ctx.db().scan(cursor, [&](Entry& entry) {
      ++seen;
      ctx.breathe_for(entry.key());
      if (entry.expired(ctx.now_ms())) {
        expired.push_back(&entry);
      } else if (options.matches(ctx, entry.key()) &&
                 (!options.has_type || equals_ignoring_case(options.type, storage::type_name(entry.type())))) {
        found.add(entry.key());
      }
    });
    if (cursor == 0 || seen >= options.count) break;
  }
  // To look an expired entry up is to erase it.
  for (const Entry* entry : expired) {
    ctx.breathe();
    ctx.db().find(entry->key(), ctx.now_ms());
  }
  found.send(cursor);
}

constexpr Command kCommands[] = {
    {.name = "scan", .arity = -2, .flags = kReadOnly,
     .categories = kKeyspace, .group = "generic", .since = "2.8.0", .complexity = "O(1)",
     .summary = "Walks through the keys of a database in slices.",
     .syntax = "cursor [MATCH pattern] [COUNT count] [TYPE type]",
     .handler = scan_command, .tips = tips::kNondeterministicSpecial},
};

}  // namespace

std::span<const Command> scan_commands() { return kCommands; }

}  // namespace quartet::server
