#include "storage/sorted_set.h"

#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "storage/charge_guard.h"

namespace quartet::storage {

namespace {

/// What the options make of a score, where the member has the score `present` or is not there.
ScoreResult decide(std::optional<double> present, double score, ScoreOptions options) {
  if (!present) return {options.only_existing ? ScoreChange::Refused : ScoreChange::Added, score};
  if (options.only_new) return {ScoreChange::Refused, *present};
  if (options.increment) {
    score += *present;
    if (std::isnan(score)) return {ScoreChange::NotANumber, *present};
  }
  if ((options.only_greater && score <= *present) || (options.only_less && score >= *present))
    return {ScoreChange::Refused, *present};
  return {score == *present ? ScoreChange::Unchanged : ScoreChange::Updated, score};
}

bool below(const ScoreRange& range, double score) {
  return range.min_exclusive ? score <= range.min : score < range.min;
}
bool above(const ScoreRange& range, double score) {
  return range.max_exclusive ? score >= range.max : score > range.max;
}
bool below(const LexBound& min, std::string_view member) {
  switch (min.kind) {
    case LexBound::Kind::Lowest: return false;
    case LexBound::Kind::Highest: return true;
    case LexBound::Kind::Inclusive: return member < min.value;
    case LexBound::Kind::Exclusive: return member <= min.value;
  }
  std::abort();
}
bool above(const LexBound& max, std::string_view member) {
  switch (max.kind) {
    case LexBound::Kind::Lowest: return true;
    case LexBound::Kind::Highest: return false;
    case LexBound::Kind::Inclusive: return member > max.value;
    case LexBound::Kind::Exclusive: return member >= max.value;
  }
  std::abort();
}

/// Whether a small set of `size` members with `member_bytes` altogether, the longest of `longest`, may stay small.
bool fits_block(const Thresholds& thresholds, size_t size, size_t longest, size_t member_bytes) {
  const auto within = [](size_t value, int64_t bound) { return bound >= 0 && value <= static_cast<uint64_t>(bound); };
  return within(size, thresholds.zset_max_listpack_entries) && within(longest, thresholds.zset_max_listpack_value) &&
         size <= ScoredBlock::kMaxSize && member_bytes <= ScoredBlock::kMaxMemberBytes;
}

bool fits_block(const Thresholds& thresholds, std::span<const ScoredMember> members) {
  if (!fits_block(thresholds, members.size(), 0, 0)) return false;
  size_t longest = 0, bytes = 0;
  for (const ScoredMember& each : members) {
    longest = std::max(longest, each.member.size());
    bytes += each.member.size();
  }
  return fits_block(thresholds, members.size(), longest, bytes);
}

std::string make_block(std::span<const ScoredMember> members) {
  size_t bytes = 0;
  for (const ScoredMember& each : members) bytes += each.member.size();
  std::string block(ScoredBlock::bytes_for(members.size(), bytes), '\0');
  for (size_t i = 0; i < members.size(); ++i)
    ScoredBlock::insert(block.data(), i, i, members[i].member, members[i].score);
  return block;
}

}  // namespace

SortedSetTable::SortedSetTable() : own_bytes_(malloc_usable_size(this)) {}
SortedSetTable::~SortedSetTable() = default;

std::unique_ptr<SortedSetTable> SortedSetTable::clone(Pauses* pauses) const {
  auto copy = std::make_unique<SortedSetTable>();
  if (size() > 0) {
    RankTree::visit(tree_.at(0), size(), false, [&](const Item& item) {
      breathe(pauses, 1 + work_of_bytes(item.member().size()));
      copy->insert(hash_bytes(item.member()), item.member(), item.score());
      return true;
    });
  }
  return copy;
}

void SortedSetTable::insert(uint64_t hash, std::string_view member, double score) {
  dict_.prefetch(hash);
  dict_.insert(hash, tree_.insert(score, member));
}

bool SortedSetTable::erase(uint64_t hash, std::string_view member) {
  Item* item = dict_.erase(hash, member);
  if (item) tree_.erase(item);
  return item != nullptr;
}

void SortedSetTable::erase_ranks(size_t rank, size_t count) {
  tree_.erase_ranks(rank, count, [&](Item& item) { dict_.erase(hash_bytes(item.member()), item.member()); });
}

SortedSetValue SortedSetValue::create(Keyspace& keyspace, std::string_view key) {
  return {keyspace, keyspace.create(key, Type::SortedSet, Encoding::Packed)};
}

SortedSetValue SortedSetValue::assign(Keyspace& keyspace, Entry* entry, std::string_view key,
                                      std::span<const ScoredMember> members, Pauses* pauses) {
  // The new value is made before the old one goes, because the members may lie in it.
  std::string packed;
  std::unique_ptr<SortedSetTable> table;
  if (fits_block(keyspace.thresholds(), members)) {
    packed = make_block(members);
  } else {
    table = std::make_unique<SortedSetTable>();
    for (const ScoredMember& each : members) {
      breathe(pauses, 1 + work_of_bytes(each.member.size()));
      table->insert(hash_bytes(each.member), each.member, each.score);
    }
  }
  const Encoding encoding = table ? Encoding::Table : Encoding::Packed;
  if (!entry) {
    entry = keyspace.create(key, Type::SortedSet, encoding, packed.size());
  } else {
    keyspace.before_replace(entry);
    keyspace.set_expiry(entry, -1);
    keyspace.reset(entry, Type::SortedSet, encoding, packed.size());
  }
  if (table) {
    keyspace.charge(static_cast<int64_t>(table->memory()));
    entry->set_pointer(table.release());
  } else {
    std::memcpy(entry->mutable_bytes(), packed.data(), packed.size());
  }
  return {keyspace, entry};
}

ScoreResult SortedSetValue::set(std::string_view member, double score, ScoreOptions options) {
  assert(!std::isnan(score));
  return large() ? set_large(member, score, options) : set_small(member, score, options);
}

ScoreResult SortedSetValue::set_large(std::string_view member, double score, ScoreOptions options) {
  const uint64_t hash = hash_bytes(member);
  RankedItem* item = table().find(hash, member);
  const ScoreResult result = decide(item ? std::optional(item->score()) : std::nullopt, score, options);
  if (result.change == ScoreChange::Updated) {
    const ChargeGuard charge(keyspace, table());
    table().set_score(item, result.score);
  } else if (result.change == ScoreChange::Added) {
    const ChargeGuard charge(keyspace, table());
    table().insert(hash, member, result.score);
  }
  return result;
}

ScoreResult SortedSetValue::set_small(std::string_view member, double score, ScoreOptions options) {
  const ScoredBlock old = block();
  const std::optional<size_t> from = old.find(member);
  const ScoreResult result = decide(from ? std::optional(old.score(*from)) : std::nullopt, score, options);
  if (result.change == ScoreChange::Updated) {
    const size_t before = old.lower_bound(result.score, member);
    // The member itself stands among those before its new place where it moves up.
    ScoredBlock::move(entry->mutable_bytes(), *from, before > *from ? before - 1 : before, result.score);
  } else if (result.change == ScoreChange::Added) {
    const size_t size = old.size(), bytes = old.member_bytes() + member.size();
    if (!fits_block(keyspace.thresholds(), size + 1, member.size(), bytes)) {
      convert_to_table();
      return set_large(member, score, options);
    }
    const size_t rank = old.lower_bound(result.score, member);
    keyspace.resize(entry, ScoredBlock::bytes_for(size + 1, bytes));
    ScoredBlock::insert(entry->mutable_bytes(), size, rank, member, result.score);
  }
  return result;
}

void SortedSetValue::convert_to_table() {
  auto made = std::make_unique<SortedSetTable>();
  for_each([&](std::string_view member, double score) {
    made->insert(hash_bytes(member), member, score);
    return true;
  });
  keyspace.reencode(entry, Encoding::Table);
  keyspace.charge(static_cast<int64_t>(made->memory()));
  entry->set_pointer(made.release());
}

bool SortedSetValue::erase(std::string_view member) {
  if (large()) {
    const ChargeGuard charge(keyspace, table());
    return table().erase(hash_bytes(member), member);
  }
  const std::optional<size_t> rank = block().find(member);
  if (rank) erase(slice(*rank, 1));
  return rank.has_value();
}

std::optional<double> SortedSetValue::score(std::string_view member) const {
  if (large()) {
    const RankedItem* item = table().find(hash_bytes(member), member);
    return item ? std::optional(item->score()) : std::nullopt;
  }
  const std::optional<size_t> rank = block().find(member);
  return rank ? std::optional(block().score(*rank)) : std::nullopt;
}

std::optional<size_t> SortedSetValue::rank(std::string_view member) const {
  if (!large()) return block().find(member);
  const RankedItem* item = table().find(hash_bytes(member), member);
  return item ? std::optional(table().tree().rank(item)) : std::nullopt;
}

std::optional<size_t> SortedSetValue::reverse_rank(std::string_view member) const {
  const std::optional<size_t> forward = rank(member);
  return forward ? std::optional(size() - 1 - *forward) : std::nullopt;
}

ScoredMember SortedSetValue::at(size_t rank) const {
  if (large()) return table().tree().at(rank).item()->scored();
  return {block().member(rank), block().score(rank)};
}

SortedSetValue::Slice SortedSetValue::slice(size_t start, size_t count, bool reverse) const {
  const size_t all = size();
  if (start >= all) return {};
  Slice found{std::min(count, all - start), reverse ? all - 1 - start : start, reverse, {}};
  if (large() && found.count > 0) found.cursor = table().tree().at(found.first);
  return found;
}

template <class IsBelow, class IsAbove>
SortedSetValue::Slice SortedSetValue::slice_between(IsBelow is_below, IsAbove is_above, bool reverse, size_t offset,
                                                    size_t limit) const {
  RankTree::Gap low, high;
  size_t begin, end;
  if (large()) {
    const RankTree& tree = table().tree();
    low = tree.partition_point(is_below);
    high = tree.partition_point([&](std::string_view member, double score) { return !is_above(member, score); });
    begin = low.rank();
    end = high.rank();
  } else {
    begin = block().partition_point(is_below);
    end = block().partition_point([&](std::string_view member, double score) { return !is_above(member, score); });
  }
  if (end <= begin || offset >= end - begin || limit == 0) return {};
  Slice found{std::min(limit, end - begin - offset), reverse ? end - 1 - offset : begin + offset, reverse, {}};
  if (large()) found.cursor = offset > 0 ? table().tree().at(found.first) : reverse ? high.before() : low.behind();
  return found;
}

SortedSetValue::Slice SortedSetValue::slice(const ScoreRange& range, bool reverse, size_t offset, size_t limit) const {
  return slice_between([&](std::string_view, double score) { return below(range, score); },
                       [&](std::string_view, double score) { return above(range, score); }, reverse, offset, limit);
}

SortedSetValue::Slice SortedSetValue::slice(const LexRange& range, bool reverse, size_t offset, size_t limit) const {
  return slice_between([&](std::string_view member, double) { return below(range.min, member); },
                       [&](std::string_view member, double) { return above(range.max, member); }, reverse, offset,
                       limit);
}

size_t SortedSetValue::work_of(const Slice& slice, size_t enough) const {
  // A few are not long, whatever they are; neither is a part of what is not long as a whole.
  constexpr size_t kFew = 16;
  if (slice.count <= kFew || slice.count >= enough) return slice.count;
  if (const size_t most = work_of_elements(slice.count, memory_of(*entry)); most < enough) return most;
  size_t work = 0;
  visit(slice, [&](std::string_view member, double) {
    work += work_of_bytes(member.size());
    return work < enough;
  });
  return work;
}

size_t SortedSetValue::erase(const Slice& slice, Pauses* pauses) {
  if (slice.count == 0) return 0;
  if (large()) {
    // In pieces, between which table and account are whole.
    for (size_t left = slice.count, piece = left; left > 0; left -= piece) {
      if (pauses) {
        constexpr size_t kAtOnce = 64;
        size_t work = piece = 0;
        RankTree::visit(table().tree().at(slice.lowest()), std::min(left, kAtOnce), false, [&](const RankedItem& item) {
          ++piece;
          work += 1 + work_of_bytes(item.member().size());
          return work < 2 * kAtOnce;
        });
        pauses->after(work);
      }
      const ChargeGuard charge(keyspace, table());
      table().erase_ranks(slice.lowest(), piece);
    }
    return slice.count;
  }
  ScoredBlock::erase(entry->mutable_bytes(), slice.lowest(), slice.count);
  const ScoredBlock rest = block();
  const size_t size = rest.size();
  keyspace.resize(entry, ScoredBlock::bytes_for(size, size == 0 ? 0 : rest.member_bytes()));
  return slice.count;
}

}  // namespace quartet::storage
