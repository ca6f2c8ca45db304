#include "server/commands/families.h"

namespace quartet::server {

std::span<const Command> bitmap_commands() { return {}; }

}  // namespace quartet::server
