#include "server/server.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/numbers.h"
#include "base/slab.h"
#include "server/config_target.h"
#include "server/keyspace_events.h"
#include "server/process_info.h"
#include "server/scripting.h"

namespace quartet::server {

namespace {

/// As memcached says it, where a listener for its protocol has as many clients as it may have.
constexpr std::string_view kTooManyConnections = "ERROR Too many open connections\r\n";

std::string make_run_id(Random& random) {
  std::string id;
  while (id.size() < 40) id += fmt::format("{:016x}", random.next());
  id.resize(40);
  return id;
}

}  // namespace

Server::Server(Clock& clock_, Log& log_, ConfigStore& config_, persistence::Disk& disk, Background& background_, Host& host_,
               std::span<const std::span<const Command>> families)
    : input(*this),
      clock(clock_),
      log(log_),
      config_store(config_),
      config(config_.values()),
      background(background_),
      host(host_),
      commands(families),
      acl(commands, config),
      random(entropy()),
      pubsub([this](Session& session) { output_added(session); }),
      blocking(*this),
      durability(*this, disk),
      long_commands(*this),
      memory_limit(*this),
      client_eviction(*this),
      started(clock_.now()),
      run_id(make_run_id(random)) {
  stats.databases.resize(static_cast<size_t>(config.databases));
  for (int64_t i = 0; i < config.databases; ++i)
    databases.push_back(std::make_unique<storage::Keyspace>(static_cast<int>(i), *this, thresholds_));
  scripting = std::make_unique<Scripting>(*this);
  stats.last_sample_ms = started.mono_ms();
  apply_config({});
  client_eviction.configure();
  stats.startup_memory = stats.peak_memory = used_memory();
  stats.startup_scripts_memory = scripting->memory();
  config_store.on_change([this](const std::vector<std::string_view>& names) { return apply_config(names); });
}

// What a snapshot still holds goes the way of other garbage.
Server::~Server() {
  long_commands.end();
  snapshot.reset();
}

std::optional<ConfigFault> Server::apply_config(const std::vector<std::string_view>& names) {
  thresholds_.hash_max_listpack_entries = config.hash_max_listpack_entries;
  thresholds_.hash_max_listpack_value = config.hash_max_listpack_value;
  thresholds_.list_max_listpack_size = config.list_max_listpack_size;
  thresholds_.list_compress_depth = config.list_compress_depth;
  thresholds_.set_max_intset_entries = config.set_max_intset_entries;
  thresholds_.zset_max_listpack_entries = config.zset_max_listpack_entries;
  thresholds_.zset_max_listpack_value = config.zset_max_listpack_value;
  memory_limit.configure();
  date_new_entries(clock.now());  // not only with the next tick: a policy may have changed
  notify_flags_.resize(config.database.size());
  any_notify_flags_ = 0;
  slow_from_us_ = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < config.database.size(); ++i) {
    const DatabaseConfig& settings = config.database[i];
    notify_flags_[i] = static_cast<uint32_t>(settings.notify_keyspace_events);
    any_notify_flags_ |= notify_flags_[i];
    if (settings.slowlog_log_slower_than >= 0) slow_from_us_ = std::min(slow_from_us_, settings.slowlog_log_slower_than);
    databases[i]->announce_new(settings.default_ttl > 0 || notify_flags_[i] & static_cast<uint32_t>(EventClass::New));
  }
  slowlog.trim(static_cast<size_t>(config.slowlog_max_len));
  const auto named = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (!names.empty())
    if (auto error = durability.configure()) return ConfigFault(*error, {"appendonly", "save", "dir", "appendfsync"});
  if (named("maxmemory") && config.maxmemory > 0 && used_memory() > static_cast<size_t>(config.maxmemory))
    log.warning("maxmemory is now {} bytes, less than the {} in use: keys are evicted, or writes refused, as the policies say.",
                config.maxmemory, used_memory());
  if (named("maxmemory-clients") || named("maxmemory")) client_eviction.configure();
  if (named("client-output-buffer-limit"))
    for (const auto& [id, session] : sessions_) bound_output(*session);
  if (named("requirepass")) acl.set_default_password(config.requirepass);
  const bool memcached_moved = std::any_of(names.begin(), names.end(), [](std::string_view name) {
    return name.ends_with(".memcached-port") || name.ends_with(".memcached-bind");
  });
  if (named("port") || named("bind") || named("unixsocket") || memcached_moved)
    if (auto fault = host.rebind()) return fault;
  static constexpr std::string_view kLevels[] = {"debug", "verbose", "notice", "warning"};
  for (size_t i = 0; i < std::size(kLevels); ++i)
    if (config.loglevel == kLevels[i]) log.set_level(static_cast<LogLevel>(i));
  return {};
}

