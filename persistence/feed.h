#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "storage/entry.h"

namespace quartet::persistence {

/// One change of data, as a command that makes the same change on any copy of the data: deterministic and absolute.
/// The views are good only during the call that hands the effect over.
struct Effect {
  int database;
  std::span<const std::string_view> arguments;
  int other = -1;  ///< a second database that it changes (MOVE, COPY, SWAPDB)
  /// What the string under the first key has beside its value once the command is done, where that is to be told; but for its
  /// number.
  const storage::Note* note = nullptr;
};

/// A consumer of changes: the append-only file, a replica.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void append(const Effect& effect) = 0;
  /// What comes between these two is one unit: all of it happens or nothing.
  virtual void begin_unit() = 0;
  virtual void end_unit() = 0;
};

/// The one way by which changes leave the server, in the order in which they happened.
class Feed {
 public:
  void add(Sink& sink) { sinks_.push_back(&sink); }
  void remove(Sink& sink);
  /// Whether anybody listens; effects need not be built where nobody does.
  bool active() const { return !sinks_.empty(); }

  void append(const Effect& effect);
  /// Units nest; only the outermost counts. A unit without effects is not passed on.
  void begin_unit() { ++depth_; }
  void end_unit();

 private:
  std::vector<Sink*> sinks_;
  int depth_ = 0;
  bool unit_open_ = false;
};

}  // namespace quartet::persistence
