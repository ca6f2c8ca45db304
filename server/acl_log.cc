#include "server/acl_log.h"

#include <algorithm>

#include "base/limits.h"

namespace quartet::server {

namespace {

/// So many of the latest entries are looked at for one that is alike, and so old it may be, in ms. As in Redis.
constexpr size_t kLookedAt = 10;
constexpr int64_t kGroupingMs = 60'000;

std::string_view shortened(std::string_view text) { return text.substr(0, limits::kAclLogObjectBytes); }

}  // namespace

void AclLog::add(Reason reason, Source source, std::string_view object, std::string_view user, std::string client, const Time& now,
                 size_t max_length) {
  Entry entry{reason, source, std::string(shortened(object)), std::string(shortened(user)), std::move(client)};
  const auto end = entries_.begin() + static_cast<ptrdiff_t>(std::min(entries_.size(), kLookedAt));
  const auto like = std::find_if(entries_.begin(), end, [&](const Entry& other) {
    return other.reason == reason && other.source == source && other.object == entry.object && other.user == entry.user &&
           now.mono_ms() - other.last_ms <= kGroupingMs;
  });
  if (like != end) {
    entry.count += like->count;
    entries_.erase(like);
  }
  entry.last_ms = now.mono_ms();
  entries_.push_front(std::move(entry));
  trim(max_length);
}

void AclLog::trim(size_t max_length) {
  while (entries_.size() > max_length) entries_.pop_back();
}

}  // namespace quartet::server
