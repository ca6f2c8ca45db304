#include "persistence/feed.h"

#include <algorithm>

namespace quartet::persistence {

void Feed::remove(Sink& sink) { sinks_.erase(std::remove(sinks_.begin(), sinks_.end(), &sink), sinks_.end()); }

void Feed::append(const Effect& effect) {
  if (depth_ > 0 && !unit_open_) {
    unit_open_ = true;
    for (Sink* sink : sinks_) sink->begin_unit();
  }
  for (Sink* sink : sinks_) sink->append(effect);
}

void Feed::end_unit() {
  if (--depth_ > 0 || !unit_open_) return;
  unit_open_ = false;
  for (Sink* sink : sinks_) sink->end_unit();
}

}  // namespace quartet::persistence
