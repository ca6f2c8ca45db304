#pragma once

#include <string>
#include <string_view>

#include "storage/keyspace.h"

namespace quartet::persistence {

/// One value as DUMP gives and RESTORE takes it, without its key and its expiry:
///
///   [ type: 8 ][ value as in an RDB file (rdb_format.h) ][ version of the format: 16 ][ CRC-64 of all before: 64 ]

/// Appends the payload of an entry; `compress` as for RdbWriter.
void append_dump_payload(std::string& out, const storage::Entry& entry, bool compress, Pauses* pauses = nullptr);

/// Whether the version is one that can be read and the checksum is right.
bool is_dump_payload(std::string_view payload, Pauses* pauses = nullptr);

/// Makes an entry from a payload, without an expiry; null where it is malformed, empty or of a type that cannot be
/// read.
/// REQUIRES: is_dump_payload(payload); the key is not in the keyspace.
storage::Entry* load_dump_payload(std::string_view payload, storage::Keyspace& keyspace, std::string_view key,
                                  Pauses* pauses = nullptr);

}  // namespace quartet::persistence
