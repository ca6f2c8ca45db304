#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace quartet::server {

/// The two channels of `notify-keyspace-events`, beside the bits of EventClass: K and E.
inline constexpr uint32_t kEventsByKey = 1 << 0;
inline constexpr uint32_t kEventsByName = 1 << 1;

/// The bits of a setting such as "KEA"; no value where a letter is unknown.
std::optional<uint32_t> parse_event_flags(std::string_view text);
/// The text in the order in which Redis shows it; `n` is not shown beside `A`, although it is in force.
std::string format_event_flags(uint32_t flags);

/// Whether a channel (`__keyspace@1__:key`, `__keyevent@1__:del`) tells of the keys of this database; of a pattern, whether it
/// matches one that does.
bool is_event_channel_of(int database, std::string_view channel, bool is_pattern);

}  // namespace quartet::server
