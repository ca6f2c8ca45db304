#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "server/context.h"

namespace quartet::server {

/// Reads a command's arguments in order and remembers the first error, so that a handler asks once, at the end:
///
///   Arguments in(ctx);
///   const auto key = in.next();
///   const int64_t count = in.integer();
///   while (in.more()) {
///     if (in.option("NX")) nx = true;
///     else if (in.option("EX", 1)) seconds = in.integer();
///     else in.fail(errors::kSyntax);
///   }
///   if (!in.ok()) return;   // the error has been written
///
/// After an error, reads give empty or zero values and more() is false.
class Arguments {
 public:
  explicit Arguments(Context& ctx, size_t start = 1) : ctx_(ctx), at_(start) {}

  bool more() const { return error_.empty() && at_ < ctx_.args.size(); }
  size_t left() const { return error_.empty() ? ctx_.args.size() - at_ : 0; }
  size_t position() const { return at_; }
  std::string_view peek() const { return more() ? ctx_.args[at_] : std::string_view(); }

  /// The next argument; a syntax error where there is none.
  std::string_view next();
  int64_t integer(std::string_view error = errors::kNotInteger);
  /// An integer within [low, high], else `out_of_range`; `not_integer`, where it is given, for what is none at all.
  int64_t integer_in(int64_t low, int64_t high, std::string_view out_of_range, std::string_view not_integer = {});
  double number(std::string_view error = errors::kNotFloat);
  /// Seconds, possibly fractional, as a timeout in ms (0: for ever), with Redis's errors for it.
  int64_t timeout_seconds();
  /// All the arguments from here on.
  Args rest();
  /// The next `count` arguments; a syntax error where there are fewer.
  Args take(size_t count);

  /// True, and the argument is consumed, where the next one is this word (case does not matter) and at least `operands`
  /// more follow it.
  bool option(std::string_view word, size_t operands = 0);

  void fail(std::string_view error) {
    if (error_.empty()) error_ = error;
  }
  bool failed() const { return !error_.empty(); }
  /// True where no error was met; else the first error is written as the reply. REQUIRES: called once.
  [[nodiscard]] bool ok();

 private:
  Context& ctx_;
  size_t at_;
  std::string_view error_;  // constants only
};

}  // namespace quartet::server
