#pragma once

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "server/server.h"
#include "simulated_disk.h"

namespace quartet::test {

/// Other threads as seeded moments of simulated time: a job's work happens some time after it was handed over, in any order
/// among the jobs that wait, and the loop hears of it when the disk has taken its time and a little more.
class LateBackground final : public server::Background {
 public:
  /// Each way takes up to `delay_us`.
  LateBackground(SimulatedDisk& disk, uint64_t seed, int64_t delay_us) : disk_(disk), random_(seed), delay_us_(delay_us) {}

  void run(std::function<void()> work, std::function<void()> done) override {
    jobs_.push_back({now_us_ + delay(), false, std::move(work), std::move(done)});
  }

  /// Lets happen what is due by now, until the power goes; `heard` is called after each job that the loop heard of.
  template <class Heard>
  void advance(int64_t now_us, Heard heard) {
    now_us_ = now_us;
    while (disk_.has_power()) {
      const auto next = std::min_element(jobs_.begin(), jobs_.end(), [](const Job& a, const Job& b) { return a.at_us < b.at_us; });
      if (next == jobs_.end() || next->at_us > now_us) return;
      if (!next->worked) {
        disk_.take_elapsed_us();
        next->work();
        next->worked = true;
        next->at_us += disk_.take_elapsed_us() + delay();
        continue;
      }
      const std::function<void()> done = std::move(next->done);
      jobs_.erase(next);
      done();
      heard();
    }
  }

 private:
  struct Job {
    int64_t at_us;
    bool worked;
    std::function<void()> work, done;
  };

  int64_t delay() { return static_cast<int64_t>(random_.below(static_cast<uint64_t>(delay_us_) + 1)); }

  SimulatedDisk& disk_;
  Random random_;
  const int64_t delay_us_;
  int64_t now_us_ = 0;
  std::vector<Job> jobs_;
};

}  // namespace quartet::test
