#pragma once

#include <uv.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace quartet::net {

/// One thread for work that clients wait for, which does one piece after the other. libuv's pool would have it wait behind whatever
/// else its threads do, and wake the loop through more hands.
///
/// The loop asks for what is done in each of its turns, and is woken only where it waits: whoever looks second, the loop that is
/// about to wait or the thread that has done a piece, sees what the other has said.
class Worker {
 public:
  Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  /// REQUIRES: close() was called, if open() was.
  ~Worker();

  // The loop's thread alone:

  /// What the loop has to know of it; 0, or libuv's error. To be called once. The loop outlives it. `worked` is told of each piece, before
  /// its `done` is called, what its work has allocated and not freed, in bytes.
  int open(uv_loop_t* loop, std::function<void(int64_t)> worked);
  /// Has `work` done, and then `done` called by `deliver`. The thread begins with the first piece; where there can be none, and once
  /// the worker is closed, the work is done at once.
  void run(std::function<void()> work, std::function<void()> done);
  /// Calls `done` of what has been done. To be called in every turn, before the loop waits.
  void deliver();
  /// To be called last before the loop waits, and first when it goes on.
  void loop_waits();
  void loop_goes_on() { waits_.store(false); }
  /// Waits for the thread to do all that it was given, delivers it, and closes what the loop knows of it, which takes a turn more.
  void close();

 private:
  struct Piece {
    std::function<void()> work, done;
    int64_t heap_balance = 0;  // what the work has allocated and not freed, in bytes
  };

  void begin();
  void serve();
  void wake();

  uv_poll_t poll_;
  int event_ = -1;  // eventfd(2), which wakes the loop
  std::function<void(int64_t)> worked_;
  std::thread thread_;
  bool closed_ = false;

  std::mutex mutex_;
  std::condition_variable given_;
  std::deque<Piece> to_do_;            // under mutex_
  bool ends_ = false;                  // under mutex_
  std::vector<Piece> done_;            // under mutex_
  std::atomic<bool> any_done_ = false;
  std::atomic<bool> waits_ = false;    // the loop does
  std::vector<Piece> delivered_;       // memory for the next ones
};

}  // namespace quartet::net
