// The clients of memcached's protocol: siblings of those of RESP, whose requests go the same way from here on.

#include "server/memcached.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/server.h"

namespace quartet::server {

MemcachedService& Server::memcached(int index) {
  std::unique_ptr<MemcachedService>& service = memcached_[index];
  if (!service) service = std::make_unique<MemcachedService>();
  return *service;
}

int64_t Server::memcached_item_bytes(int index) const {
  const int64_t own = config.database[static_cast<size_t>(index)].memcached_item_size_max;
  return own > 0 ? own : std::min(config.proto_max_bulk_len, limits::kMemcachedItemBytes);
}

bool Server::memcached_is_full(int index) {
  const int64_t most = config.database[static_cast<size_t>(index)].memcached_maxclients;
  MemcachedService& service = memcached(index);
  const bool full = (most > 0 && service.sessions >= static_cast<size_t>(most)) ||
                    sessions_.size() >= static_cast<size_t>(config.maxclients);
  if (full) ++service.stats.rejected_connections;
  return full;
}

bool Server::is_open_to(const Session& session, int index) const {
  const bool local = session.loopback || session.unix_socket;
  return local && config.database[static_cast<size_t>(index)].memcached_open_to_local && acl.default_user().enabled;
}

void Input::parse_memcached(Session& session, std::string_view input, Batch& batch) {
  using Status = protocol::MemcachedParser::Status;
  protocol::MemcachedParser& parser = session.memcached->parser;
  protocol::MemcachedLimits parser_limits;
  parser_limits.item_bytes = server_.memcached_item_bytes(session.database);
  const bool unknown = server_.must_log_in(session);
  if (unknown) {
    parser_limits.item_bytes = std::min(parser_limits.item_bytes, limits::kUnauthenticatedBulkBytes);
    parser_limits.keys_line_bytes = parser_limits.line_bytes;
  }
  // What may follow the first words is not known before they are known to be the right ones.
  const size_t most = unknown ? 1 : limits::kBatchCommands;
  while (batch.requests.size() < most && batch.bytes < input.size()) {
    const size_t first = batch.arguments.size();
    const Status status = parser.next(input.substr(batch.bytes), parser_limits, batch.arguments);
    if (status == Status::Incomplete) return;
    if (status == Status::Error) {
      batch.well_formed = false;
      return;
    }
    batch.bytes += parser.consumed();
    if (status == Status::Empty) {
      // Data that are passed over belong to the request that was too large.
      if (!batch.requests.empty()) batch.requests.back().end_byte = batch.bytes;
      continue;
    }
    const CommandEntry* command = status == Status::Complete ? server_.commands.find_memcached(batch.arguments[first]) : nullptr;
    if (status == Status::TooLarge) {
      command = server_.commands.find_memcached("too_large");
    } else if (!command || command->flags & kInternal) {
      // What a line is answered that is wrong or no command comes in its turn.
      command = server_.commands.find_memcached("error");
      batch.arguments.resize(first);
      batch.arguments.push_back(status == Status::Refused ? parser.error() : "ERROR");
    } else if (command->spec->choose) {
      command = command->subcommands[command->spec->choose(Args(batch.arguments).subspan(first))].get();
    }
    batch.requests.push_back({first, batch.arguments.size(), batch.bytes, command, parser.quiet()});
    // A decoded key lies in the parser, only until its next call.
    if (parser.decoded()) return;
  }
}

void Input::end_malformed_memcached(Session& session) {
  const protocol::MemcachedParser& parser = session.memcached->parser;
  if (parser.binary()) {
    server_.about_clients_.write(server_.log, LogLevel::Warning, session.last_active,
                         "Closing client id={} addr={}: it speaks memcached's binary protocol, which memcached has deprecated. Here only the "
                         "text protocol, with the meta commands, is spoken: let the client use that (in libmemcached: BINARY_PROTOCOL off)",
                         session.id, session.address);
    return;
  }
  if (parser.http()) {
    server_.about_clients_.write(server_.log, LogLevel::Warning, session.last_active,
                         "Possible SECURITY ATTACK detected: HTTP from {} at a port of memcached's protocol. Connection closed.",
                         session.address);
    return;
  }
  session.reply.count_error(parser.error());
  session.reply.raw(parser.error());
  session.reply.raw("\r\n");
}

void Server::flush_when_due(const Time& now) {
  for (const auto& [index, service] : memcached_) {
    if (service->flush_at_us == 0 || now.mono_us < service->flush_at_us) continue;
    service->flush_at_us = 0;
    if (const auto refusal = flush(index)) {
      log.warning("A flush_all whose time has come is refused: {}", *refusal);
      continue;
    }
    const std::string_view effect[] = {"FLUSHDB"};
    if (feed.active()) feed.append({index, effect});
  }
}

uint64_t Server::next_cas() {
  // Numbers of an earlier process fit no value of this one: it does not give out as many as there were microseconds.
  if (last_cas_ == 0) last_cas_ = static_cast<uint64_t>(started.wall_us);
  return ++last_cas_;
}

}  // namespace quartet::server
