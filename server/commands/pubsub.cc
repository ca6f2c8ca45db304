#include "server/commands/families.h"

namespace quartet::server {

std::span<const Command> pubsub_commands() { return {}; }

}  // namespace quartet::server
