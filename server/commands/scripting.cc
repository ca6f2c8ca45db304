#include "server/commands/families.h"

namespace quartet::server {

std::span<const Command> scripting_commands() { return {}; }

}  // namespace quartet::server
