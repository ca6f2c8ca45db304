#include "persistence/feed.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace quartet::persistence {

void Feed::add(Sink& sink) {
  assert(!in_unit());
  sinks_.push_back(&sink);
}

void Feed::remove(Sink& sink) {
  assert(!in_unit());
  sinks_.erase(std::remove(sinks_.begin(), sinks_.end(), &sink), sinks_.end());
}

void Feed::append(const Effect& effect) {
  if (depth_ > 0 && !unit_open_) {
    unit_open_ = true;
    for (Sink* sink : sinks_) sink->begin_unit();
  }
  for (Sink* sink : sinks_) sink->append(effect);
}

void Feed::end_unit() {
  if (--depth_ > 0) return;
  if (std::exchange(unit_open_, false))
    for (Sink* sink : sinks_) sink->end_unit();
  if (acts_.empty()) return;
  for (const auto& act : std::exchange(acts_, {})) act();
}

void Feed::abandon() {
  if (std::exchange(unit_open_, false))
    for (Sink* sink : sinks_) sink->abandon_unit();
  sinks_.clear();
  acts_.clear();
  abandoned_ = true;
}

void Feed::between_units(std::function<void()> act) {
  if (!in_unit()) return act();
  acts_.push_back(std::move(act));
}

}  // namespace quartet::persistence
