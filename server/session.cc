#include "server/session.h"

#include "server/blocking.h"
#include "server/transactions.h"

namespace quartet::server {

// Both stand here, where Watch and BlockedCommand are complete.
Session::Session(uint64_t session_id, protocol::BlockPool& pool) : id(session_id), out(pool), reply(out) {}

Session::~Session() = default;

}  // namespace quartet::server
