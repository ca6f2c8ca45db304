#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "server/arguments.h"
#include "server/commands/leftover.h"
#include "server/commands/sorted_sets.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::LexBound;
using storage::LexRange;
using storage::ScoredMember;
using storage::ScoreRange;
using storage::SortedSetValue;
using storage::Type;

constexpr std::string_view kScoreBounds = "ERR min or max is not a float";
constexpr std::string_view kLexBounds = "ERR min or max not valid string range item";

// --- Bounds ----------------------------------------------------------------------------------------------------------

/// A bound is read more freely than a score: it may begin with spaces, be empty (0) or lie beyond the range of a
/// double.
std::optional<double> parse_bound(std::string_view text) {
  if (const auto value = parse_double(text)) return value;
  const std::string terminated(text);
  char* end;
  const double value = std::strtod(terminated.c_str(), &end);
  if (*end != '\0' || std::isnan(value)) return {};
  return value;
}

bool read_bound(std::string_view text, double& value, bool& exclusive) {
  exclusive = text.starts_with('(');
  const auto parsed = parse_bound(exclusive ? text.substr(1) : text);
  if (parsed) value = *parsed;
  return parsed.has_value();
}

bool read_bound(std::string_view text, LexBound& bound) {
  if (text == "-") {
    bound = {LexBound::Kind::Lowest};
  } else if (text == "+") {
    bound = {LexBound::Kind::Highest};
  } else if (text.starts_with('[')) {
    bound = {LexBound::Kind::Inclusive, text.substr(1)};
  } else if (text.starts_with('(')) {
    bound = {LexBound::Kind::Exclusive, text.substr(1)};
  } else {
    return false;
  }
  return true;
}

enum class By { Rank, Score, Lex };

/// The bounds of a range as a command gives them, by any of the three orders.
struct Bounds {
  By by = By::Rank;
  int64_t start = 0, stop = 0;  // By::Rank: negative from the end
  ScoreRange scores;
  LexRange members;

  /// Reads both bounds; an error of `in` where they are none.
  void read(Arguments& in, std::string_view low, std::string_view high) {
    switch (by) {
      case By::Rank: {
        const auto first = parse_int(low), last = parse_int(high);
        if (!first || !last) in.fail(errors::kNotInteger);
        start = first.value_or(0);
        stop = last.value_or(0);
        return;
      }
      case By::Score:
        if (!read_bound(low, scores.min, scores.min_exclusive) || !read_bound(high, scores.max, scores.max_exclusive))
          in.fail(kScoreBounds);
        return;
      case By::Lex:
        if (!read_bound(low, members.min) || !read_bound(high, members.max)) in.fail(kLexBounds);
        return;
    }
  }

  /// The members within; `offset` and `limit` are not for ranks.
  SortedSetValue::Slice select(const SortedSetValue& set, bool reverse = false, size_t offset = 0,
                               size_t limit = SIZE_MAX) const {
    switch (by) {
      case By::Score: return set.slice(scores, reverse, offset, limit);
      case By::Lex: return set.slice(members, reverse, offset, limit);
      case By::Rank: break;
    }
    const auto size = static_cast<int64_t>(set.size());
    const int64_t first = start < 0 ? std::max<int64_t>(start + size, 0) : start;
    const int64_t last = std::min(stop < 0 ? stop + size : stop, size - 1);
    if (first > last) return {};
    return set.slice(static_cast<size_t>(first), static_cast<size_t>(last - first + 1), reverse);
  }
};

// --- ZRANGE and its kin ----------------------------------------------------------------------------------------------

/// What the name of a command has settled already; the rest is left to its options.
struct RangeForm {
  std::optional<By> by = {};
  std::optional<bool> reverse = {};
  bool store = false;
};

/// The arguments min max [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES].
struct RangeRequest {
  Bounds bounds;
  bool reverse = false;
  bool with_scores = false;
  int64_t offset = 0, limit = -1;

