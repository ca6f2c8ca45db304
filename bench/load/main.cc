#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/numbers.h"
#include "bench/load/runner.h"

namespace {

using namespace quartet;

constexpr std::string_view kUsage =
    "Usage: quartet_load --port PORT --case NAME [--option value ...]\n"
    "\n"
    "Puts load on a server at 127.0.0.1 and prints one line of what came of it; latencies are microseconds.\n"
    "\n"
    "  --connections N    default 50\n"
    "  --idle N           connections beside them that say nothing, default 0\n"
    "  --pipeline P       requests that a connection sends at once, default 1\n"
    "  --requests N       of all connections together, default 100000\n"
    "  --seconds S        the run ends then at the latest, default 60\n"
    "  --keys K           keys, members and scores are drawn from K numbers, default 1000000\n"
    "  --value-size B     bytes, default 3\n"
    "  --seed N           the same seed draws the same keys, default 1\n"
    "  --order ORDER      random (default), or sequential: 0, 1, 2, ... K - 1, and again\n"
    "  --server-pid PID   the server's process: print its CPU time during the run and its memory at the end\n"
    "\n"
    "SIGTERM and SIGINT end the run early. The cases (those with MC_ speak memcached's text protocol):\n";

std::string usage() {
  std::string text(kUsage);
  size_t column = 0;
  for (const load::Case& one : load::all_cases())
    text.append(column++ % 8 == 0 ? (column == 1 ? "  " : "\n  ") : " ").append(one.name);
  return text + "\n";
}

int fail(std::string_view reason) {
  fmt::print(stderr, "quartet_load: {}\n", reason);
  return 2;
}

/// Sets what the option `name` names. The reason why not, where that is impossible.
std::optional<std::string> set_option(load::Plan& plan, std::string_view name, std::string_view text) {
  if (name == "--case") {
    std::optional<load::Case> found = load::find_case(to_upper(text));
    if (!found) return fmt::format("there is no case {}; see --help", text);
    plan.command = std::move(*found);
    return std::nullopt;
  }
  if (name == "--order") {
    if (text != "random" && text != "sequential") return "--order is random or sequential";
    plan.sequential = text == "sequential";
    return std::nullopt;
  }

  const auto number = [&](auto& target, uint64_t least, uint64_t most,
                          uint64_t unit = 1) -> std::optional<std::string> {
    const std::optional<uint64_t> value = parse_uint(text);
    if (!value || *value < least || *value > most)
      return fmt::format("{} is a number from {} to {}", name, least, most);
    target = static_cast<std::remove_reference_t<decltype(target)>>(*value * unit);
    return std::nullopt;
  };
  if (name == "--port") return number(plan.port, 1, 65535);
  if (name == "--connections") return number(plan.connections, 1, 50'000);
  if (name == "--idle") return number(plan.idle, 0, 50'000);
  if (name == "--pipeline") return number(plan.pipeline, 1, 10'000);
  if (name == "--requests") return number(plan.requests, 1, 10'000'000'000);
  if (name == "--seconds") return number(plan.microseconds, 1, 86'400, 1'000'000);
  if (name == "--keys") return number(plan.keys, 1, 1'000'000'000'000);
  if (name == "--value-size") return number(plan.value_size, 0, 1024 * 1024);
  if (name == "--seed") return number(plan.seed, 0, UINT64_MAX);
  if (name == "--server-pid") return number(plan.server, 1, INT32_MAX);
  return fmt::format("there is no option {}; see --help", name);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    fmt::print("{}", usage());
    return 0;
  }
  load::Plan plan;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return fail(fmt::format("{} needs a value", argv[i]));
    if (const std::optional<std::string> error = set_option(plan, argv[i], argv[i + 1])) return fail(*error);
  }
  if (plan.port == 0 || plan.command.words.empty()) return fail("--port and --case are needed; see --help");

  const std::variant<load::Outcome, std::string> result = load::run(plan);
  if (const std::string* reason = std::get_if<std::string>(&result)) return fail(*reason);
  const load::Outcome& outcome = std::get<load::Outcome>(result);
  const double seconds = static_cast<double>(outcome.microseconds) / 1e6;
  const load::Latencies& latencies = outcome.latencies;
  fmt::print("case={} pipeline={} replies={} errors={} seconds={:.6f} throughput={:.0f} server_cpu_us={:.0f} "
             "server_rss={:.0f} p50={} p99={} p99.9={} max={}\n",
             plan.command.name, plan.pipeline, outcome.replies, outcome.errors, seconds,
             static_cast<double>(outcome.replies) / seconds, outcome.server_cpu_us, outcome.server_rss_bytes,
             latencies.percentile(0.5), latencies.percentile(0.99), latencies.percentile(0.999), latencies.largest());
  return outcome.errors == 0 ? 0 : 1;
}
