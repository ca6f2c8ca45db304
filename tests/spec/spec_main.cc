#include "spec_main.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "cursor.h"
#include "process.h"
#include "runner.h"
#include "wire_backend.h"

namespace quartet::test {

namespace {

constexpr std::string_view usage =
    "usage: quartet_spec (--server HOST:PORT | --spawn BINARY | --in-process | --divided) [options] FILE|DIRECTORY...\n"
    "  --reference    the server is redis-server 7.0: leave out the cases that hold on Quartet only\n"
    "  --record       rewrite the expectations that the server does not fulfil (implies --reference)\n"
    "  --filter TEXT  only the cases whose name contains TEXT\n"
    "  --verbose      print the name of each case\n";

struct CommandLine {
  std::string server;
  std::string spawn;
  bool in_process = false;
  bool divided = false;
  bool record = false;
  RunOptions run;
  std::vector<std::string> paths;
};

std::optional<CommandLine> parse_command_line(const std::vector<std::string>& words) {
  CommandLine line;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const bool has_value = i + 1 < words.size();
    if (word == "--server" && has_value) line.server = words[++i];
    else if (word == "--spawn" && has_value) line.spawn = words[++i];
    else if (word == "--filter" && has_value) line.run.filter = words[++i];
    else if (word == "--in-process") line.in_process = true;
    else if (word == "--divided") line.in_process = line.divided = true;
    else if (word == "--record") line.record = line.run.reference = true;
    else if (word == "--reference") line.run.reference = true;
    else if (word == "--verbose") line.run.verbose = true;
    else if (word.starts_with("--")) return std::nullopt;
    else line.paths.push_back(word);
  }
  const int targets = !line.server.empty() + !line.spawn.empty() + line.in_process;
  if (targets != 1 || line.paths.empty()) return std::nullopt;
  return line;
}

std::vector<std::string> spec_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!std::filesystem::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
      if (entry.path().extension() == ".spec") found.push_back(entry.path().string());
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

std::unique_ptr<Backend> wire_backend(const std::string& server) {
  const std::size_t colon = server.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("--server wants HOST:PORT");
  return std::make_unique<WireBackend>(server.substr(0, colon),
                                       static_cast<std::uint16_t>(std::stoi(server.substr(colon + 1))));
}

void record_file(const SpecFile& file, Backend& backend, const RunOptions& options) {
  const std::string text = record_spec(file, backend, options);
  std::ofstream(file.path, std::ios::trunc) << text;
}

int run_all(const CommandLine& line, Backend& backend) {
  Totals totals;
  for (const std::string& path : spec_files(line.paths)) {
    if (line.record) record_file(load_spec(path), backend, line.run);
    run_spec(load_spec(path), backend, line.run, totals);
  }
  fmt::print("{} passed, {} failed", totals.passed, totals.failed);
  if (totals.skipped > 0) fmt::print(" ({} hold on the other server only)", totals.skipped);
  fmt::print("\n");
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace

int spec_main(int argc, char** argv, const BackendMaker& in_process, const BackendMaker& divided) {
  const auto line = parse_command_line({argv + 1, argv + argc});
  if (!line || (line->in_process && !in_process)) {
    fmt::print(stderr, "{}", usage);
    return 2;
  }
  try {
    std::optional<ServerProcess> process;
    if (!line->spawn.empty()) process.emplace(line->spawn, std::vector<std::string>{"--enable-debug-command", "yes"});
    const auto backend = line->divided      ? divided()
                         : line->in_process ? in_process()
                         : process        ? std::make_unique<WireBackend>("127.0.0.1", process->port())
                                          : wire_backend(line->server);
    return run_all(*line, *backend);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
}

}  // namespace quartet::test
