#pragma once

#include <optional>

namespace quartet::net {

/// SIGTERM, SIGINT and SIGHUP as something to read, so that they are heard within a long command too, where the loop does not
/// turn, and without a handler that interrupts it. Of a signal that comes again before it is read, one is kept.
class Signals {
 public:
  /// From here on they end nothing by themselves. REQUIRES: no other threads yet, because they would still take them.
  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  /// Readable when a signal has come; -1 where the process has run out of descriptors.
  int descriptor() const { return descriptor_; }
  /// The next signal that has come; never waits.
  std::optional<int> next();

 private:
  int descriptor_;
};

}  // namespace quartet::net
