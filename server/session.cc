#include "server/session.h"

#include "server/blocking.h"
#include "server/memcached.h"
#include "server/transactions.h"

namespace quartet::server {

// Both stand here, where Watch, BlockedCommand and MemcachedSession are complete.
Session::Session(uint64_t session_id, protocol::BlockPool& pool) : id(session_id), out(pool), reply(out) {}

Session::~Session() = default;

size_t Session::needed_input() const { return memcached ? memcached->parser.needed() : parser.needed(); }

void Session::reset_parser() { memcached ? memcached->parser.reset() : parser.reset(); }

}  // namespace quartet::server
