#pragma once

#include <string_view>

namespace quartet::server {

/// The version of Redis whose behaviour clients meet; they choose their commands by it.
inline constexpr std::string_view kRedisVersion = "7.0.15";
/// The same for memcached's protocol.
inline constexpr std::string_view kMemcachedVersion = "1.6.18";
inline constexpr std::string_view kQuartetVersion = "0.1.0";

}  // namespace quartet::server
