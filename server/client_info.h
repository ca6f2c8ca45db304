#pragma once

#include <string>

#include "base/clock.h"
#include "server/command_table.h"
#include "server/session.h"

namespace quartet::server {

/// One line of CLIENT LIST, without a line end; with the arguments of the command that the session is executing, if any.
std::string client_info(const Session& session, const Time& now, Args executing = {});
/// Bytes that the server holds for a client: its state, its input and output, what it queued, watches, has subscribed to and waits with.
/// Takes a time that depends on nothing.
size_t client_memory(const Session& session);
/// Letters of CLIENT LIST's `flags`.
std::string client_flags(const Session& session);
/// Whether a client or library name may be set: printable ASCII without spaces.
bool valid_client_name(std::string_view name);

}  // namespace quartet::server
