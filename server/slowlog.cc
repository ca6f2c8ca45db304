#include "server/slowlog.h"

#include <fmt/format.h>

namespace quartet::server {

namespace {

constexpr size_t kArguments = 32;
constexpr size_t kArgumentBytes = 128;

}  // namespace

void SlowLog::add(const Session& session, int database, Args args, int64_t microseconds, const Time& now, size_t max_length) {
  Item item{next_id_++, now.wall_us / 1'000'000, microseconds, database, {}, session.address, session.name};
  const size_t shown = std::min(args.size(), kArguments);
  for (size_t i = 0; i < shown; ++i) {
    if (shown < args.size() && i == shown - 1) {
      item.arguments.push_back(fmt::format("... ({} more arguments)", args.size() - shown + 1));
    } else if (args[i].size() > kArgumentBytes) {
      item.arguments.push_back(
          fmt::format("{}... ({} more bytes)", args[i].substr(0, kArgumentBytes), args[i].size() - kArgumentBytes));
    } else {
      item.arguments.emplace_back(args[i]);
    }
  }
  items_.push_front(std::move(item));
  trim(max_length);
}

size_t SlowLog::memory() const {
  size_t bytes = items_.size() * sizeof(Item);
  for (const Item& item : items_)
    for (const std::string& argument : item.arguments) bytes += sizeof(argument) + argument.capacity();
  return bytes;
}

void SlowLog::trim(size_t max_length) {
  while (items_.size() > max_length) items_.pop_back();
}

void LatencyMonitor::add(const std::string& event, uint32_t ms, int64_t seconds) {
  Series& series = events_[event];
  series.max = std::max(series.max, ms);
  if (!series.samples.empty() && series.samples.back().time == seconds) {
    series.samples.back().ms = std::max(series.samples.back().ms, ms);
    return;
  }
  series.samples.push_back({seconds, ms});
  if (series.samples.size() > kHistory) series.samples.pop_front();
}

size_t LatencyMonitor::reset(const std::string& event) {
  if (!event.empty()) return events_.erase(event);
  const size_t all = events_.size();
  events_.clear();
  return all;
}

}  // namespace quartet::server
