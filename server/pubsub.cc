#include "server/pubsub.h"

#include <algorithm>

#include "base/glob.h"
#include "base/numbers.h"

namespace quartet::server {

namespace {

struct Words {
  std::string_view subscribe, unsubscribe, message;
};
constexpr Words kWords[] = {{"subscribe", "unsubscribe", "message"},
                            {"psubscribe", "punsubscribe", "pmessage"},
                            {"ssubscribe", "sunsubscribe", "smessage"}};

std::unordered_set<std::string>& names_of(Session& session, PubSub::Kind kind) {
  switch (kind) {
    case PubSub::Kind::Channel: return session.channels;
    case PubSub::Kind::Pattern: return session.patterns;
    default: return session.shard_channels;
  }
}

/// What a confirmation counts: channels and patterns together, shard channels by themselves.
int64_t count_of(const Session& session, PubSub::Kind kind) {
  return static_cast<int64_t>(kind == PubSub::Kind::Shard ? session.shard_channels.size() : session.subscriptions());
}

/// What a subscription takes with its places in both tables, in bytes, about.
size_t memory_of(std::string_view channel) { return 160 + 2 * channel.size(); }

void confirm(Session& session, PubSub::Kind kind, std::string_view word, std::string_view channel) {
  protocol::Reply& reply = session.pushes();
  reply.push(3);
  reply.bulk(word);
  reply.bulk(channel);
  reply.integer(count_of(session, kind));
}

}  // namespace

void PubSub::subscribe(Session& session, Kind kind, std::string_view channel) {
  std::unordered_set<std::string>& names = names_of(session, kind);
  if (const auto [name, added] = names.emplace(channel); added) {
    try {
      channels_of(kind)[*name].push_back(&session);
    } catch (...) {
      names.erase(name);
      throw;
    }
    session.subscription_bytes += memory_of(channel);
  }
  confirm(session, kind, kWords[static_cast<int>(kind)].subscribe, channel);
}

void PubSub::unsubscribe(Session& session, Kind kind, std::string_view channel) {
  // The name may be the session's own copy, which the removal destroys.
  const std::string name(channel);
  if (names_of(session, kind).erase(name)) {
    session.subscription_bytes -= memory_of(name);
    Channels& channels = channels_of(kind);
    const auto found = channels.find(name);
    std::erase(found->second, &session);
    if (found->second.empty()) channels.erase(found);
  }
  confirm(session, kind, kWords[static_cast<int>(kind)].unsubscribe, name);
}

void PubSub::unsubscribe_all(Session& session, Kind kind) {
  std::unordered_set<std::string>& names = names_of(session, kind);
  if (names.empty()) {
    protocol::Reply& reply = session.pushes();
    reply.push(3);
    reply.bulk(kWords[static_cast<int>(kind)].unsubscribe);
    reply.null();
    reply.integer(count_of(session, kind));
    return;
  }
  while (!names.empty()) unsubscribe(session, kind, *names.begin());
}

void PubSub::forget(Session& session) {
  for (const Kind kind : {Kind::Channel, Kind::Pattern, Kind::Shard}) {
    std::unordered_set<std::string>& names = names_of(session, kind);
    for (const std::string& name : names) {
      const auto found = channels_of(kind).find(name);
      std::erase(found->second, &session);
      if (found->second.empty()) channels_of(kind).erase(found);
    }
    names.clear();
  }
  session.subscription_bytes = 0;
}

std::vector<std::string_view> PubSub::channels(Kind kind, std::optional<std::string_view> pattern) const {
  std::vector<std::string_view> names;
  for (const auto& [name, subscribers] : channels_of(kind))
    if (!pattern || glob_match(*pattern, name)) names.push_back(name);
  return names;
}

size_t PubSub::subscribers(Kind kind, std::string_view channel) const {
  const auto found = channels_of(kind).find(channel);
  return found == channels_of(kind).end() ? 0 : found->second.size();
}

size_t PubSub::channel_count(Kind kind) const { return channels_of(kind).size(); }

size_t PubSub::publish(Kind kind, std::string_view channel, std::string_view message) {
  size_t receivers = 0;
  const auto send = [&](Session& session, std::string_view word, std::string_view pattern) {
    protocol::Reply& reply = session.pushes();
    reply.push(pattern.data() ? 4 : 3);
    reply.bulk(word);
    if (pattern.data()) reply.bulk(pattern);
    reply.bulk(channel);
    reply.bulk(message);
    written_(session);
    ++receivers;
  };
  const Channels& exact = channels_of(kind);
  if (const auto found = exact.find(channel); found != exact.end())
    for (Session* session : found->second) send(*session, kWords[static_cast<int>(kind)].message, {});
  if (kind == Kind::Channel)
    for (const auto& [pattern, subscribers] : channels_of(Kind::Pattern))
      if (glob_match(pattern, channel))
        for (Session* session : subscribers) send(*session, "pmessage", pattern);
  return receivers;
}

}  // namespace quartet::server
