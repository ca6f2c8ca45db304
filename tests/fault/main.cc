// Histories of a whole server on a disk that fails and loses power; what is checked stands in simulation.h.
//
//   quartet_fault [RUNS [SEED]]
//
// QUARTET_FAULT_RUNS and QUARTET_FAULT_SEED say the same. A seed alone is one run, with the server's log.

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simulation.h"

namespace {

uint64_t number(int argc, char** argv, int index, const char* variable, uint64_t otherwise) {
  const char* text = argc > index ? argv[index] : std::getenv(variable);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// What a crash prints: the seed of the run that it happened in, made ready before the run.
char crash_note[64];

void say_seed(int signal) {
  static_cast<void>(!write(STDOUT_FILENO, crash_note, std::strlen(crash_note)));
  std::raise(signal);  // the default action, which was restored when the handler was entered
}

void note_seed(uint64_t seed) {
  *fmt::format_to_n(crash_note, sizeof crash_note - 1, "QUARTET_FAULT_SEED={}: crashed\n", seed).out = '\0';
}

void say_seed_at_crashes() {
  struct sigaction action {};
  action.sa_handler = say_seed;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  using quartet::test::Simulation;
  constexpr uint64_t kRuns = 2000;
  const uint64_t seed = number(argc, argv, 2, "QUARTET_FAULT_SEED", 0);
  const uint64_t runs = number(argc, argv, 1, "QUARTET_FAULT_RUNS", seed ? 1 : kRuns);
  const uint64_t first = seed ? seed : quartet::entropy() >> 20;
  uint64_t failed = 0;
  Simulation::Counts all;
  say_seed_at_crashes();
  for (uint64_t at = first; at < first + runs; ++at) {
    note_seed(at);
    Simulation simulation(at, seed && runs == 1);
    const std::string problem = simulation.run();
    const Simulation::Counts& counts = simulation.counts();
    all.lives += counts.lives, all.effects += counts.effects, all.power_cuts += counts.power_cuts, all.promises += counts.promises;
    all.rewrites += counts.rewrites, all.saves += counts.saves, all.refusals += counts.refusals;
    if (problem.empty()) continue;
    ++failed;
    fmt::print("QUARTET_FAULT_SEED={}: {}\n", at, problem);
    std::fflush(stdout);
  }
  fmt::print("Seeds {} to {}: {} lives, {} power cuts, {} effects, {} promises, {} rewrites, {} snapshots, {} writes refused\n",
             first, first + runs - 1, all.lives, all.power_cuts, all.effects, all.promises, all.rewrites, all.saves, all.refusals);
  fmt::print("{} passed, {} failed\n", runs - failed, failed);
  return failed ? 1 : 0;
}