int Server::database_index(std::string_view text) const {
  const auto index = find_database(text, config);
  return index ? static_cast<int>(*index) : -1;
}

std::string Server::database_name(int index) const {
  return server::database_name(index, config);
}

// --- Sessions ---------------------------------------------------------------------------------------------------------

Session* Server::open_session(Connection& connection, std::string address, std::string local_address, int descriptor,
                              bool unix_socket, bool loopback, std::string_view& refusal, std::optional<int> memcached_database) {
  if (memcached_database && memcached_is_full(*memcached_database)) {
    refusal = kTooManyConnections;
    ++stats.connections_rejected;
    return nullptr;
  }
  if (sessions_.size() >= static_cast<size_t>(config.maxclients)) {
    refusal = kMaxClientsReached;
    ++stats.connections_rejected;
    return nullptr;
  }
  if (config.protected_mode && acl.default_user().nopass && !loopback && !unix_socket) {
    refusal =
        "-DENIED Quartet is running in protected mode because protected mode is enabled and no password is set for the "
        "default user. In this mode connections are only accepted from the loopback interface. If you want to connect "
        "from external computers, set a password with 'requirepass', or turn protected mode off with 'protected-mode no' "
        "where the port is not reachable from outside.\r\n";
    // The same to clients of memcached's protocol, in its form.
    if (memcached_database)
      refusal = "SERVER_ERROR protected mode: without a password set by requirepass only clients of this machine are served\r\n";
    ++stats.connections_rejected;
    return nullptr;
  }
  ++stats.connections_received;
  const uint64_t id = next_session_id_++;
  auto session = std::make_unique<Session>(id, pool_);
  session->connection = &connection;
  session->address = std::move(address);
  session->local_address = std::move(local_address);
  session->descriptor = descriptor;
  session->unix_socket = unix_socket;
  session->loopback = loopback;
  session->user = &acl.default_user();
  session->authenticated = acl.default_user().open_to_all() || (memcached_database && is_open_to(*session, *memcached_database));
  session->created = session->last_active = clock.now();
  session->unauthenticated_since_us = session->created.mono_us;
  if (memcached_database) {
    if (!enter_database(*session, *memcached_database)) {
      refusal = kTooManyConnections;
      ++stats.connections_rejected;
      return nullptr;
    }
    MemcachedService& service = memcached(*memcached_database);
    ++service.sessions;
    ++service.stats.total_connections;
    session->memcached = std::make_unique<MemcachedSession>(service);
    session->reply.set_version(protocol::Reply::kMemcached);
  }
  return sessions_.emplace(id, std::move(session)).first->second.get();
}

void Server::close_session(Session& session) {
  blocking.forget(session);
  long_commands.forget(session);
  watches.remove_all(session);
  pubsub.forget(session);
  if (session.monitor) std::erase(monitors_, &session);
  if (session.memcached) --session.memcached->service.sessions;
  client_eviction.forget(session);
  leave_database(session);
  if (!session.held.empty()) held_[session.held_position] = nullptr;
  input.forget(session);
  const auto found = sessions_.find(session.id);
  std::unique_ptr<Session> gone = std::move(found->second);
  sessions_.erase(found);
  if (gone->wait == Wait::OwnSlices) long_commands.leave(std::move(gone));
}

