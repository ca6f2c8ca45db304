#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace quartet {

enum class LogLevel { Debug, Verbose, Notice, Warning };

/// Writes one line a message: time, level, text; to a file, or to standard output where the file's name is empty.
/// Secrets are never passed to it.
class Log {
 public:
  explicit Log(Clock& clock) : clock_(clock) {}
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  /// False where the file cannot be opened for appending; messages then go on to where they went before.
  [[nodiscard]] bool open(const std::string& path);
  void set_level(LogLevel level) { level_ = level; }
  LogLevel level() const { return level_; }

  void write(LogLevel level, std::string_view message);

  template <class... Args>
  void debug(fmt::format_string<Args...> text, Args&&... args) {
    if (level_ <= LogLevel::Debug) write(LogLevel::Debug, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void verbose(fmt::format_string<Args...> text, Args&&... args) {
    if (level_ <= LogLevel::Verbose) write(LogLevel::Verbose, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void notice(fmt::format_string<Args...> text, Args&&... args) {
    if (level_ <= LogLevel::Notice) write(LogLevel::Notice, fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warning(fmt::format_string<Args...> text, Args&&... args) {
    write(LogLevel::Warning, fmt::format(text, std::forward<Args>(args)...));
  }

 private:
  Clock& clock_;
  LogLevel level_ = LogLevel::Notice;
  std::FILE* file_ = nullptr;
};

}  // namespace quartet
