#include "server/commands/families.h"

namespace quartet::server {

std::span<const Command> transaction_commands() { return {}; }

}  // namespace quartet::server
