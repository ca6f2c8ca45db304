#pragma once

#include <span>
#include <string_view>

#include "server/context.h"
#include "storage/sorted_set.h"

/// What the files of the sorted set family share. Their one table of commands stands in sorted_sets.cc.
namespace quartet::server {

/// The reply of members in order, with or without their scores: a flat array, but in RESP3 a pair for each member that
/// has its score with it.
class ScoredReply {
 public:
  ScoredReply(Context& ctx, bool with_scores, size_t count)
      : ctx_(ctx), with_scores_(with_scores), pairs_(with_scores && ctx.reply.version() == 3) {
    ctx.reply.array(with_scores && !pairs_ ? 2 * count : count);
  }
  void add(std::string_view member, double score) {
    if (pairs_) ctx_.reply.array(2);
    ctx_.reply_element(member);
    if (with_scores_) ctx_.reply.number(score);
  }

 private:
  Context& ctx_;
  const bool with_scores_;
  const bool pairs_;
};

/// Makes `members` the value of `key`, whatever it held, and replies how many they are; where there are none, the key
/// is erased. They may be views into the old value. REQUIRES: ascending by (score, member) without repetition.
void store_sorted_set(Context& ctx, std::string_view key, std::span<const storage::ScoredMember> members,
                      std::string_view event);

// sorted_set_ranges.cc
void zcount_command(Context& ctx);
void zlexcount_command(Context& ctx);
void zrange_command(Context& ctx);
void zrangebylex_command(Context& ctx);
void zrangebyscore_command(Context& ctx);
void zrangestore_command(Context& ctx);
void zrevrange_command(Context& ctx);
void zrevrangebylex_command(Context& ctx);
void zrevrangebyscore_command(Context& ctx);
void zremrangebylex_command(Context& ctx);
void zremrangebyrank_command(Context& ctx);
void zremrangebyscore_command(Context& ctx);

// sorted_set_pops.cc
void zpopmin_command(Context& ctx);
void zpopmax_command(Context& ctx);
void zmpop_command(Context& ctx);
void bzpopmin_command(Context& ctx);
void bzpopmax_command(Context& ctx);
void bzmpop_command(Context& ctx);

// sorted_set_algebra.cc
void zdiff_command(Context& ctx);
void zdiffstore_command(Context& ctx);
void zinter_command(Context& ctx);
void zintercard_command(Context& ctx);
void zinterstore_command(Context& ctx);
void zunion_command(Context& ctx);
void zunionstore_command(Context& ctx);

}  // namespace quartet::server
