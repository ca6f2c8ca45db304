// Histories of many clients of one server in this process; what is checked stands in simulation.h.
//
//   quartet_sessions [TURNS [SEED]]
//
// QUARTET_SESSION_TURNS and QUARTET_SESSION_SEED say the same. A seed alone is one run, with everything that happens in
// it.

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "simulation.h"

/// Of the sanitizers, where there are any: what is called before they end the process.
extern "C" void __sanitizer_set_death_callback(void (*callback)()) __attribute__((weak));

namespace {

uint64_t number(int argc, char** argv, int index, const char* variable, uint64_t otherwise) {
  const char* text = argc > index ? argv[index] : std::getenv(variable);
  return text && *text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// What a crash prints: the seed of the run that it happened in, made ready before the run.
char crash_note[64];

void say_seed() { static_cast<void>(!write(STDOUT_FILENO, crash_note, std::strlen(crash_note))); }

void say_seed_of(int signal) {
  say_seed();
  std::raise(signal);  // the default action, which was restored when the handler was entered
}

void note_seed(uint64_t seed) {
  *fmt::format_to_n(crash_note, sizeof crash_note - 1, "QUARTET_SESSION_SEED={}: crashed\n", seed).out = '\0';
}

void say_seed_at_crashes() {
  // A sanitizer's report has the stack, and its own handlers stay.
  if (__sanitizer_set_death_callback) return __sanitizer_set_death_callback(say_seed);
  struct sigaction action {};
  action.sa_handler = say_seed_of;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (int signal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) sigaction(signal, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  using quartet::test::Simulation;
  // The same histories each time, so that what fails has come with a change. A long run begins at a seed of its own.
  constexpr uint64_t kTurns = 100'000, kTurnsOfARun = 1000, kFirstSeed = 100'000;
  const uint64_t seed = number(argc, argv, 2, "QUARTET_SESSION_SEED", 0);
  const bool one = seed && argc <= 1 && !std::getenv("QUARTET_SESSION_TURNS");
  const uint64_t turns = one ? 1 : number(argc, argv, 1, "QUARTET_SESSION_TURNS", kTurns);
  const uint64_t first = seed ? seed : kFirstSeed;
  uint64_t passed = 0, failed = 0;
  Simulation::Counts all;
  say_seed_at_crashes();
  for (uint64_t at = first; all.turns < turns; ++at) {
    note_seed(at);
    Simulation simulation(at, one);
    const std::string problem = simulation.run(kTurnsOfARun);
    all += simulation.counts();
    ++(problem.empty() ? passed : failed);
    if (problem.empty()) continue;
    fmt::print("QUARTET_SESSION_SEED={}: {}\n", at, problem);
    std::fflush(stdout);
  }
  fmt::print("Seeds {} to {}: {}\n", first, first + passed + failed - 1, all.text());
  fmt::print("{} passed, {} failed\n", passed, failed);
  return failed ? 1 : 0;
}
