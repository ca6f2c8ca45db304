#include "server/commands/families.h"

#include <array>

namespace quartet::server {

std::span<const std::span<const Command>> all_families() {
  static const std::array kFamilies = {
      acl_commands(),
      admin_commands(),
      bitmap_commands(),
      client_commands(),
      config_commands(),
      connection_commands(),
      database_commands(),
      debug_commands(),
      diagnostics_commands(),
      dump_commands(),
      expiry_commands(),
      hash_commands(),
      info_commands(),
      introspection_commands(),
      key_commands(),
      list_commands(),
      memory_commands(),
      persistence_commands(),
      pubsub_commands(),
      scan_commands(),
      scripting_commands(),
      set_commands(),
      sort_commands(),
      sorted_set_commands(),
      string_commands(),
      transaction_commands(),
      memcached_commands(),
      memcached_meta_commands(),
      memcached_service_commands(),
  };
  return kFamilies;
}

}  // namespace quartet::server