Session* Server::find_session(uint64_t id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void Server::add_monitor(Session& session) {
  session.monitor = true;
  monitors_.push_back(&session);
}

void Server::remove_monitor(Session& session) {
  session.monitor = false;
  std::erase(monitors_, &session);
}

void Server::disconnect(Session& session, bool flush) {
  session.closing = true;
  // Nothing may be handed to a client that is on its way out.
  blocking.forget(session);
  if (!flush) client_eviction.let_go(session);
  if (session.connection) session.connection->close_soon(flush);
}

size_t Server::output_limit(const Session& session) const {
  const int64_t hard = config.client_output_buffer_limit[static_cast<size_t>(session.client_class())].hard_bytes;
  const size_t limit = hard > 0 ? static_cast<size_t>(hard) : SIZE_MAX;
  return must_log_in(session) ? std::min(limit, limits::kUnauthenticatedOutputBytes) : limit;
}

void Server::bound_output(Session& session) const {
  session.out.set_bound(std::min(output_limit(session), client_eviction.limit_of(session)));
}

void Server::close_for_output(Session& session) {
  if (session.closing) return;
  about_clients_.write(log, LogLevel::Warning, clock.now(), "Client id={} addr={} closed for overcoming of output buffer limits ({} bytes).",
                       session.id, session.address, session.out.memory());
  ++stats.output_buffer_limit_disconnections;
  disconnect(session, false);
}

void Server::end_overrun(Session& session, size_t mark) {
  session.out.truncate(mark);
  session.out.bound() < output_limit(session) ? client_eviction.evict(session) : close_for_output(session);
}

void Server::output_added(Session& session) {
  if (!session.connection) return;
  bound_output(session);
  if (!session.out.empty()) {
    session.connection->flush_soon();
    check_output(session);
  } else {
    session.soft_limit_since_ms = 0;
  }
  if (client_eviction.on()) {
    client_eviction.update(session);
    client_eviction.evict();
  }
}

void Server::check_output(Session& session) {
  if (session.out.overrun()) {
    // The reply to a command of its own is cut off when it has ended. Of what was no reply, the part that is there is sent.
    if (!session.executing) end_overrun(session, session.out.size());
    return;
  }
  const size_t bytes = session.out.beyond_first();
  if (bytes > output_limit(session)) return close_for_output(session);
  const OutputLimit& limit = config.client_output_buffer_limit[static_cast<size_t>(session.client_class())];
  if (limit.soft_bytes == 0 || bytes <= static_cast<size_t>(limit.soft_bytes)) {
    session.soft_limit_since_ms = 0;
    return;
  }
  const auto now_ms = static_cast<uint64_t>(clock.now().mono_ms());
  if (session.soft_limit_since_ms == 0) session.soft_limit_since_ms = now_ms;
  if (now_ms - session.soft_limit_since_ms > static_cast<uint64_t>(limit.soft_seconds) * 1000) close_for_output(session);
}

void Server::data_loaded() {
  for (DatabaseStatistics& database : stats.databases) database.dirty = 0;
  stats.peak_memory = std::max(stats.peak_memory, used_memory());
  host.ready();
}

void Server::shut_down(Durability::Save save, bool force, std::function<void()> failed) {
  durability.shut_down(save, force, [this, failed = std::move(failed)](bool durable) {
    if (durable) return stop(0);
    unpause();
    failed();
  });
}

void Server::terminate(std::function<void()> aborted) {
  const auto ended = [this](bool durable) {
    if (durable) return stop(0);
    stopping_ = true;
    host.end(1);
  };
  durability.terminate(ended, [this, aborted = std::move(aborted)] {
    unpause();
    aborted();
  });
}

// --- Databases --------------------------------------------------------------------------------------------------------

std::optional<std::string> Server::flush_refusal(int index) const {
  return is_protected(index) ? std::optional(protected_error("FLUSHDB", index, "")) : std::nullopt;
}

std::optional<std::string> Server::flush(int index) {
  if (index >= 0 && is_protected(index)) return flush_refusal(index);
  for (const auto& db : databases)
    if (index < 0 && db->size() > 0 && is_protected(db->index())) return protected_error("FLUSHALL", db->index(), " and holds keys");
  // What is copied from one database to another is there before.
  index < 0 ? long_commands.finish_all() : long_commands.finish(database(index));
  for (const auto& db : databases) {
    if (index >= 0 && db->index() != index) continue;
    watches.database_emptied(*db, nullptr, clock.now().wall_ms());
    stats.database(db->index()).dirty += db->size();
    db->clear();
  }
  return {};
}

void Server::swap_databases(int a, int b) {
  if (a == b) return;
  ++stats.database(a).dirty;
  watches.database_emptied(database(a), &database(b), clock.now().wall_ms());
  database(a).swap_contents(database(b));
  blocking.databases_swapped(a, b);
}

void Server::key_changed(storage::Keyspace& db, std::string_view key, size_t changes) {
  stats.database(db.index()).dirty += changes;
  watches.key_changed(db.index(), key);
  blocking.key_changed(db.index(), key);
}

void Server::expired(storage::Keyspace& keyspace, std::string_view key) {
  ++stats.expired_keys;
  DatabaseStatistics& of_database = stats.database(keyspace.index());
  ++of_database.expired_keys;
  ++of_database.dirty;
  watches.expired(keyspace.index(), key);
  carry_removal(keyspace, key);
  notify(keyspace.index(), EventClass::Expired, "expired", key);
}

void Server::evicted(storage::Keyspace& keyspace, std::string_view key) {
  ++stats.evicted_keys;
  ++stats.database(keyspace.index()).evicted_keys;
  ++stats.database(keyspace.index()).dirty;
  watches.key_changed(keyspace.index(), key);
  carry_removal(keyspace, key);
  notify(keyspace.index(), EventClass::Evicted, "evicted", key);
}

void Server::carry_removal(const storage::Keyspace& keyspace, std::string_view key) {
  if (!feed.active()) return;
  const std::string_view arguments[] = {"DEL", key};
  feed.append({keyspace.index(), arguments});
}

void Server::created(storage::Keyspace& keyspace, std::string_view key) {
  await_expiry(keyspace.index(), key);
  notify(keyspace.index(), EventClass::New, "new", key);
}

void Server::reclaim(std::unique_ptr<storage::Garbage> garbage) {
  // Those who free give way to the loop, which must not put ever more before them: what waits does not count for maxmemory.
  if (garbage->is_one_block() && garbage_bytes_ + garbage->bytes() > limits::kGarbageBytes) {
    ++stats.lazyfreed_objects;
    return;
  }
  ++lazyfree_pending_;
  garbage_bytes_ += garbage->bytes();
  garbage_.push_back(std::move(garbage));
  if (garbage_.size() == 1) destroy_garbage();
}

void Server::left_over(size_t bytes) {
  if (garbage_.empty()) return;
  left_over_.push_back({destroyed_garbage_ + garbage_.size(), bytes});
  garbage_bytes_ += bytes;
}

/// One at a time: the other threads of the pool are to be free for the disk.
void Server::destroy_garbage() {
  struct Work {
    std::unique_ptr<storage::Garbage> garbage;
    int64_t to_allocator = 0;  // bytes that the allocator got back; the rest lies in slabs
  };
  // std::function wants something that can be copied.
  const auto shared = std::make_shared<Work>(Work{std::move(garbage_.front())});
  const auto bytes = static_cast<int64_t>(shared->garbage->bytes());
  background.run(
      [shared] {
        const int64_t before = heap_balance();
        shared->garbage.reset();
        shared->to_allocator = before - heap_balance();
      },
      [this, shared, bytes] {
        --lazyfree_pending_;
        ++stats.lazyfreed_objects;
        garbage_bytes_ -= static_cast<size_t>(bytes);
        slab_garbage_ += static_cast<uint64_t>(std::max<int64_t>(bytes - shared->to_allocator, 0));
        garbage_.erase(garbage_.begin());
        ++destroyed_garbage_;
        for (; !left_over_.empty() && left_over_.front().destroyed <= destroyed_garbage_; left_over_.pop_front())
          garbage_bytes_ -= left_over_.front().bytes;
        if (!garbage_.empty()) destroy_garbage();
      });
}

void Server::notify(int index, EventClass event_class, std::string_view event, std::string_view key) {
  if (!(any_notify_flags_ & static_cast<uint32_t>(event_class))) return;
  const uint32_t flags = notify_flags_[static_cast<size_t>(index)];
  if (!(flags & static_cast<uint32_t>(event_class))) return;
  if (flags & kEventsByKey)
    pubsub.publish(PubSub::Kind::Channel, fmt::format("__keyspace@{}__:{}", index, key), event);
  if (flags & kEventsByName)
    pubsub.publish(PubSub::Kind::Channel, fmt::format("__keyevent@{}__:{}", index, event), key);
}

size_t Server::used_memory() const {
  if (heap_is_counted()) return static_cast<size_t>(heap_balance() + elsewhere_bytes_) - blocks::unused_bytes();
  size_t bytes = scripting ? scripting->memory() : 0;
  for (const auto& db : databases) bytes += db->memory();
  return bytes;
}

size_t Server::buffer_memory() const {
  return pool_.memory() + scripting->buffer_memory() + input.memory();
}

size_t Server::garbage_bytes() const {
  if (!blocks::has_remote()) return garbage_bytes_;
  return garbage_bytes_ + slab_garbage_ - std::min(slab_garbage_, blocks::collected_bytes());
}

}  // namespace quartet::server
