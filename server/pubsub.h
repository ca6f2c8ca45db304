#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "server/session.h"

namespace quartet::server {

/// Channels, patterns and shard channels, and who has subscribed to them. Messages go straight into the subscribers' output buffers.
class PubSub {
 public:
  enum class Kind : uint8_t { Channel, Pattern, Shard };

  /// `written` is told of every session into whose output a message went.
  explicit PubSub(std::function<void(Session&)> written) : written_(std::move(written)) {}

  /// Each writes the confirmation that the client gets for one channel.
  void subscribe(Session& session, Kind kind, std::string_view channel);
  void unsubscribe(Session& session, Kind kind, std::string_view channel);
  /// Without names: from all; a client without any gets one confirmation with a null channel.
  void unsubscribe_all(Session& session, Kind kind);
  /// At the end of a session, and for RESET: nothing is written.
  void forget(Session& session);

  /// Returns how many clients received it. Kind is Channel (patterns are matched too) or Shard.
  size_t publish(Kind kind, std::string_view channel, std::string_view message);

  std::vector<std::string_view> channels(Kind kind, std::optional<std::string_view> pattern) const;
  size_t subscribers(Kind kind, std::string_view channel) const;
  size_t channel_count(Kind kind) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  // Subscribers are kept in the order in which they came, which is the order of delivery.
  using Subscribers = std::vector<Session*>;
  using Channels = std::unordered_map<std::string, Subscribers, Hash, std::equal_to<>>;
  Channels& channels_of(Kind kind) { return tables_[static_cast<int>(kind)]; }
  const Channels& channels_of(Kind kind) const { return tables_[static_cast<int>(kind)]; }

  std::function<void(Session&)> written_;
  Channels tables_[3];
};

}  // namespace quartet::server
