#pragma once

#include <string>

#include "base/clock.h"
#include "server/session.h"

namespace quartet::server {

/// One line of CLIENT LIST, without a line end.
std::string client_info(const Session& session, const Time& now);
/// Bytes that the server holds for a client: its state, its input and output, what it queued.
size_t client_memory(const Session& session);
/// Letters of CLIENT LIST's `flags`.
std::string client_flags(const Session& session);
/// Whether a client or library name may be set: printable ASCII without spaces.
bool valid_client_name(std::string_view name);

}  // namespace quartet::server
