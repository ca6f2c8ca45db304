#pragma once

#include <string>
#include <string_view>

#include "server/user.h"

/// How a denial is told, to the letter of Redis 7.0; that of a database, which Redis does not know, in its manner.
namespace quartet::server {

/// To a client that sent the command.
std::string noperm_reply(const Denial& denial, const CommandEntry& command, const Config& config);
/// By EXEC, of a command that was permitted when it was queued.
std::string noperm_at_exec(const Denial& denial);
/// To a script that called it.
const char* noperm_in_script(const Denial& denial);
/// By ACL DRYRUN.
std::string noperm_if_run(const Denial& denial, const CommandEntry& command, Args args, const Config& config);
/// What ACL LOG calls the thing that was refused.
std::string denied_object(const Denial& denial, const CommandEntry& command, Args args, const Config& config);

}  // namespace quartet::server
