#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <memory_resource>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/hash.h"
#include "server/arguments.h"
#include "server/commands/leftover.h"
#include "server/commands/sorted_sets.h"
#include "storage/dict.h"
#include "storage/set.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::ScoredMember;
using storage::SetValue;
using storage::SortedSetValue;
using storage::Type;

enum class Operation { Intersect, Unite, Subtract };
enum class Aggregate { Sum, Min, Max };

// --- Sources ---------------------------------------------------------------------------------------------------------

/// One input: a sorted set, a set, whose members count with the score 1, or, for a missing key, nothing.
struct Source {
  Entry* entry = nullptr;
  size_t size = 0;
  size_t work = 0;
  double weight = 1;
};

/// Calls `visit(member, score)` for each member until it returns false. Members of a set are good for the call only.
template <class Visit>
void for_each(Context& ctx, const Source& source, Visit visit) {
  if (!source.entry) return;
  if (source.entry->type() == Type::SortedSet) return SortedSetValue(ctx.db(), source.entry).for_each(visit);
  SetValue(ctx.db(), source.entry).for_each([&](std::string_view member) { return visit(member, 1.0); });
}

std::optional<double> score_in(Context& ctx, const Source& source, std::string_view member) {
  if (!source.entry) return {};
  if (source.entry->type() == Type::SortedSet) return SortedSetValue(ctx.db(), source.entry).score(member);
  return SetValue(ctx.db(), source.entry).contains(member) ? std::optional(1.0) : std::nullopt;
}

/// Scores are aggregated from the smallest source to the largest, which shows in the last digits of sums.
void sort_by_size(Context& ctx, std::vector<Source>& sources) {
  std::stable_sort(sources.begin(), sources.end(), [&](const Source& a, const Source& b) {
    ctx.breathe();
    return a.size < b.size;
  });
}

/// What a command of this file is asked for, from numkeys on.
struct Request {
  std::vector<Source> sources;
  Aggregate aggregate = Aggregate::Sum;
  bool with_scores = false;
  size_t limit = 0;  // of ZINTERCARD; 0: none
};

/// Reads numkeys and the keys, and looks these up; false where something is wrong, with the error written.
bool read_sources(Context& ctx, Arguments& in, std::vector<Source>& sources) {
  const int64_t count = in.integer();
  if (!in.failed() && count < 1) {
    ctx.reply.error(fmt::format("ERR at least 1 input key is needed for '{}' command", ctx.command.full_name));
    return false;
  }
  const Args keys = in.take(static_cast<size_t>(count));
  if (in.failed()) return in.ok();
  sources.reserve(keys.size());
  for (const std::string_view key : keys) {
    ctx.breathe();
    Entry* entry = ctx.find_read(key);
    if (entry && entry->type() != Type::SortedSet && entry->type() != Type::Set) {
      ctx.reply.error(errors::kWrongType);
      return false;
    }
    sources.push_back({entry, entry ? storage::length_of(*entry) : 0, entry ? storage::work_of(*entry) : 0});
  }
  return true;
}

Aggregate read_aggregate(Arguments& in) {
  if (in.option("SUM")) return Aggregate::Sum;
  if (in.option("MIN")) return Aggregate::Min;
  if (!in.option("MAX")) in.fail(errors::kSyntax);
  return Aggregate::Max;
}

/// Reads the arguments from numkeys, which is argument `at`; false where they are wrong, with the error written.
bool read(Context& ctx, size_t at, Operation operation, bool store, Request& request) {
  Arguments in(ctx, at);
  if (!read_sources(ctx, in, request.sources)) return false;
  while (in.more()) {
    if (operation != Operation::Subtract && in.option("WEIGHTS", request.sources.size())) {
      for (Source& source : request.sources) {
        ctx.breathe();
        source.weight = in.number("ERR weight value is not a float");
      }
    } else if (operation != Operation::Subtract && in.option("AGGREGATE", 1)) {
      request.aggregate = read_aggregate(in);
    } else if (!store && in.option("WITHSCORES")) {
      request.with_scores = true;
    } else {
      in.fail(errors::kSyntax);
    }
  }
  return in.ok();
}

// --- Combining -------------------------------------------------------------------------------------------------------

/// Opposite infinities, and an infinity with the weight 0, count as 0.
double zero_if_nan(double score) { return std::isnan(score) ? 0 : score; }

double combine_scores(Aggregate aggregate, double present, double score) {
  switch (aggregate) {
    case Aggregate::Sum: return zero_if_nan(present + score);
    case Aggregate::Min: return score < present ? score : present;
    case Aggregate::Max: return score > present ? score : present;
  }
  std::abort();
}

/// The members of a result with the bytes of those that come from sets; the others are views into the sources.
class Result {
 public:
  Result() = default;

  /// A view that stays good as long as this object and the sources do.
  std::string_view keep(const Source& source, std::string_view member) {
    if (source.entry->type() == Type::SortedSet || member.empty()) return member;
    char* copy = static_cast<char*>(bytes_.allocate(member.size(), 1));
    std::memcpy(copy, member.data(), member.size());
    return {copy, member.size()};
  }
  void sort(Context& ctx) {
    std::sort(members.begin(), members.end(), [&](const ScoredMember& a, const ScoredMember& b) {
      // Only equal scores leave it to the members.
      ctx.breathe(a.score == b.score ? work_of_bytes(std::min(a.member.size(), b.member.size())) : 1);
      return storage::scored_less(a.score, a.member, b.score, b.member);
    });
  }

  std::vector<ScoredMember> members;

  // The same while they are collected from several sources. Neither moves what it holds when it grows.
  struct Traits {
    using Item = ScoredMember;
    static std::string_view key(const ScoredMember& item) { return item.member; }
  };
  std::deque<ScoredMember> collected;
  storage::Dict<Traits> places;

