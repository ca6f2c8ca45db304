#pragma once

#include "server/context.h"

namespace quartet::server {

/// Replies the documentation of the named commands ("set", "config|get"); of all where none is named. Unknown names are
/// left out.
void reply_command_docs(Context& ctx, Args names);

}  // namespace quartet::server
