#include "server/commands/families.h"

namespace quartet::server {

std::span<const Command> connection_commands() { return {}; }

}  // namespace quartet::server
