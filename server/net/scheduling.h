#pragma once

namespace quartet::net {

// What threads beside the loop's ask of the system's scheduler, each for itself, because they may have to share a core with the loop.
// Nothing happens where the system does not know it, or the thread has been given a policy of real time.

/// For short slices of time, which are given sooner (sched_setattr(2), Linux 6.12 and later): else work that clients wait for would begin,
/// and go on after each wait for the disk, only when the loop has nothing to do.
void ask_for_short_slices();

/// To come behind the loop (setpriority(2)): else work that nobody waits for would keep it waiting for some milliseconds at a time. Where the
/// loop is never idle this leaves the thread a tenth of the core, so that what it frees does not pile up.
void give_way();

}  // namespace quartet::net
