#pragma once

#include <string_view>

#include "server/context.h"

namespace quartet::server {

/// Whether the pair lets a client in, which it then is. There is one user, `default`, whose password is `requirepass`; without one
/// any is right. Nothing is replied.
bool authenticate(Context& ctx, std::string_view user, std::string_view password);

}  // namespace quartet::server
