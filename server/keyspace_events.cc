#include "server/keyspace_events.h"

#include <fmt/format.h>

#include "base/glob.h"
#include "base/numbers.h"
#include "server/context.h"

namespace quartet::server {

namespace {

struct Letter {
  char letter;
  uint32_t flag;
};

constexpr uint32_t bit(EventClass event_class) { return static_cast<uint32_t>(event_class); }

/// Classes that `d` (module events) has no sender for; it is kept because clients set it.
constexpr uint32_t kModule = 1 << 13;

/// The classes that `A` stands for, in the order in which they are shown.
constexpr Letter kClasses[] = {
    {'g', bit(EventClass::Generic)}, {'$', bit(EventClass::String)},    {'l', bit(EventClass::List)},
    {'s', bit(EventClass::Set)},     {'h', bit(EventClass::Hash)},      {'z', bit(EventClass::SortedSet)},
    {'x', bit(EventClass::Expired)}, {'e', bit(EventClass::Evicted)},   {'t', bit(EventClass::Stream)},
    {'d', kModule},
};
/// Those that have to be asked for one by one.
constexpr Letter kNew = {'n', bit(EventClass::New)};
constexpr Letter kOthers[] = {{'K', kEventsByKey}, {'E', kEventsByName}, {'m', bit(EventClass::KeyMiss)}};

constexpr uint32_t all_classes() {
  uint32_t all = 0;
  for (const Letter& known : kClasses) all |= known.flag;
  return all;
}

}  // namespace

std::optional<uint32_t> parse_event_flags(std::string_view text) {
  uint32_t flags = 0;
  for (const char c : text) {
    uint32_t found = c == 'A' ? all_classes() : c == kNew.letter ? kNew.flag : 0;
    for (const Letter& known : kClasses)
      if (known.letter == c) found = known.flag;
    for (const Letter& known : kOthers)
      if (known.letter == c) found = known.flag;
    if (!found) return {};
    flags |= found;
  }
  return flags;
}

std::string format_event_flags(uint32_t flags) {
  std::string text;
  if ((flags & all_classes()) == all_classes()) {
    text = "A";
  } else {
    for (const Letter& known : kClasses)
      if (flags & known.flag) text += known.letter;
    if (flags & kNew.flag) text += kNew.letter;
  }
  for (const Letter& known : kOthers)
    if (flags & known.flag) text += known.letter;
  return text;
}

bool is_event_channel_of(int database, std::string_view channel, bool is_pattern) {
  for (const std::string_view kind : {"__keyspace@", "__keyevent@"}) {
    // Nearly all channels end here.
    if (!is_pattern && !channel.starts_with(kind)) continue;
    const std::string beginning = fmt::format("{}{}__:", kind, database);
    if (is_pattern ? glob_match_beginning(channel, beginning) : channel.starts_with(beginning)) return true;
  }
  return false;
}

}  // namespace quartet::server
