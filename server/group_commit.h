#pragma once

#include <cstddef>
#include <cstdint>

namespace quartet::server {

/// When the next job of the log begins under `appendfsync always`: at once, or when more clients wait for it, who can share its sync.
///
/// Clients whose replies one sync has let go come with their next requests together, and each has one at a time under way. Let S be
/// the time of a job, and R the time from letting all clients go until the commands that they send then are executed:
///
///     one group     | S | R | S | R | S |     all wait for one sync, which waits for all of them:   2 syncs in 2 (S + R)
///     two groups    | S | S | S | S | S |     while the disk works for one half of the clients,
///                     R   R   R   R           the commands of the other half are executed:          each served in 2 S
///
/// So one group is better where R < S, as with a slow disk, and two otherwise. Both times are measured as the clients come and go.
///
/// Life of a job: `began`, `ended` with the clients that it let go; `arrived` in every turn until `waits` says that the next one begins.
class GroupCommit {
 public:
  /// A job is handed out. All times are monotonic, in us.
  void began(int64_t now_us) { began_us_ = now_us; }
  /// It is done, has let the replies of `released` clients go, and left those of `held` clients waiting for the next one.
  void ended(int64_t now_us, size_t released, size_t held);
  /// So many clients wait now.
  void arrived(int64_t now_us, size_t held) {
    if (awaits_return_ && held >= held_ + released_) returned(now_us, released_);
  }
  /// Whether the next job is to be put off for others to join it, of which the `held` clients that wait now are to hear later.
  bool waits(int64_t now_us, size_t held) const;

 private:
  void returned(int64_t now_us, size_t clients);
  bool one_group() const { return return_us_ < job_us_ - job_us_ / 4; }

  int64_t began_us_ = 0, ended_us_ = 0;
  // When the last job ended: clients let go, and left waiting.
  size_t released_ = 0, held_ = 0;
  bool awaits_return_ = false;  // until those let go have come again
  size_t clients_ = 0;          // that take part
  int64_t job_us_ = 0;          // S and R, smoothed
  int64_t return_us_ = 0;
};

}  // namespace quartet::server
