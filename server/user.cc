#include "server/user.h"

#include <algorithm>

#include "base/numbers.h"

namespace quartet::server {

namespace {

/// The permissions that a pattern must give for what a request does to a key. What only asks about it (TYPE, EXISTS, STRLEN)
/// is content with either.
uint8_t needed_permissions(uint32_t flags) {
  uint8_t needed = 0;
  if (flags & kKeyAccess) needed |= kMayRead;
  if (flags & (kKeyInsert | kKeyDelete | kKeyUpdate)) needed |= kMayWrite;
  return needed;
}

}  // namespace

const std::vector<KeyUse>& RequestKeys::get() {
  if (found_) return uses_;
  found_ = true;
  uses_.clear();
  if (!find_key_uses(*command_.spec, args_, uses_)) uses_.clear();
  return uses_;
}

bool Selector::permits_command(const CommandEntry& command, Args args) const {
  // Who may not even log in could never be let in.
  if (all_commands || commands[command.id] || (command.flags & kNoAuth)) return true;
  const auto found = first_arguments.find(command.id);
  if (found == first_arguments.end()) return false;
  const size_t first = command.parent ? 2 : 1;
  return args.size() > first && std::any_of(found->second.begin(), found->second.end(),
                                            [&](const std::string& word) { return equals_ignoring_case(word, args[first]); });
}

bool Selector::permits_key(std::string_view key, uint32_t flags) const {
  if (all_keys) return true;
  const uint8_t needed = needed_permissions(flags);
  return std::any_of(keys.begin(), keys.end(), [&](const KeyPattern& pattern) {
    return (pattern.permission & needed) == needed && glob_match(pattern.glob, key);
  });
}

bool Selector::permits_channel(std::string_view channel, bool is_pattern) const {
  if (all_channels) return true;
  return std::any_of(channels.begin(), channels.end(), [&](const std::string& permitted) {
    return is_pattern ? permitted == channel : glob_match(permitted, channel);
  });
}

bool Selector::reads_all_keys() const {
  return all_keys || std::any_of(keys.begin(), keys.end(),
                                 [](const KeyPattern& pattern) { return pattern.glob == "*" && (pattern.permission & kMayRead); });
}

bool User::accepts(const PasswordHash& password) const {
  bool accepted = false;
  for (const PasswordHash& own : passwords) accepted |= own.same_as(password);
  return accepted;
}

}  // namespace quartet::server
