#include "server/user.h"

#include <algorithm>

#include "base/glob.h"
#include "base/numbers.h"
#include "server/keyspace_events.h"

namespace quartet::server {

namespace {

/// What a pattern must permit for what a request does to a key. What only asks about it (TYPE, EXISTS, STRLEN) is content with
/// either.
uint8_t needed_permissions(uint32_t flags) {
  uint8_t needed = 0;
  if (flags & kKeyAccess) needed |= kMayRead;
  if (flags & (kKeyInsert | kKeyDelete | kKeyUpdate)) needed |= kMayWrite;
  return needed;
}

/// The first of the arguments that are channels for which `permitted(channel, is_pattern)` is false.
template <class Permitted>
std::optional<Denial> denied_channel(const Command& command, Args args, Permitted permitted) {
  const ChannelSpec& spec = command.channels;
  if (spec.first == 0) return {};
  const size_t first = static_cast<size_t>(spec.first);
  const size_t end = spec.all ? args.size() : std::min(args.size(), first + 1);
  for (size_t i = first; i < end; ++i)
    if (!permitted(args[i], spec.patterns)) return Denial{Denial::Reason::Channel, i};
  return {};
}

/// Whether a request looks into the connection's database, or changes it.
bool uses_database(const CommandEntry& command, RequestKeys& keys) {
  // What a script without keys calls is checked when it calls it.
  if (command.flags & kNoMandatoryKeys) return !keys.get().empty();
  return command.uses_database();
}

}  // namespace

const std::vector<KeyUse>& RequestKeys::get() {
  if (found_) return uses_;
  found_ = true;
  uses_.clear();
  if (!find_key_uses(*command_.spec, args_, uses_)) uses_.clear();
  return uses_;
}

// --- CommandSet -------------------------------------------------------------------------------------------------------

bool CommandSet::includes(const CommandSet& other) const {
  for (size_t i = 0; i < words_.size(); ++i)
    if (other.words_[i] & ~words_[i]) return false;
  return true;
}

bool CommandSet::change(const CommandSet& other, bool add) {
  bool changed = false;
  for (size_t i = 0; i < words_.size(); ++i) {
    const uint64_t before = words_[i];
    words_[i] = add ? before | other.words_[i] : before & ~other.words_[i];
    changed |= words_[i] != before;
  }
  return changed;
}

// --- Selector ---------------------------------------------------------------------------------------------------------

bool Selector::permits_command(const CommandEntry& command, Args args) const {
  // Everybody may log in, as another user too. What memcached's protocol does so with has another meaning then.
  return ((command.flags & kNoAuth) && !(command.flags & kMemcached)) || permits_command(command.id, args);
}

bool Selector::permits_command(uint32_t id, Args args) const {
  if (commands.contains(id)) return true;
  const auto found = first_arguments.find(id);
  return found != first_arguments.end() && args.size() > 1 &&
         std::any_of(found->second.begin(), found->second.end(),
                     [&](const std::string& argument) { return equals_ignoring_case(argument, args[1]); });
}

bool Selector::permits_key(std::string_view key, uint32_t flags) const {
  if (all_keys) return true;
  const uint8_t needed = needed_permissions(flags);
  return std::any_of(keys.begin(), keys.end(), [&](const KeyPattern& pattern) {
    return (pattern.permissions & needed) == needed && glob_match(pattern.glob, key);
  });
}

bool Selector::permits_channel(std::string_view channel, bool is_pattern) const {
  if (tells_of_others(channel, is_pattern)) return false;
  if (all_channels) return true;
  return std::any_of(channels.begin(), channels.end(), [&](const std::string& permitted) {
    return is_pattern ? permitted == channel : glob_match(permitted, channel);
  });
}

bool Selector::reads_all_keys() const {
  return all_keys || std::any_of(keys.begin(), keys.end(),
                                 [](const KeyPattern& pattern) { return pattern.glob == "*" && (pattern.permissions & kMayRead); });
}

bool Selector::reaches_all() const {
  return all_databases || std::all_of(databases.begin(), databases.end(), [](bool reached) { return reached; });
}

bool Selector::tells_of_others(std::string_view channel, bool is_pattern) const {
  if (all_databases) return false;
  for (size_t i = 0; i < databases.size(); ++i)
    if (!databases[i] && is_event_channel_of(static_cast<int>(i), channel, is_pattern)) return true;
  return false;
}

std::optional<Denial> Selector::check(const CommandEntry& command, Args args, int database, const Config& config,
                                      RequestKeys& request_keys) const {
  if (!permits_command(command, args)) return Denial{Denial::Reason::Command};
  if (!all_databases)
    if (auto denial = check_databases(command, args, database, config, request_keys)) return denial;
  if (!all_keys && command.names_keys())
    for (const KeyUse& use : request_keys.get()) {
      const auto position = static_cast<size_t>(use.position);
      if (!permits_key(args[position], use.flags)) return Denial{Denial::Reason::Key, position};
    }
  if (all_channels && all_databases) return {};
  return denied_channel(*command.spec, args, [&](std::string_view channel, bool is_pattern) { return permits_channel(channel, is_pattern); });
}

std::optional<Denial> Selector::check_databases(const CommandEntry& command, Args args, int database, const Config& config,
                                                RequestKeys& request_keys) const {
  if ((command.flags & kEveryDatabase) && !reaches_all()) return Denial{Denial::Reason::Database};
  if (command.spec->databases) {
    std::vector<int> named;
    command.spec->databases(args, config, named);
    for (size_t i = 0; i < named.size(); ++i)
      if (!may_reach(named[i])) return Denial{Denial::Reason::Database, i + 1, named[i]};
  }
  if (!may_reach(database) && uses_database(command, request_keys)) return Denial{Denial::Reason::Database, 0, database};
  return {};
}

// --- User -------------------------------------------------------------------------------------------------------------

void User::settle() {
  const auto permits_all = [](const Selector& selector) { return selector.permits_all(); };
  unrestricted_ = permits_all(root) || std::any_of(selectors.begin(), selectors.end(), permits_all);
}

bool User::has_password(const PasswordHash& password) const {
  bool found = false;
  for (const PasswordHash& own : passwords) found |= own.same_as(password);
  return found;
}

std::optional<Denial> User::check(const CommandEntry& command, Args args, int database, const Config& config,
                                  std::vector<KeyUse>& room) const {
  if (unrestricted_) return {};
  RequestKeys keys(command, args, room);
  std::optional<Denial> denial = root.check(command, args, database, config, keys);
  for (auto selector = selectors.begin(); denial && selector != selectors.end(); ++selector) {
    const std::optional<Denial> other = selector->check(command, args, database, config, keys);
    if (!other || other->farther_than(*denial)) denial = other;
  }
  return denial;
}

bool User::permits(const AclName& absent, Args args) const {
  const auto permits = [&](const Selector& selector) { return selector.permits_command(absent.id, args); };
  return permits(root) || std::any_of(selectors.begin(), selectors.end(), permits);
}

bool User::may_use(const CommandEntry& command, int database) const {
  const auto permits = [&](const Selector& selector) { return selector.may_reach(database) && selector.permits_command(command, {}); };
  return unrestricted_ || permits(root) || std::any_of(selectors.begin(), selectors.end(), permits);
}

bool User::reads_all_keys(const CommandEntry& command, Args args, int database) const {
  const auto reads = [&](const Selector& selector) {
    return selector.permits_command(command, args) && selector.may_reach(database) && selector.reads_all_keys();
  };
  return unrestricted_ || reads(root) || std::any_of(selectors.begin(), selectors.end(), reads);
}

bool User::permits_channel(std::string_view channel, bool is_pattern) const {
  const auto permits = [&](const Selector& selector) { return selector.permits_channel(channel, is_pattern); };
  return unrestricted_ || permits(root) || std::any_of(selectors.begin(), selectors.end(), permits);
}

}  // namespace quartet::server
