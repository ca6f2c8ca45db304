#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <utility>

#include "server/server.h"

/// The process around a server core, as tests play it.
namespace quartet::test {

/// Remembers that the process was to end.
class EndingHost final : public server::Host {
 public:
  void stop(int status) override { ended = status; }
  void poll_input() override {
    if (on_poll) on_poll();
  }

  std::optional<int> ended;       ///< with this status
  std::function<void()> on_poll;  ///< called while a script runs long
};

/// Does the work for other threads at once.
class ImmediateBackground final : public server::Background {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    work();
    done();
  }
};

/// Keeps the work for other threads until the test wants it done.
class HeldBackground final : public server::Background {
 public:
  struct Job {
    std::function<void()> work, done;
  };

  void run(std::function<void()> work, std::function<void()> done) override {
    jobs.push_back({std::move(work), std::move(done)});
  }
  /// Does the first job, and tells the core. REQUIRES: there is one.
  void do_next() {
    const Job job = std::move(jobs.front());
    jobs.pop_front();
    job.work();
    job.done();
  }

  std::deque<Job> jobs;
};

}  // namespace quartet::test