 private:
  std::pmr::monotonic_buffer_resource bytes_;
};

/// Calls `visit(member, score)` for each member that is in all sources until it returns false.
/// REQUIRES: sorted by size.
template <class Visit>
void intersect(Context& ctx, const Request& request, Visit visit) {
  const std::vector<Source>& sources = request.sources;
  for_each(ctx, sources[0], [&](std::string_view member, double first) {
    ctx.breathe_for(member);
    double score = zero_if_nan(sources[0].weight * first);
    for (size_t i = 1; i < sources.size(); ++i) {
      ctx.breathe_for(member);
      const auto other = score_in(ctx, sources[i], member);
      if (!other) return true;
      score = combine_scores(request.aggregate, score, sources[i].weight * *other);
    }
    return visit(member, score);
  });
}

void unite(Context& ctx, const Request& request, Result& result) {
  for (const Source& source : request.sources) {
    for_each(ctx, source, [&](std::string_view member, double own) {
      ctx.breathe_for(member);
      const double score = zero_if_nan(source.weight * own);
      const uint64_t hash = hash_bytes(member);
      if (ScoredMember* present = result.places.find(hash, member)) {
        present->score = combine_scores(request.aggregate, present->score, score);
      } else {
        result.collected.push_back({result.keep(source, member), score});
        result.places.insert(hash, &result.collected.back());
      }
      return true;
    });
  }
  result.members.reserve(result.collected.size());
  for (const ScoredMember& each : result.collected) {
    ctx.breathe();
    result.members.push_back(each);
  }
}

void subtract(Context& ctx, const Request& request, Result& result) {
  const std::vector<Source>& sources = request.sources;
  result.members.reserve(sources[0].size);
  for_each(ctx, sources[0], [&](std::string_view member, double score) {
    ctx.breathe_for(member);
    for (size_t i = 1; i < sources.size(); ++i) {
      ctx.breathe_for(member);
      if (score_in(ctx, sources[i], member)) return true;
    }
    result.members.push_back({result.keep(sources[0], member), score});
    return true;
  });
}

/// All sources are gone through, or one of them, whose members are looked up in the others. REQUIRES: as for combine.
size_t work_of(Operation operation, const Request& request) {
  const std::vector<Source>& sources = request.sources;
  if (operation != Operation::Unite) return sources[0].work * sources.size();
  size_t work = 0;
  for (const Source& source : sources) work += source.work;
  return work;
}

/// REQUIRES: for all but a difference the sources are sorted by size.
void combine(Context& ctx, Operation operation, const Request& request, Result& result) {
  switch (operation) {
    case Operation::Intersect:
      result.members.reserve(request.sources[0].size);
      intersect(ctx, request, [&](std::string_view member, double score) {
        result.members.push_back({result.keep(request.sources[0], member), score});
        return true;
      });
      break;
    case Operation::Unite: unite(ctx, request, result); break;
    case Operation::Subtract: subtract(ctx, request, result); break;
  }
  result.sort(ctx);
}

void reply_combination(Context& ctx, Operation operation) {
  Request request;
  if (!read(ctx, 1, operation, false, request)) return;
  if (operation != Operation::Subtract) sort_by_size(ctx, request.sources);
  if (ctx.takes_long(work_of(operation, request))) return;
  const Leftover<std::unique_ptr<Result>> result(ctx, std::make_unique<Result>());
  combine(ctx, operation, request, **result);
  ScoredReply reply(ctx, request.with_scores, (*result)->members.size());
  for (const ScoredMember& each : (*result)->members) reply.add(each.member, each.score);
}

void store_combination(Context& ctx, Operation operation, std::string_view event) {
  if (ctx.takes_long(ctx.args.size())) return;
  Request request;
  if (!read(ctx, 2, operation, true, request)) return;
  if (operation != Operation::Subtract) sort_by_size(ctx, request.sources);
  if (ctx.takes_long(work_of(operation, request))) return;
  const Leftover<std::unique_ptr<Result>> result(ctx, std::make_unique<Result>());
  combine(ctx, operation, request, **result);
  store_sorted_set(ctx, ctx.arg(1), (*result)->members, event);
}

}  // namespace

void zdiff_command(Context& ctx) { reply_combination(ctx, Operation::Subtract); }
void zinter_command(Context& ctx) { reply_combination(ctx, Operation::Intersect); }
void zunion_command(Context& ctx) { reply_combination(ctx, Operation::Unite); }
void zdiffstore_command(Context& ctx) { store_combination(ctx, Operation::Subtract, "zdiffstore"); }
void zinterstore_command(Context& ctx) { store_combination(ctx, Operation::Intersect, "zinterstore"); }
void zunionstore_command(Context& ctx) { store_combination(ctx, Operation::Unite, "zunionstore"); }

void zintercard_command(Context& ctx) {
  Arguments in(ctx);
  Request request;
  if (!read_sources(ctx, in, request.sources)) return;
  while (in.more()) {
    if (in.option("LIMIT", 1)) {
      request.limit = static_cast<size_t>(in.integer_in(0, INT64_MAX, "ERR LIMIT can't be negative"));
    } else {
      in.fail(errors::kSyntax);
    }
  }
  if (!in.ok()) return;
  sort_by_size(ctx, request.sources);
  if (ctx.takes_long(work_of(Operation::Intersect, request))) return;
  size_t members = 0;
  intersect(ctx, request, [&](std::string_view, double) { return ++members != request.limit; });
  ctx.reply.integer(static_cast<int64_t>(members));
}

}  // namespace quartet::server
