#include "server/commands/families.h"

namespace quartet::server {

std::span<const Command> string_commands() { return {}; }

}  // namespace quartet::server
