// quartet_differential: the same random commands to two servers, every reply compared.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "fuzzer.h"
#include "peer.h"

namespace {

using namespace quartet::test;

constexpr const char* usage =
    "usage: quartet_differential A B [options], where A and B are\n"
    "  --server-a HOST:PORT | --spawn-a BINARY      --server-b HOST:PORT | --spawn-b BINARY\n"
    "Both servers are emptied. Options:\n"
    "  --seeds N[,N...]      one run for each; a run is the same for the same seed (default: 1)\n"
    "  --commands N          how many each run sends (default: 200000)\n"
    "  --max-differences N   a run ends after so many (default: 10)\n"
    "  --compare-every N     commands between comparisons of the whole data (default: 20000)\n"
    "The last line is `N passed, N failed`: a run passes without a difference.\n";

struct CommandLine {
  std::optional<Peer> a, b;
  std::vector<std::uint64_t> seeds = {1};
  FuzzOptions options;
};

std::vector<std::uint64_t> parse_seeds(const std::string& text) {
  std::vector<std::uint64_t> seeds;
  std::istringstream numbers(text);
  for (std::string number; std::getline(numbers, number, ',');) seeds.push_back(std::stoull(number));
  return seeds;
}

std::optional<CommandLine> parse(const std::vector<std::string>& words) {
  CommandLine line;
  for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
    const std::string& name = words[i];
    const std::string& value = words[i + 1];
    if (name == "--server-a") line.a = Peer::at(value);
    else if (name == "--server-b") line.b = Peer::at(value);
    else if (name == "--spawn-a") line.a = Peer::spawned(value);
    else if (name == "--spawn-b") line.b = Peer::spawned(value);
    else if (name == "--seeds") line.seeds = parse_seeds(value);
    else if (name == "--commands") line.options.commands = std::stol(value);
    else if (name == "--max-differences") line.options.max_differences = std::stoi(value);
    else if (name == "--compare-every") line.options.compare_every = std::stol(value);
    else return std::nullopt;
  }
  if (words.size() % 2 != 0 || !line.a || !line.b || line.seeds.empty()) return std::nullopt;
  return line;
}

// Whether the servers agreed. A server that breaks off is a failure of this run; the next ones may find it alive.
bool passes(const Peer& a, const Peer& b, const FuzzOptions& options) {
  try {
    const auto begin = std::chrono::steady_clock::now();
    const int differences = Fuzzer(a, b, options).run();
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
    fmt::print("seed {}: {} differences between {} and {} ({:.1f} s)\n", options.seed, differences, a.name(), b.name(), time.count());
    return differences == 0;
  } catch (const std::runtime_error& error) {
    fmt::print("seed {}: {}\n", options.seed, error.what());
    return false;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const auto line = parse({argv + 1, argv + argc});
    if (!line) {
      fmt::print(stderr, "{}", usage);
      return 2;
    }
    std::size_t passed = 0;
    FuzzOptions options = line->options;
    for (const std::uint64_t seed : line->seeds) {
      options.seed = seed;
      passed += passes(*line->a, *line->b, options);
      std::fflush(stdout);
    }
    fmt::print("{} passed, {} failed\n", passed, line->seeds.size() - passed);
    return passed == line->seeds.size() ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}
