#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory_reserve.h"
#include "base/slab.h"
#include "persistence/check.h"
#include "persistence/system_disk.h"
#include "server/commands/families.h"
#include "server/config.h"
#include "server/net/descriptor_limit.h"
#include "server/net/reactor.h"
#include "server/server.h"
#include "server/start_report.h"

// jemalloc reads this at its start: a thread of its own gives freed memory back to the system, which takes milliseconds
// where it is much, and would otherwise happen in the middle of some command.
extern "C" {
extern const char* const malloc_conf;
const char* const malloc_conf = "background_thread:true,max_background_threads:1";
}

namespace {

using namespace quartet;

constexpr std::string_view kUsage =
    "Usage: quartet [FILE.toml] [--name value ...]\n"
    "       quartet --check [--fix] PATH\n"
    "       quartet --help | --version\n"
    "\n"
    "FILE.toml holds settings by Redis's directive names; --name value sets one of them and has the last word.\n"
    "\n"
    "  quartet                                    127.0.0.1:6379 with the defaults\n"
    "  quartet /etc/quartet/quartet.toml          settings from a file\n"
    "  quartet quartet.toml --port 7000           the same, on another port\n"
    "  quartet --port 0 --unixsocket /run/q.sock  on a Unix socket only\n"
    "\n"
    "--check says what is in an RDB file, an append-only file, a manifest or a data directory, and whether it is "
    "whole:\n"
    "status 0 whole, 1 damaged, 2 cannot be read. With --fix an append-only file is cut where it is damaged; what was\n"
    "there is kept under names that end with .original, and files behind the damage are taken out of the manifest.\n";

int fail(std::string_view reason, int status = 1) {
  fmt::print(stderr, "quartet: {}\n", reason);
  return status;
}

LogLevel log_level(std::string_view name) {
  if (name == "debug") return LogLevel::Debug;
  if (name == "verbose") return LogLevel::Verbose;
  if (name == "warning") return LogLevel::Warning;
  return LogLevel::Notice;
}

/// Makes room for `maxclients` connections, or lowers it to what the system allows.
void fit_maxclients(server::ConfigStore& config, Log& log) {
  const int64_t wanted = config.values().maxclients;
  const int64_t possible = net::reserve_descriptors(wanted);
  if (possible >= wanted) return;
  const std::string lowered = std::to_string(possible < 1 ? 1 : possible);
  if (std::optional<std::string> error = config.set({{"maxclients", lowered}})) return log.warning("{}", *error);
  log.warning("maxclients is lowered from {} to {}: the limit of open files does not allow more (see ulimit -n)",
              wanted, lowered);
}

/// The file that tells others the process's id, for as long as the process lives.
class PidFile {
 public:
  PidFile(const std::string& path, Log& log) {
    if (path.empty()) return;
    std::FILE* file = std::fopen(path.c_str(), "we");
    if (!file) {
      log.warning("cannot write the pidfile {}: {}", path, std::strerror(errno));
      return;
    }
    fmt::print(file, "{}\n", ::getpid());
    std::fclose(file);
    path_ = path;
  }
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  ~PidFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

 private:
  std::string path_;  // empty where nothing was written
};

constexpr int kCheckImpossible = static_cast<int>(persistence::CheckOutcome::Unreadable);

int check(const std::vector<std::string>& arguments) {
  persistence::CheckOptions options{.now_ms = SystemClock().now().wall_ms()};
  std::string path;
  for (const std::string& argument : arguments) {
    if (argument == "--check") continue;
    if (argument == "--fix" && !options.fix) {
      options.fix = true;
    } else if (path.empty() && !argument.starts_with("--")) {
      path = argument;
    } else {
      return fail(fmt::format("--check takes one path and --fix, and not {}", argument), kCheckImpossible);
    }
  }
  if (path.empty()) return fail("--check of what? It takes the path of a file or a directory", kCheckImpossible);
  std::error_code unknown;
  if (const auto canonical = std::filesystem::canonical(path, unknown); !unknown) path = canonical;
  persistence::SystemDisk disk;
  const server::CommandTable commands(server::all_families());
  options.refusal = [&commands](std::span<const std::string_view> arguments) -> std::optional<std::string> {
    const auto found = commands.of_file(arguments);
    return found ? std::nullopt : std::optional(found.error().text);
  };
  const auto say = [](std::string_view line) { fmt::print("{}\n", line); };
  return static_cast<int>(persistence::check(disk, path, options, say));
}

int serve(Clock& clock, Log& log, server::ConfigStore& config) {
  memory_reserve::take();
  net::Reactor reactor(log, config);
  persistence::SystemDisk disk;
  auto server = std::make_unique<server::Server>(clock, log, config, disk, reactor, reactor, server::all_families());
  if (std::optional<std::string> error = server->load_users()) return fail(*error);
  std::error_code unknown;
  const std::string directory = std::filesystem::current_path(unknown).string();
  server::report_start(config.values(), directory, server->acl.default_user().open_to_all(), disk, log);
  if (std::optional<std::string> error = reactor.listen(*server)) return fail(*error);
  std::optional<PidFile> pidfile(std::in_place, config.values().pidfile, log);
  if (std::optional<std::string> error = server->durability.open()) return fail(*error);
  const int status = reactor.serve();
  if (reactor.abandoned()) {
    pidfile.reset();
    log.notice("Bye");
    std::_Exit(status);
  }
  // Freeing millions of entries one by one takes seconds; the operating system takes all of it back at once. Where
  // blocks do not come from slabs, it is because a sanitizer wants to see what is left.
  if (blocks::kSlabs) static_cast<void>(server.release());
  log.notice("Bye");
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && (arguments[0] == "--help" || arguments[0] == "-h")) {
    fmt::print("{}", kUsage);
    return 0;
  }
  if (!arguments.empty() && (arguments[0] == "--version" || arguments[0] == "-v")) {
    fmt::print("quartet {}\n", QUARTET_VERSION);
    return 0;
  }
  if (!arguments.empty() && arguments[0] == "--check") return check(arguments);

  // A client that goes away is an error of its socket, a file that may not become larger one of its write, and a closed
  // terminal or an alarm that whoever started the server had set no reason to end.
  for (const int number : {SIGPIPE, SIGXFSZ, SIGHUP, SIGALRM}) std::signal(number, SIG_IGN);

  SystemClock clock;
  Log log(clock);
  server::ConfigStore config;
  if (std::optional<std::string> error = config.load(arguments)) return fail(*error);
  const server::Config& values = config.values();
  if (::chdir(values.dir.c_str()) != 0) return fail(fmt::format("dir {}: {}", values.dir, std::strerror(errno)));
  log.set_level(log_level(values.loglevel));
  if (!log.open(values.logfile)) return fail(fmt::format("logfile {}: {}", values.logfile, std::strerror(errno)));
  fit_maxclients(config, log);
  return serve(clock, log, config);
}
