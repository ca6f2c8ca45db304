#include "server/group_commit.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

using namespace quartet;

namespace {

/// Clients with one request each, a server that executes one after the other, and a disk: how they take turns under GroupCommit.
struct Model {
  int64_t sync_us, execute_us, back_us;  // a job; a command; the way of a reply to its client and of the next request back
  size_t clients;

  /// Replies in a second of simulated time, after one to get used to each other.
  double rate() {
    server::GroupCommit commit;
    std::vector<int64_t> arrivals(clients, 0);  // when the next request of each client is there; those that wait are not in it
    size_t held = 0, in_job = 0;
    int64_t now = 0, job_ends = -1;
    uint64_t replies = 0;
    constexpr int64_t kWarm = 1'000'000;
    jobs = 0;
    while (now < 2 * kWarm) {
      // A turn: what has come is executed, and then the disk is looked after.
      const auto come = std::partition(arrivals.begin(), arrivals.end(), [&](int64_t at) { return at > now; });
      const auto executed = static_cast<size_t>(arrivals.end() - come);
      arrivals.erase(come, arrivals.end());
      held += executed;
      now += static_cast<int64_t>(executed) * execute_us + 1;
      if (job_ends >= 0 && job_ends <= now) {
        job_ends = -1;
        for (size_t i = 0; i < in_job; ++i) arrivals.push_back(now + back_us + static_cast<int64_t>(i));
        held -= in_job;
        if (now > kWarm) replies += in_job, ++jobs;
        commit.ended(now, in_job, held);
      }
      commit.arrived(now, held);
      if (job_ends < 0 && held > 0 && !commit.waits(now, held)) {
        commit.began(now);
        job_ends = now + sync_us;
        in_job = held;
      }
    }
    return static_cast<double>(replies);
  }
  uint64_t jobs = 0;
};

}  // namespace

TEST_CASE("on a slow disk one sync serves all clients", "[group_commit]") {
  for (const int64_t sync_us : {1'000, 5'000, 20'000}) {
    Model model{sync_us, 5, 50, 50};
    const double best = 50e6 / static_cast<double>(sync_us + 50 + 50 * 5 + 50);
    CHECK(model.rate() > 0.95 * best);
  }
}

TEST_CASE("on a disk that is faster than the clients come again, two groups take turns", "[group_commit]") {
  for (const int64_t sync_us : {200, 250, 300}) {
    Model model{sync_us, 5, 80, 50};
    const double together = 50e6 / static_cast<double>(sync_us + 80 + 50 * 5 + 50);
    CHECK(model.rate() > 1.1 * together);
  }
}

TEST_CASE("a lone client, and clients who take their time, wait for nobody", "[group_commit]") {
  Model lone{250, 5, 80, 1};
  CHECK(lone.rate() > 0.98 * 1e6 / (250 + 5 + 80 + 2));
  Model rare{250, 5, 20'000, 10};
  CHECK(rare.rate() > 0.97 * 10e6 / (250 + 5 + 20'000));
}

TEST_CASE("clients who go away are waited for once", "[group_commit]") {
  server::GroupCommit commit;
  int64_t now = 0;
  for (int job = 0; job < 20; ++job) {
    commit.began(now);
    now += 1000;
    commit.ended(now, 50, 0);
    now += 100;
    commit.arrived(now, 50);
  }
  REQUIRE(commit.waits(now, 20));
  int64_t waited = 0;
  while (commit.waits(now, 20)) now += 10, waited += 10;
  CHECK(waited <= 1000);
  commit.began(now);
  now += 1000;
  commit.ended(now, 20, 0);
  now += 50;
  commit.arrived(now, 20);
  CHECK_FALSE(commit.waits(now, 20));
}
