#include "server/commands/families.h"

namespace quartet::server {

std::span<const Command> sorted_set_commands() { return {}; }

}  // namespace quartet::server
