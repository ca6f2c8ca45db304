#include "server/net/reactor.h"

#include <fmt/format.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/memory_reserve.h"
#include "server/net/descriptor_limit.h"
#include "server/net/scheduling.h"
#include "server/process_info.h"

namespace quartet::net {

namespace {

/// Connections closed in one turn of the loop: each costs some system calls, and ten thousand clients may go at once.
constexpr size_t kClosesPerTurn = 64;
/// How long accepting pauses when descriptors have run out, in ms.
constexpr uint64_t kAcceptPauseMs = 100;

/// When periodic work is tried again that memory has run out in.
constexpr int64_t kTickAfterFailureMs = 100;

Reactor& reactor_of(void* data) { return *static_cast<Reactor*>(data); }

template <class Handle>
uv_handle_t* handle(Handle& typed) {
  return reinterpret_cast<uv_handle_t*>(&typed);
}

void set_option(int descriptor, int level, int option, int value) {
  // None of these options is worth refusing a client for.
  (void)::setsockopt(descriptor, level, option, &value, sizeof value);
}

/// `keepalive` is `tcp-keepalive` in seconds: a silent peer is probed after that time, and given up after three probes a third
/// of it apart. 0 turns it off.
void set_tcp_options(int descriptor, int keepalive) {
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  if (keepalive <= 0) return;
  set_option(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPIDLE, keepalive);
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, keepalive / 3));
  set_option(descriptor, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

struct Job {
  Reactor* reactor;
  uv_work_t request;
  std::function<void()> work, done;
  int64_t heap_balance = 0;  // what the work has allocated and not freed, in bytes
};

}  // namespace

Connection* TurnList::next() {
  while (first_ < connections_.size()) {
    Connection* connection = connections_[first_++];
    if (!connection) continue;
    connection->turn_position = Connection::kNotListed;
    return connection;
  }
  connections_.clear();
  first_ = 0;
  return nullptr;
}

Reactor::Reactor(Log& log, server::ConfigStore& config) : log_(log), config_(config) {
  int status = uv_loop_init(&loop_);
  if (status == 0) status = uv_poll_init(&loop_, &signal_poll_, signals_.descriptor());
  if (status == 0) {
    status = worker_.open(&loop_, [this](int64_t heap_balance) {
      if (server_) server_->worked_elsewhere(heap_balance);
    });
  }
  if (status != 0) {
    // Without an event loop there is no process to speak of: only a machine out of descriptors gets here.
    log_.warning("cannot create the event loop: {}", uv_strerror(status));
    std::abort();
  }
  uv_prepare_init(&loop_, &prepare_);
  uv_check_init(&loop_, &check_);
  uv_idle_init(&loop_, &idle_);
  uv_timer_init(&loop_, &tick_timer_);
  uv_idle_init(&loop_, &tick_at_once_);
  uv_timer_init(&loop_, &wake_timer_);
  uv_timer_init(&loop_, &accept_timer_);
  for (uv_handle_t* each : {handle(prepare_), handle(check_), handle(idle_), handle(tick_timer_), handle(tick_at_once_),
                            handle(wake_timer_), handle(accept_timer_), handle(signal_poll_)})
    each->data = this;
}

Reactor::~Reactor() { shut_down(); }

std::optional<std::string> Reactor::listen(server::Server& server) {
  assert(!server_);
  server_ = &server;
  if (std::optional<std::string> error = load_tls()) return error;
  if (std::optional<std::string> error = open_listeners()) {
    listeners_.clear();
    return error;
  }
  if (listeners_.empty()) return "no address to listen on: set port, tls-port, bind or unixsocket";
  config_.on_change([this](const std::vector<std::string_view>& changed) { return check_maxclients(changed); });
  config_.on_change([this](const std::vector<std::string_view>& changed) { return configure_tls(changed); });
  return {};
}

std::string Reactor::endpoints() const {
  std::string text;
  for (const Listener::Pointer& listener : listeners_)
    text.append(text.empty() ? "" : ", ").append(listener->endpoint().text());
  return text;
}

std::optional<server::ConfigFault> Reactor::rebind() {
  std::vector<Endpoint> before;
  for (const Listener::Pointer& listener : listeners_) before.push_back(listener->endpoint());
  Endpoint failed;
  const std::optional<std::string> error = open_listeners(&failed);
  if (!error) return {};
  log_.warning("{}", *error);
  const bool port_known = std::any_of(before.begin(), before.end(), [&](const Endpoint& other) {
    return other.port == failed.port && other.tls == failed.tls && other.memcached == failed.memcached;
  });
  std::vector<std::string> settings = {failed.tls ? "tls-port" : "port", "bind"};
  if (failed.memcached) settings = {fmt::format("db.{}.memcached-port", *failed.memcached), fmt::format("db.{}.memcached-bind", *failed.memcached)};
  if (port_known) std::swap(settings[0], settings[1]);
  const bool said_of_port = !port_known && !failed.memcached;
  return server::ConfigFault(said_of_port ? "Unable to listen on this port. Check server logs." : "Failed to bind to specified addresses.",
                             std::move(settings));
}

std::optional<std::string> Reactor::open_listeners(Endpoint* failed) {
  const std::vector<Endpoint> wanted = wanted_endpoints(config_.values());
  // What is not wanted any more goes first, because `*` cannot be bound while one address of the same port is.
  std::erase_if(listeners_, [&](const Listener::Pointer& listener) {
    return std::find(wanted.begin(), wanted.end(), listener->endpoint()) == wanted.end();
  });
  for (const Endpoint& endpoint : wanted) {
    const bool open = std::any_of(listeners_.begin(), listeners_.end(), [&](const Listener::Pointer& listener) {
      return listener->endpoint() == endpoint;
    });
    if (open) continue;
    std::string error;
    Listener::Pointer listener = Listener::open(*this, &loop_, endpoint, config_.values(), error);
    if (!error.empty()) {
      if (failed) *failed = endpoint;
      return error;
    }
    if (listener) {
      listeners_.push_back(std::move(listener));
    } else {
      log_.notice("not listening on {}, which this machine does not have", endpoint.text());
    }
  }
  return {};
}

std::optional<server::ConfigFault> Reactor::check_maxclients(const std::vector<std::string_view>& changed) {
  if (std::find(changed.begin(), changed.end(), "maxclients") == changed.end()) return {};
  const int64_t possible = reserve_descriptors(config_.values().maxclients);
  if (possible >= config_.values().maxclients) return {};
  return server::ConfigFault(
      fmt::format("The operating system is not able to handle the specified number of clients, try with {}", possible), {"maxclients"});
}

std::optional<std::string> Reactor::load_tls() {
  if (config_.values().tls_port == 0) {
    tls_context_.reset();
    return {};
  }
  std::string error;
  std::shared_ptr<const TlsContext> context = TlsContext::make(config_.values(), error);
  if (!context) return error;
  tls_context_ = std::move(context);
  log_.notice("TLS with the certificate of {}", tls_context_->certificate());
  return {};
}

std::optional<server::ConfigFault> Reactor::configure_tls(const std::vector<std::string_view>& changed) {
  const auto first = std::find_if(changed.begin(), changed.end(), [](std::string_view name) { return name.starts_with("tls-"); });
  if (first == changed.end()) return {};
  if (const std::optional<std::string> error = load_tls()) {
    log_.warning("TLS stays as it was: {}", *error);
    return server::ConfigFault("Unable to update TLS configuration. Check server logs.", {std::string(*first)});
  }
  return std::find(changed.begin(), changed.end(), "tls-port") == changed.end() ? std::nullopt : rebind();
}

// --- The loop ---------------------------------------------------------------------------------------------------------

template <class Work>
void Reactor::guard(Work work) noexcept {
  try {
    work();
  } catch (const std::exception&) {
    failed_for_memory();
  }
}

int Reactor::serve() {
  assert(server_);
  uv_prepare_start(&prepare_, [](uv_prepare_t* prepare) {
    Reactor& reactor = reactor_of(prepare->data);
    reactor.guard([&] { reactor.end_turn(); });
    reactor.worker_.loop_waits();
  });
  uv_check_start(&check_, [](uv_check_t* check) {
    Reactor& reactor = reactor_of(check->data);
    reactor.worker_.loop_goes_on();
    if (reactor.stopping_) return;
    reactor.guard([&] {
      if (reactor.handshakes_.ready()) reactor.handshakes_.run();
      reactor.server_->input.execute_received();
    });
  });
  uv_poll_start(&signal_poll_, UV_READABLE, [](uv_poll_t* poll, int, int) { reactor_of(poll->data).read_signals(); });
  tick();
  uv_run(&loop_, UV_RUN_DEFAULT);
  if (!abandoned_) shut_down();
  return status_;
}

void Reactor::stop(int status) {
  if (stopping_) return;
  stopping_ = true;
  status_ = status;
  uv_stop(&loop_);
}

void Reactor::end(int status) {
  abandoned_ = true;
  stop(status);
}

void Reactor::read_signals() {
  while (const std::optional<int> number = signals_.next()) on_signal(*number);
}

void Reactor::on_signal(int number) {
  if (number == SIGHUP) {
    // Whoever renews certificates says so by this signal.
    if (const std::optional<std::string> error = load_tls()) log_.warning("TLS stays as it was: {}", *error);
    return;
  }
  if (terminating_ || stopping_) {
    // Somebody has seen the first one and does not want to wait for a script or background work.
    if (number == SIGINT) std::_Exit(1);
    return;
  }
  terminating_ = true;
  log_.notice("Received {}, shutting down", number == SIGINT ? "SIGINT" : "SIGTERM");
  // Within a script, which goes on so that it can be killed, the end comes as soon as the loop turns again.
  if (!nested_) shut_server_down();
}

void Reactor::shut_server_down() {
  shutting_down_ = true;
  server_->terminate([this] { terminating_ = shutting_down_ = false; });
}

void Reactor::failed_for_memory() noexcept {
  memory_reserve::release();
  try {
    about_memory_.write(log_, LogLevel::Warning, server_->clock.now(), "Memory has run out in work of the server's own, which is left for later");
  } catch (const std::exception&) {
    // Then nobody reads of it.
  }
}

void Reactor::tick() {
  int64_t wait = kTickAfterFailureMs;
  guard([&] {
    wait = server_->tick();
    if (!server_->stalled()) handshakes_.expire(server_->clock.now(), config_.values().handshake_timeout);
  });
  memory_reserve::take();
  if (wait == 0) {
    // A timer of no time would be run again and again before the loop looks at a socket.
    uv_timer_stop(&tick_timer_);
    uv_idle_start(&tick_at_once_, [](uv_idle_t* idle) { reactor_of(idle->data).tick(); });
    return;
  }
  uv_idle_stop(&tick_at_once_);
  uv_timer_start(
      &tick_timer_, [](uv_timer_t* timer) { reactor_of(timer->data).tick(); }, static_cast<uint64_t>(wait), 0);
}

void Reactor::end_turn() {
  if (stopping_) return;
  if (terminating_ && !shutting_down_) shut_server_down();
  if (stopping_) return;
  worker_.deliver();
  if (stopping_) return;
  if (server_->next_timeout_ms() == 0) server_->run_timeouts();
  if (stopping_) return;
  bool busy = server_->end_turn();
  if (stopping_) return;
  settle();
  // Nobody's reply waits for a slice of what others have asked for.
  busy = server_->slice() || busy;
  if (stopping_) return;
  settle();
  // An idle handle is what keeps libuv from sleeping.
  if (busy || handshakes_.ready() || !turn_list_.empty()) {
    uv_idle_start(&idle_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&idle_);
  }
  arm_wake_timer();
}

/// Everybody is sent what there is, but of those that are to be closed some wait for the next turn where they are many.
void Reactor::settle() {
  size_t closed = 0;
  while (Connection* connection = turn_list_.next()) {
    if (connection->closing() && ++closed > kClosesPerTurn) {
      connection->rest();
      closing_later_.push_back(connection);
    } else {
      connection->settle();
    }
  }
  for (Connection* connection : closing_later_) turn_list_.add(*connection);
  closing_later_.clear();
}

/// The timer does nothing but end the wait: end_turn then finds what is due. It may fire a millisecond early, because
/// the loop's time was taken when the turn began; then it is armed again, for at least one more.
void Reactor::arm_wake_timer() {
  const int64_t wait = server_->next_timeout_ms();
  if (wait < 0) {
    uv_timer_stop(&wake_timer_);
  } else {
    uv_timer_start(
        &wake_timer_, [](uv_timer_t*) {}, static_cast<uint64_t>(std::max<int64_t>(1, wait)), 0);
  }
}

void Reactor::shut_down() {
  if (closed_) return;
  stopping_ = true;
  listeners_.clear();
  handshakes_.clear();
  while (!connections_.empty()) {
    Connection& connection = *connections_.back();
    connection.flush();
    connection.destroy();
  }
  for (uv_handle_t* each : {handle(prepare_), handle(check_), handle(idle_), handle(tick_timer_), handle(tick_at_once_),
                            handle(wake_timer_), handle(accept_timer_)})
    uv_close(each, nullptr);
  worker_.close();
  // Signals are heard until the background work is done, but nobody waits for them.
  uv_unref(handle(signal_poll_));
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_close(handle(signal_poll_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  const int status = uv_loop_close(&loop_);
  assert(status == 0 && "a handle was left open");
  (void)status;
  closed_ = true;
}

void Reactor::run(std::function<void()> work, std::function<void()> done) {
  if (closed_) {
    work();
    done();
    return;
  }
  Job* job = new Job{this, {}, std::move(work), std::move(done)};
  job->request.data = job;
  const auto on_thread = [](uv_work_t* request) {
    // The pool's threads are libuv's, and have no beginning of their own.
    static thread_local const bool prepared = (give_way(), true);
    (void)prepared;
    Job& job = *static_cast<Job*>(request->data);
    const int64_t before = server::heap_balance();
    job.work();
    job.heap_balance = server::heap_balance() - before;
  };
  const auto on_loop = [](uv_work_t* request, int) {
    const std::unique_ptr<Job> finished(static_cast<Job*>(request->data));
    if (finished->reactor->server_) finished->reactor->server_->worked_elsewhere(finished->heap_balance);
    finished->done();
  };
  const int status = uv_queue_work(&loop_, &job->request, on_thread, on_loop);
  assert(status == 0 && "fails only without a function to call");
  (void)status;
}

// --- Connections ------------------------------------------------------------------------------------------------------

std::string_view Reactor::refusal(const AddressCounts::Place& place, const sockaddr_storage& peer) const {
  const server::Config& config = config_.values();
  // Sessions without handshakes beside them are counted by the server.
  if (handshakes_.size() > 0 && server_->sessions().size() + handshakes_.size() >= static_cast<size_t>(config.maxclients))
    return server::Server::kMaxClientsReached;
  const bool counts = config.maxclients_per_address > 0 && (config.maxclients_per_address_local || !is_loopback(peer));
  if (counts && place.count() > static_cast<size_t>(config.maxclients_per_address))
    return "-ERR max number of clients of one address reached\r\n";
  return {};
}

void Reactor::accepted(const Listener& listener, int descriptor, const sockaddr_storage& peer) {
  accept_failing_ = false;
  Arriving arriving{descriptor, listener.endpoint(), peer, address_counts_.enter(peer)};
  const bool tls = arriving.endpoint.tls;
  if (const std::string_view text = refusal(arriving.place, peer); !text.empty()) {
    ++server_->stats.connections_rejected;
    // Under TLS there is nothing yet that could be said.
    if (!tls) (void)!::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL);
    ::close(descriptor);
    return;
  }
  if (!arriving.endpoint.unix_socket) set_tcp_options(descriptor, static_cast<int>(config_.values().tcp_keepalive));
  if (tls) return handshakes_.begin(&loop_, std::move(arriving));
  open_connection(std::move(arriving), nullptr);
}

void Reactor::open_connection(Arriving arriving, std::unique_ptr<TlsStream> tls) {
  const Endpoint& endpoint = arriving.endpoint;
  const int descriptor = arriving.descriptor;
  std::string address, local_address;
  if (endpoint.unix_socket) {
    address = local_address = endpoint.host + ":0";
  } else {
    sockaddr_storage local{};
    socklen_t size = sizeof local;
    ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&local), &size);
    address = format_address(arriving.peer);
    local_address = format_address(local);
  }
  auto* connection = new Connection(*this, descriptor, std::move(arriving.place), std::move(tls));
  std::string_view refusal;
  server::Session* session =
      server_->open_session(*connection, std::move(address), std::move(local_address), descriptor, endpoint.unix_socket,
                            endpoint.unix_socket || is_loopback(arriving.peer), refusal, endpoint.memcached);
  if (!session) return connection->refuse(refusal);
  connection->position = connections_.size();
  connections_.push_back(connection);
  connection->start(&loop_, *session);
}

