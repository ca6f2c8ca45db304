#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/memcached_parser.h"

namespace quartet::server {

/// What the clients of memcached's protocol of one database have done since the start or `stats reset`, under the names of
/// `stats`.
struct MemcachedStatistics {
  uint64_t total_connections = 0;
  uint64_t rejected_connections = 0;
  uint64_t cmd_get = 0;
  uint64_t cmd_set = 0;
  uint64_t cmd_flush = 0;
  uint64_t cmd_touch = 0;
  uint64_t cmd_meta = 0;
  uint64_t get_hits = 0;
  uint64_t get_misses = 0;
  uint64_t delete_misses = 0;
  uint64_t delete_hits = 0;
  uint64_t incr_misses = 0;
  uint64_t incr_hits = 0;
  uint64_t decr_misses = 0;
  uint64_t decr_hits = 0;
  uint64_t cas_misses = 0;
  uint64_t cas_hits = 0;
  uint64_t cas_badval = 0;
  uint64_t touch_hits = 0;
  uint64_t touch_misses = 0;
  uint64_t store_too_large = 0;
  uint64_t auth_cmds = 0;
  uint64_t auth_errors = 0;
  uint64_t idle_kicks = 0;
  uint64_t bytes_read = 0;
  uint64_t bytes_written = 0;
  uint64_t total_items = 0;
};

/// What the clients of memcached's protocol of one database share.
struct MemcachedService {
  MemcachedStatistics stats;
  size_t sessions = 0;
  int64_t flush_at_us = 0;  // monotonic; when a `flush_all` with a delay is due, 0: none is
};

/// What a session has more where its client speaks memcached's protocol.
struct MemcachedSession {
  explicit MemcachedSession(MemcachedService& of) : service(of) {}

  protocol::MemcachedParser parser;
  MemcachedService& service;
  bool quiet = false;  // the request that is being executed wants no reply
};

}  // namespace quartet::server
