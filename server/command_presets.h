#pragma once

#include <string_view>

#include "server/command.h"

namespace quartet::server {

/// The key specifications of the commands. A name says what is done to a key:
///
///   Read       its data are replied                    Insert     data are added to it
///   Inspect    of its data nothing is replied          Delete     data are removed from it
///   Mark       data are replied, and a mark is kept    Pop        data are replied and removed
///   Modify     data are replied and changed            Overwrite  it is replaced, or made
///   Update     data are changed                        Create     it is made
///   Remove     the key goes
///
/// and where the keys stand: in the first argument, where the name says no more. The second of two specifications is
/// named after the first: kPopInsert pops from the key in the first argument and inserts into that in the second.
namespace keys {

inline constexpr KeySpec kRead[] = {key_at(1, kKeyRO | kKeyAccess)};
inline constexpr KeySpec kInspect[] = {key_at(1, kKeyRO)};
inline constexpr KeySpec kMark[] = {key_at(1, kKeyRW | kKeyAccess)};
inline constexpr KeySpec kModify[] = {key_at(1, kKeyRW | kKeyAccess | kKeyUpdate)};
inline constexpr KeySpec kUpdate[] = {key_at(1, kKeyRW | kKeyUpdate)};
inline constexpr KeySpec kInsert[] = {key_at(1, kKeyRW | kKeyInsert)};
inline constexpr KeySpec kDelete[] = {key_at(1, kKeyRW | kKeyDelete)};
inline constexpr KeySpec kPop[] = {key_at(1, kKeyRW | kKeyAccess | kKeyDelete)};
inline constexpr KeySpec kOverwrite[] = {key_at(1, kKeyOW | kKeyUpdate)};
inline constexpr KeySpec kCreate[] = {key_at(1, kKeyOW | kKeyInsert)};
inline constexpr KeySpec kRemove[] = {key_at(1, kKeyRM | kKeyDelete)};
/// The options tell; the command has `key_flags`.
inline constexpr KeySpec kVariable[] = {key_at(1, kKeyRW | kKeyAccess | kKeyUpdate | kKeyVariable)};

/// After the name of a subcommand.
inline constexpr KeySpec kInspectSecond[] = {key_at(2, kKeyRO)};

// All arguments are keys.
inline constexpr KeySpec kReadTwo[] = {keys_from(1, 1, 1, kKeyRO | kKeyAccess)};
inline constexpr KeySpec kReadAll[] = {keys_from(1, -1, 1, kKeyRO | kKeyAccess)};
inline constexpr KeySpec kInspectAll[] = {keys_from(1, -1, 1, kKeyRO)};
inline constexpr KeySpec kMarkAll[] = {keys_from(1, -1, 1, kKeyRW | kKeyAccess)};
inline constexpr KeySpec kRemoveAll[] = {keys_from(1, -1, 1, kKeyRM | kKeyDelete)};
// ... but the first, the last, or every second.
inline constexpr KeySpec kModifyAllFromSecond[] = {keys_from(2, -1, 1, kKeyRW | kKeyAccess | kKeyUpdate)};
inline constexpr KeySpec kPopAllButLast[] = {keys_from(1, -2, 1, kKeyRW | kKeyAccess | kKeyDelete)};
inline constexpr KeySpec kOverwriteEverySecond[] = {keys_from(1, -1, 2, kKeyOW | kKeyUpdate)};
inline constexpr KeySpec kCreateEverySecond[] = {keys_from(1, -1, 2, kKeyOW | kKeyInsert)};

// As many keys as the first argument, or the second, says.
inline constexpr KeySpec kReadCounted[] = {keys_counted_at(1, kKeyRO | kKeyAccess)};
inline constexpr KeySpec kPopCounted[] = {keys_counted_at(1, kKeyRW | kKeyAccess | kKeyDelete)};
inline constexpr KeySpec kPopCountedAtSecond[] = {keys_counted_at(2, kKeyRW | kKeyAccess | kKeyDelete)};

// From one key to another.
inline constexpr KeySpec kPopInsert[] = {
    key_at(1, kKeyRW | kKeyAccess | kKeyDelete), key_at(2, kKeyRW | kKeyInsert)};
inline constexpr KeySpec kPopOverwrite[] = {
    key_at(1, kKeyRW | kKeyAccess | kKeyDelete), key_at(2, kKeyOW | kKeyUpdate)};
inline constexpr KeySpec kPopCreate[] = {key_at(1, kKeyRW | kKeyAccess | kKeyDelete), key_at(2, kKeyOW | kKeyInsert)};
inline constexpr KeySpec kReadOverwrite[] = {key_at(1, kKeyRO | kKeyAccess), key_at(2, kKeyOW | kKeyUpdate)};
inline constexpr KeySpec kOverwriteRead[] = {key_at(1, kKeyOW | kKeyUpdate), key_at(2, kKeyRO | kKeyAccess)};

// From several keys to a destination before them.
inline constexpr KeySpec kOverwriteReadAll[] = {
    key_at(1, kKeyOW | kKeyUpdate), keys_from(2, -1, 1, kKeyRO | kKeyAccess)};
inline constexpr KeySpec kUpdateReadAll[] = {key_at(1, kKeyRW | kKeyUpdate), keys_from(2, -1, 1, kKeyRO | kKeyAccess)};
inline constexpr KeySpec kOverwriteReadCounted[] = {
    key_at(1, kKeyOW | kKeyUpdate), keys_counted_at(2, kKeyRO | kKeyAccess)};
inline constexpr KeySpec kOverwriteSecondReadAll[] = {
    key_at(2, kKeyOW | kKeyUpdate), keys_from(3, -1, 1, kKeyRO | kKeyAccess)};

// More keys stand among the options, or follow from data; the command has `get_keys`.
inline constexpr KeySpec kReadByOptions[] = {key_at(1, kKeyRO | kKeyAccess), unknown_keys(kKeyRO | kKeyAccess)};
inline constexpr KeySpec kReadStoreByOptions[] = {
    key_at(1, kKeyRO | kKeyAccess), unknown_keys(kKeyRO | kKeyAccess), unknown_keys(kKeyOW | kKeyUpdate)};

// Channels of shards: cluster clients treat them as keys, the server does not.
inline constexpr KeySpec kChannel[] = {key_at(1, kKeyNotKey)};
inline constexpr KeySpec kChannels[] = {keys_from(1, -1, 1, kKeyNotKey)};

}  // namespace keys

/// What COMMAND tells proxies, and clients that talk to several servers at once: whether the same request always has
/// the same answer, which servers it goes to, and how their answers become one.
namespace tips {

inline constexpr std::string_view kNondeterministic[] = {"nondeterministic_output"};
inline constexpr std::string_view kUnordered[] = {"nondeterministic_output_order"};
inline constexpr std::string_view kNondeterministicSpecial[] = {"nondeterministic_output", "request_policy:special"};
inline constexpr std::string_view kNondeterministicAllNodes[] = {
    "nondeterministic_output", "request_policy:all_nodes", "response_policy:special"};
inline constexpr std::string_view kNondeterministicAllShards[] = {
    "nondeterministic_output", "request_policy:all_shards", "response_policy:special"};

inline constexpr std::string_view kAllNodesSucceed[] = {"request_policy:all_nodes", "response_policy:all_succeeded"};
inline constexpr std::string_view kAllNodesNondeterministic[] = {"request_policy:all_nodes", "nondeterministic_output"};
inline constexpr std::string_view kAllNodesSum[] = {
    "request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"};

inline constexpr std::string_view kAllShardsSucceed[] = {"request_policy:all_shards", "response_policy:all_succeeded"};
inline constexpr std::string_view kAllShardsOneSucceeds[] = {
    "request_policy:all_shards", "response_policy:one_succeeded"};
inline constexpr std::string_view kAllShardsAnd[] = {"request_policy:all_shards", "response_policy:agg_logical_and"};
inline constexpr std::string_view kAllShardsMin[] = {"request_policy:all_shards", "response_policy:agg_min"};
inline constexpr std::string_view kAllShardsSum[] = {"request_policy:all_shards", "response_policy:agg_sum"};
inline constexpr std::string_view kAllShardsUnordered[] = {
    "request_policy:all_shards", "nondeterministic_output_order"};
inline constexpr std::string_view kAllShardsNondeterministic[] = {
    "request_policy:all_shards", "nondeterministic_output"};

inline constexpr std::string_view kMultiShard[] = {"request_policy:multi_shard"};
inline constexpr std::string_view kMultiShardSucceed[] = {
    "request_policy:multi_shard", "response_policy:all_succeeded"};
inline constexpr std::string_view kMultiShardMin[] = {"request_policy:multi_shard", "response_policy:agg_min"};
inline constexpr std::string_view kMultiShardSum[] = {"request_policy:multi_shard", "response_policy:agg_sum"};

}  // namespace tips

}  // namespace quartet::server
