#include "server/session.h"

#include "server/blocking.h"
#include "server/memcached.h"
#include "server/transactions.h"

namespace quartet::server {

struct Session::PushesApart {
  PushesApart(protocol::BlockPool& pool, int version) : out(pool), reply(out, version) {}
  protocol::OutputBuffer out;
  protocol::Reply reply;
};

// Both stand here, where Watch, BlockedCommand and MemcachedSession are complete.
Session::Session(uint64_t session_id, protocol::BlockPool& pool) : id(session_id), out(pool), reply(out) {}

Session::~Session() = default;

size_t Session::needed_input() const { return memcached ? memcached->parser.needed() : parser.needed(); }

protocol::Reply& Session::pushes() {
  if (!silenced) return reply;
  if (!pushes_apart) {
    pushes_apart = std::make_unique<PushesApart>(out.pool(), reply.version());
    pushes_apart->out.set_bound(out.bound());
  }
  return pushes_apart->reply;
}

void Session::join_pushes() {
  silenced = false;
  if (!pushes_apart) return;
  out.take(pushes_apart->out);
  pushes_apart.reset();
}

void Session::reset_parser() { memcached ? memcached->parser.reset() : parser.reset(); }

}  // namespace quartet::server
