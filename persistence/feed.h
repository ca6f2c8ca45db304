#pragma once

#include <functional>
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
  /// What the string under the first key has beside its value once the command is done, where that is to be told; but
  /// for its number.
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
  /// Instead of end_unit: what has come since begin_unit is to be forgotten.
  virtual void abandon_unit() = 0;
};

/// The one way by which changes leave the server, in the order in which they happened.
class Feed {
 public:
  /// REQUIRES for both: !in_unit().
  void add(Sink& sink);
  void remove(Sink& sink);
  /// Whether anybody listens; effects need not be built where nobody does.
  bool active() const { return !sinks_.empty(); }

  void append(const Effect& effect);
  /// Units nest; only the outermost counts. A unit without effects is not passed on.
  void begin_unit() { ++depth_; }
  void end_unit();
  /// What `work` appends is one unit, which ends also where that throws.
  template <class Work>
  void as_unit(Work work) {
    begin_unit();
    try {
      work();
    } catch (...) {
      end_unit();
      throw;
    }
    end_unit();
  }
  bool in_unit() const { return depth_ > 0; }
  /// The process ends, and a unit is not carried to its end: what it has brought so far is forgotten, and nothing more
  /// is passed on.
  void abandon();
  bool abandoned() const { return abandoned_; }

  /// Calls `act` where no unit is open: now, or when the outermost one has ended. For whoever adds or removes sinks,
  /// begins a file, or takes a snapshot: a copy of the data holds all of a unit or nothing of it.
  void between_units(std::function<void()> act);

 private:
  std::vector<Sink*> sinks_;
  int depth_ = 0;
  bool unit_open_ = false;  // and the sinks have been told
  bool abandoned_ = false;
  std::vector<std::function<void()>> acts_;  // to be called when the unit has ended
};

}  // namespace quartet::persistence
