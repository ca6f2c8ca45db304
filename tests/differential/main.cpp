// quartet_differential: the same random commands to two servers, every reply compared.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fuzzer.h"
#include "peer.h"

namespace {

using namespace quartet::test;

constexpr const char* usage =
    "usage: quartet_differential A B [options], where A and B are\n"
    "  --server-a HOST:PORT | --spawn-a BINARY      --server-b HOST:PORT | --spawn-b BINARY\n"
    "Both servers are emptied. Options:\n"
    "  --seed N              the run is the same for the same seed (default: 1)\n"
    "  --commands N          how many to send (default: 200000)\n"
    "  --max-differences N   ends after so many (default: 10)\n"
    "  --compare-every N     commands between comparisons of the whole data (default: 20000)\n";

struct CommandLine {
    std::optional<Peer> a, b;
    FuzzOptions options;
};

std::optional<CommandLine> parse(const std::vector<std::string>& words) {
    CommandLine line;
    for (std::size_t i = 0; i + 1 < words.size(); i += 2) {
        const std::string& name = words[i];
        const std::string& value = words[i + 1];
        if (name == "--server-a") line.a = Peer::at(value);
        else if (name == "--server-b") line.b = Peer::at(value);
        else if (name == "--spawn-a") line.a = Peer::spawned(value);
        else if (name == "--spawn-b") line.b = Peer::spawned(value);
        else if (name == "--seed") line.options.seed = std::stoull(value);
        else if (name == "--commands") line.options.commands = std::stol(value);
        else if (name == "--max-differences") line.options.max_differences = std::stoi(value);
        else if (name == "--compare-every") line.options.compare_every = std::stol(value);
        else return std::nullopt;
    }
    if (words.size() % 2 != 0 || !line.a || !line.b) return std::nullopt;
    return line;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        const auto line = parse({argv + 1, argv + argc});
        if (!line) {
            fmt::print(stderr, "{}", usage);
            return 2;
        }
        const auto begin = std::chrono::steady_clock::now();
        const int differences = Fuzzer(*line->a, *line->b, line->options).run();
        const std::chrono::duration<double> time = std::chrono::steady_clock::now() - begin;
        fmt::print("seed {}: {} differences between {} and {} ({:.1f} s)\n", line->options.seed, differences, line->a->name(),
                   line->b->name(), time.count());
        return differences == 0 ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}\n", error.what());
        return 2;
    }
}