  /// Reads from argument `at` on; false where they are wrong, with the error written.
  [[nodiscard]] bool read(Context& ctx, size_t at, RangeForm form) {
    Arguments in(ctx, at + 2);
    while (in.more()) {
      if (!form.store && in.option("WITHSCORES")) {
        with_scores = true;
      } else if (in.option("LIMIT", 2)) {
        offset = in.integer();
        limit = in.integer();
      } else if (!form.reverse && in.option("REV")) {
        form.reverse = true;
      } else if (!form.by && in.option("BYSCORE")) {
        form.by = By::Score;
      } else if (!form.by && in.option("BYLEX")) {
        form.by = By::Lex;
      } else {
        in.fail(errors::kSyntax);
      }
    }
    bounds.by = form.by.value_or(By::Rank);
    reverse = form.reverse.value_or(false);
    if (limit != -1 && bounds.by == By::Rank)
      in.fail("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
    if (with_scores && bounds.by == By::Lex)
      in.fail("ERR syntax error, WITHSCORES not supported in combination with BYLEX");
    // A reversed range names its upper bound first, unless it is of ranks.
    const bool swapped = reverse && bounds.by != By::Rank;
    bounds.read(in, ctx.arg(swapped ? at + 1 : at), ctx.arg(swapped ? at : at + 1));
    return in.ok();
  }

  SortedSetValue::Slice select(const SortedSetValue& set) const {
    if (bounds.by == By::Rank) return bounds.select(set, reverse);
    if (offset < 0) return {};
    return bounds.select(set, reverse, static_cast<size_t>(offset), limit < 0 ? SIZE_MAX : static_cast<size_t>(limit));
  }
};

void reply_range(Context& ctx, RangeForm form) {
  RangeRequest request;
  if (!request.read(ctx, 2, form)) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) return;
  if (!entry) return ctx.reply.array(0);
  const SortedSetValue set(ctx.db(), entry);
  const SortedSetValue::Slice range = request.select(set);
  if (ctx.takes_long(range.count)) return;
  ScoredReply reply(ctx, request.with_scores, range.count);
  set.visit(range, [&](std::string_view member, double score) {
    reply.add(member, score);
    return true;
  });
}

// --- Counting and removing -------------------------------------------------------------------------------------------

/// Reads bounds from arguments 2 and 3; no value, with the error written, where they are none.
std::optional<Bounds> read_bounds(Context& ctx, By by) {
  Arguments in(ctx);
  Bounds bounds{.by = by, .scores = {}, .members = {}};
  bounds.read(in, ctx.arg(2), ctx.arg(3));
  if (!in.ok()) return {};
  return bounds;
}

void count_range(Context& ctx, By by) {
  const auto bounds = read_bounds(ctx, by);
  Entry* entry;
  if (!bounds || !ctx.find_read(ctx.arg(1), Type::SortedSet, entry)) return;
  ctx.reply.integer(entry ? static_cast<int64_t>(bounds->select(SortedSetValue(ctx.db(), entry)).count) : 0);
}

void remove_range(Context& ctx, By by, std::string_view event) {
  const auto bounds = read_bounds(ctx, by);
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!bounds || !ctx.find_write(key, Type::SortedSet, entry)) return;
  if (!entry) return ctx.reply.integer(0);
  SortedSetValue set(ctx.db(), entry);
  const SortedSetValue::Slice range = bounds->select(set);
  if (ctx.takes_long(set.work_of(range, ctx.long_work))) return;
  const size_t removed = set.erase(range, ctx.pauses);
  if (removed) {
    ctx.changed(key, EventClass::SortedSet, event, removed);
    ctx.erase_if_empty(set.entry);
  }
  ctx.reply.integer(static_cast<int64_t>(removed));
}

}  // namespace

void zrange_command(Context& ctx) { reply_range(ctx, {}); }
void zrevrange_command(Context& ctx) { reply_range(ctx, {By::Rank, true}); }
void zrangebyscore_command(Context& ctx) { reply_range(ctx, {By::Score, false}); }
void zrevrangebyscore_command(Context& ctx) { reply_range(ctx, {By::Score, true}); }
void zrangebylex_command(Context& ctx) { reply_range(ctx, {By::Lex, false}); }
void zrevrangebylex_command(Context& ctx) { reply_range(ctx, {By::Lex, true}); }

void zrangestore_command(Context& ctx) {
  RangeRequest request;
  if (!request.read(ctx, 3, {.store = true})) return;
  Entry* entry;
  if (!ctx.find_read(ctx.arg(2), Type::SortedSet, entry)) return;
  Leftover<std::vector<ScoredMember>> result(ctx);
  std::vector<ScoredMember>& members = *result;
  if (entry) {
    const SortedSetValue set(ctx.db(), entry);
    const SortedSetValue::Slice range = request.select(set);
    if (ctx.takes_long(set.work_of(range, ctx.long_work))) return;
    members.reserve(range.count);
    set.visit(range, [&](std::string_view member, double score) {
      ctx.breathe();
      members.push_back({member, score});
      return true;
    });
    if (request.reverse) std::reverse(members.begin(), members.end());
  }
  store_sorted_set(ctx, ctx.arg(1), members, "zrangestore");
}

void zcount_command(Context& ctx) { count_range(ctx, By::Score); }
void zlexcount_command(Context& ctx) { count_range(ctx, By::Lex); }

void zremrangebyrank_command(Context& ctx) { remove_range(ctx, By::Rank, "zremrangebyrank"); }
void zremrangebyscore_command(Context& ctx) { remove_range(ctx, By::Score, "zremrangebyscore"); }
void zremrangebylex_command(Context& ctx) { remove_range(ctx, By::Lex, "zremrangebylex"); }

}  // namespace quartet::server
