#include "server/denial_texts.h"

#include <fmt/format.h>

#include "server/config_target.h"

namespace quartet::server {

namespace {

using Reason = Denial::Reason;

/// "the database 'cache'" or "all databases".
std::string databases_of(const Denial& denial, const Config& config) {
  return denial.database < 0 ? "all databases" : fmt::format("the database '{}'", database_name(denial.database, config));
}

}  // namespace

std::string noperm_reply(const Denial& denial, const CommandEntry& command, const Config& config) {
  switch (denial.reason) {
    case Reason::Command: return fmt::format("NOPERM this user has no permissions to run the '{}' command", command.full_name);
    case Reason::Key: return "NOPERM this user has no permissions to access one of the keys used as arguments";
    case Reason::Channel: return "NOPERM this user has no permissions to access one of the channels used as arguments";
    case Reason::Database: break;
  }
  return fmt::format("NOPERM this user has no permissions to access {}", databases_of(denial, config));
}

std::string noperm_at_exec(const Denial& denial) {
  const auto reason = [&]() -> std::string_view {
    switch (denial.reason) {
      case Reason::Command: return "no permission to execute the command or subcommand";
      case Reason::Key: return "no permission to touch the specified keys";
      case Reason::Channel: return "no permission to access one of the channels used as arguments";
      case Reason::Database: break;
    }
    return "no permission to access the database";
  };
  return fmt::format("NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is "
                     "no longer allowed for the following reason: {}",
                     reason());
}

const char* noperm_in_script(const Denial& denial) {
  switch (denial.reason) {
    case Reason::Command: return "ERR The user executing the script can't run this command or subcommand";
    case Reason::Key: return "ERR The user executing the script can't access at least one of the keys mentioned in the command arguments";
    case Reason::Channel: return "ERR The user executing the script can't publish to the channel mentioned in the command";
    case Reason::Database: break;
  }
  return "ERR The user executing the script can't access the database";
}

std::string noperm_if_run(const Denial& denial, const CommandEntry& command, Args args, const Config& config) {
  switch (denial.reason) {
    case Reason::Command: return fmt::format("This user has no permissions to run the '{}' command", command.full_name);
    case Reason::Key: return fmt::format("This user has no permissions to access the '{}' key", args[denial.argument]);
    case Reason::Channel: return fmt::format("This user has no permissions to access the '{}' channel", args[denial.argument]);
    case Reason::Database: break;
  }
  return fmt::format("This user has no permissions to access {}", databases_of(denial, config));
}

std::string denied_object(const Denial& denial, const CommandEntry& command, Args args, const Config& config) {
  switch (denial.reason) {
    case Reason::Command: return command.full_name;
    case Reason::Key:
    case Reason::Channel: return std::string(args[denial.argument]);
    case Reason::Database: break;
  }
  // As in Valkey: the database where the request names it, else the request. The client's own database stands in `client-info`.
  return denial.argument == 0 ? command.full_name : database_name(denial.database, config);
}

}  // namespace quartet::server
