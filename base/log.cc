#include "base/log.h"

#include <fmt/format.h>

#include <ctime>

namespace quartet {

Log::~Log() {
  if (file_) std::fclose(file_);
}

bool Log::open(const std::string& path) {
  std::FILE* opened = nullptr;
  if (!path.empty()) {
    opened = std::fopen(path.c_str(), "ae");
    if (!opened) return false;
  }
  if (file_) std::fclose(file_);
  file_ = opened;
  return true;
}

void Log::write(LogLevel level, std::string_view message) {
  static constexpr std::string_view kNames[] = {"debug", "verbose", "notice", "warning"};
  const Time now = clock_.now();
  const std::time_t seconds = now.wall_us / 1'000'000;
  std::tm calendar;
  localtime_r(&seconds, &calendar);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &calendar);
  std::FILE* out = file_ ? file_ : stdout;
  fmt::print(out, "{}.{:03} {} {}\n", stamp, now.wall_us / 1000 % 1000, kNames[static_cast<int>(level)], message);
  std::fflush(out);
}

void Log::format(LogLevel level, fmt::string_view text, fmt::format_args args) {
  write(level, fmt::vformat(text, args));
}

}  // namespace quartet
