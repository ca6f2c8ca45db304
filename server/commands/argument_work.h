#pragma once

#include "base/pauses.h"
#include "server/context.h"

namespace quartet::server {

/// The work of a command that does something for each of its arguments, and copies, hashes or compares it.
inline size_t work_of_arguments(const Context& ctx) {
  // A few are not long, but for what their size alone takes, which it took to receive them.
  constexpr size_t kFew = 16;
  if (ctx.args.size() <= kFew) return ctx.args.size();
  size_t bytes = 0;
  for (const std::string_view argument : ctx.args) bytes += argument.size();
  return work_of_elements(ctx.args.size(), bytes);
}

}  // namespace quartet::server