void Reactor::handshake_failed(const sockaddr_storage& peer, std::string_view reason) {
  ++server_->stats.handshake_failures;
  about_handshakes_.write(log_, LogLevel::Verbose, server_->clock.now(), "Error accepting a client connection: {} (addr={})", reason,
                          format_address(peer));
}

void Reactor::accept_failed(int error) {
  if (!accept_failing_) log_.warning("cannot accept connections: {}", std::strerror(error));
  accept_failing_ = true;
  for (const Listener::Pointer& listener : listeners_) listener->pause();
  const auto resume = [](uv_timer_t* timer) {
    for (const Listener::Pointer& listener : reactor_of(timer->data).listeners_) listener->resume();
  };
  uv_timer_start(&accept_timer_, resume, kAcceptPauseMs, 0);
}

void Reactor::forget(Connection& connection) {
  turn_list_.remove(connection);
  connections_.back()->position = connection.position;
  connections_[connection.position] = connections_.back();
  connections_.pop_back();
}

void Reactor::poll_input() {
  if (nested_ || stopping_) return;
  nested_ = true;
  // Those who were read before the script began are answered too.
  server_->input.execute_received();
  for (Connection* connection : connections_)
    if (connection->receptive()) connection->flush();
  read_signals();
  polled_.clear();
  for (const Listener::Pointer& listener : listeners_) polled_.push_back({listener->descriptor(), POLLIN, 0});
  // Accepting adds connections behind those that are polled, and nothing takes any away.
  const size_t clients = connections_.size();
  const size_t first_client = listeners_.size(), first_handshake = first_client + clients;
  for (size_t i = 0; i < clients; ++i) {
    const Connection& connection = *connections_[i];
    // poll(2) passes over negative descriptors.
    polled_.push_back({connection.receptive() ? connection.descriptor() : -1, POLLIN, 0});
  }
  handshakes_.append_polled(polled_);
  if (::poll(polled_.data(), polled_.size(), 0) > 0) {
    // Before anything that could begin or end one.
    handshakes_.polled(std::span(polled_).subspan(first_handshake));
    for (size_t i = 0; i < clients && !stopping_; ++i) {
      if (polled_[first_client + i].revents == 0 || !connections_[i]->receptive()) continue;
      connections_[i]->receive();
      connections_[i]->flush();
    }
    for (size_t i = 0; i < first_client && !stopping_; ++i) {
      if (i < listeners_.size() && polled_[i].revents != 0) listeners_[i]->accept();
    }
  }
  if (!stopping_ && handshakes_.ready()) handshakes_.run();
  nested_ = false;
}

void Reactor::ready() { log_.notice("Ready to accept connections on {}", endpoints()); }

}  // namespace quartet::net
