#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace quartet::server {

/// A name of Redis 7.0 that this server does not have: "xadd", "cluster|info". The rules of the ACL know it, so that users
/// which redis-server has described can be read, mean the same in both, and are told again in full.
struct AbsentCommand {
  std::string_view name;  // full, in lower case
  uint32_t flags;         // those that categories follow from, as in Command
  uint32_t categories;    // declared
};

/// By name. One that the server has got is passed over by CommandTable, and a test asks to delete it here.
std::span<const AbsentCommand> absent_commands();

}  // namespace quartet::server
