#pragma once

#include <span>

#include "server/command.h"

namespace quartet::server {

// One function a family, at the foot of the family's file.
std::span<const Command> acl_commands();           // acl.cc: ACL
std::span<const Command> admin_commands();         // admin.cc: FLUSHALL, DBSIZE, SWAPDB, TIME, ...
std::span<const Command> bitmap_commands();        // bitmaps.cc
std::span<const Command> client_commands();        // client.cc: CLIENT
std::span<const Command> config_commands();        // config.cc: CONFIG
std::span<const Command> connection_commands();    // connection.cc: AUTH, HELLO, SELECT, PING, ...
std::span<const Command> database_commands();      // databases.cc: DB
std::span<const Command> debug_commands();         // debug.cc: DEBUG
std::span<const Command> diagnostics_commands();   // diagnostics.cc: MONITOR, SLOWLOG, LATENCY
std::span<const Command> dump_commands();          // dump.cc: DUMP, RESTORE
std::span<const Command> expiry_commands();        // expiry.cc: EXPIRE, TTL, PERSIST, ...
std::span<const Command> hash_commands();          // hashes.cc
std::span<const Command> info_commands();          // info.cc: INFO
std::span<const Command> introspection_commands(); // introspection.cc: COMMAND
std::span<const Command> key_commands();           // keys.cc
std::span<const Command> list_commands();          // lists.cc
std::span<const Command> memcached_commands();          // memcached_text.cc: get, set, incr, ...
std::span<const Command> memcached_meta_commands();     // memcached_meta.cc: mg, ms, md, ma, mn, me
std::span<const Command> memcached_service_commands();  // memcached_service.cc: stats, flush_all, version, ...
std::span<const Command> memory_commands();        // memory.cc: MEMORY
std::span<const Command> persistence_commands();   // persistence.cc: BGSAVE, BGREWRITEAOF, SHUTDOWN, ...
std::span<const Command> pubsub_commands();        // pubsub.cc
std::span<const Command> scan_commands();          // scan.cc: SCAN
std::span<const Command> scripting_commands();     // scripting.cc
std::span<const Command> set_commands();           // sets.cc
std::span<const Command> sort_commands();          // sort.cc: SORT, SORT_RO
std::span<const Command> sorted_set_commands();    // sorted_sets.cc
std::span<const Command> string_commands();        // strings.cc
std::span<const Command> transaction_commands();   // transactions.cc

/// All of them.
std::span<const std::span<const Command>> all_families();

}  // namespace quartet::server
