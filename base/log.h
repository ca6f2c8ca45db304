#pragma once

#include <fmt/core.h>

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
  /// Writes a message whose arguments are erased, so that the formatting is compiled once and not by everybody who
  /// logs.
  void format(LogLevel level, fmt::string_view text, fmt::format_args args);

  template <class... Args>
  void debug(fmt::format_string<Args...> text, Args&&... args) {
    if (level_ <= LogLevel::Debug) format(LogLevel::Debug, text, fmt::make_format_args(args...));
  }
  template <class... Args>
  void verbose(fmt::format_string<Args...> text, Args&&... args) {
    if (level_ <= LogLevel::Verbose) format(LogLevel::Verbose, text, fmt::make_format_args(args...));
  }
  template <class... Args>
  void notice(fmt::format_string<Args...> text, Args&&... args) {
    if (level_ <= LogLevel::Notice) format(LogLevel::Notice, text, fmt::make_format_args(args...));
  }
  template <class... Args>
  void warning(fmt::format_string<Args...> text, Args&&... args) {
    format(LogLevel::Warning, text, fmt::make_format_args(args...));
  }

 private:
  Clock& clock_;
  LogLevel level_ = LogLevel::Notice;
  std::FILE* file_ = nullptr;
};

}  // namespace quartet
