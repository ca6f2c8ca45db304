#include "peer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "reply.h"
#include "simulation.h"

namespace quartet::test {

using server::Wait;

namespace {

/// As in net::Connection.
constexpr size_t kHeldInputBytes = 1024 * 1024;
bool will_be_served(const server::Session& session) {
  return session.wait == Wait::OwnSlices || session.wait == Wait::Database || session.wait == Wait::Snapshot;
}

/// The length of the keyspace event that stands in the output at this place; 0: none.
size_t event_at(std::string_view text, size_t at) {
  static constexpr std::string_view kBeginning = "4\r\n$8\r\npmessage\r\n$10\r\n__key*__:*\r\n";
  if (at + 1 >= text.size() || !text.substr(at + 1).starts_with(kBeginning)) return 0;
  size_t end = at + 1 + kBeginning.size();
  // The channel and the message, neither of which has a line's end within.
  for (int lines = 4; lines > 0 && end < text.size(); --lines) end = text.find("\r\n", end) + 2;
  return end - at;
}

}  // namespace

Peer::Peer(Simulation& simulation, int port, std::optional<int> memcached_database)
    : memcached(memcached_database), simulation_(simulation) {
  std::string_view refusal;
  const std::string address = "127.0.0.1:" + std::to_string(port);
  session = simulation.server().open_session(*this, address, "127.0.0.1:6379", port, false, true, refusal, memcached);
  id = session->id;
  twin = simulation.oracle().open(port, memcached);
  simulation.demand(twin->session->id == id, "the oracle counts clients otherwise");
}

Peer::~Peer() {
  if (simulation_.events_are_early()) hear_early();
  // What could not be sent any more was right as well.
  if (simulation_.running()) compare(session->out.to_string());
  if (!simulation_.keep_twin(*this)) simulation_.oracle().close(*twin);
  simulation_.server().close_session(*session);
}

void Peer::send(Request request) {
  if (wire_at_ == wire_.size()) {
    wire_.clear();
    wire_at_ = 0;
  }
  wire_ += request.bytes;
  requests.push_back(std::move(request));
}

void Peer::read(size_t bytes) {
  window_ = bytes == SIZE_MAX ? bytes : window_ == SIZE_MAX ? bytes : window_ + bytes;
  if (!write_blocked_ || window_ == 0) return;
  write_blocked_ = false;
  flush_soon();
}

bool Peer::receptive() const {
  return reading_ && closing_ == Closing::No && !session->input_ended && !session->executing;
}

void Peer::receive(size_t most) {
  server::Server& server = simulation_.server();
  const server::Input::ReadBuffer buffer = server.input.read_buffer(*session);
  const size_t n = std::min({buffer.size, unread(), most});
  if (n == 0) {
    if (unread() == 0 && end_ != End::None) ended_by_client(end_ == End::Orderly);
    return;
  }
  std::memcpy(buffer.data, wire_.data() + wire_at_, n);
  wire_at_ += n;
  server.input.received(*session, n);
  update_reading();
}

void Peer::ended_by_client(bool orderly) {
  server::Server& server = simulation_.server();
  server.input.execute_received();
  if (orderly && will_be_served(*session)) {
    session->input_ended = true;
    return;
  }
  if (orderly && !session->blocked) {
    server.disconnect(*session, true);
  } else {
    if (orderly) flush();
    if (closing_ != Closing::Now) server.disconnect(*session, false);
  }
  end_twin();
}

void Peer::update_reading() { reading_ = !session->input_paused() || session->input.size() <= kHeldInputBytes; }

void Peer::flush() {
  if (simulation_.events_are_early()) hear_early();
  while (!write_blocked_ && session->sendable() > 0) {
    if (window_ == 0) {
      write_blocked_ = true;
      return;
    }
    iovec vectors[8];
    const size_t count = session->out.gather(vectors, std::size(vectors), std::min(session->sendable(), window_));
    size_t n = 0;
    for (size_t i = 0; i < count; ++i) {
      compare({static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len});
      n += vectors[i].iov_len;
    }
    if (window_ != SIZE_MAX) window_ -= n;
    simulation_.server().sent(*session, n);
  }
}

void Peer::settle() {
  flush();
  if (closing_ == Closing::Now || (closing_ == Closing::AfterFlush && session->out.empty())) simulation_.destroy(*this);
}

void Peer::flush_soon() {
  if (!write_blocked_) simulation_.settle_later(*this);
}

void Peer::close_soon(bool flush) {
  const bool malformed = !requests.empty() && requests.front().kind == Request::Kind::Malformed;
  if (flush && session->executing && malformed) explain_end();
  if (closing_ == Closing::No) executing_at_close_ = session->executing;
  const Closing wanted = flush ? Closing::AfterFlush : Closing::Now;
  if (wanted > closing_) closing_ = wanted;
  simulation_.settle_later(*this);
}

/// Whoever is to be closed has at most the command that is running, and the one that is in slices, before it.
bool Peer::may_execute() {
  if (closing_ == Closing::No || session->wait == Wait::OwnSlices) return true;
  return std::exchange(executing_at_close_, false);
}

std::string Peer::tail() const {
  // Its reply is cut off when the command has ended, and the client disconnected.
  if (session->out.overrun()) return {};
  const std::string all = session->out.to_string();
  // The stream of a monitor is not that of its twin.
  if (loose) return all.substr(all.size() - std::min<size_t>(all.size(), 30'000));
  return all.substr(std::min<size_t>(all.size(), twin->total - session->sent));
}

/// The keyspace events that the client was told of and its twin was not, up to something else.
std::string Peer::unheard_events() const {
  if (loose || session->patterns.empty()) return {};
  const std::string text = tail();
  size_t end = 0;
  while (const size_t n = event_at(text, end)) end += n;
  return text.substr(0, end);
}

void Peer::end_twin() {
  // What makes no sense the twin has still to be told.
  const bool malformed = !requests.empty() && requests.front().kind == Request::Kind::Malformed;
  if (!closing() || malformed || twin->session->closing) return;
  twin->session->closing = true;
  twin_ended_ = true;
}

void Peer::hear_early() {
  const std::string events = unheard_events();
  simulation_.oracle().believe(*twin, events);
  early_ += events;
}

void Peer::heard_all(uint64_t before, bool own) {
  const std::string early = std::exchange(early_, {});
  const bool acted = std::exchange(acted_in_slices, false);
  if (loose) return;
  if (!own && (acted || closing())) {
    // Which ones it hears of depends on when it said so.
    simulation_.oracle().take_back(*twin, before);
    simulation_.oracle().believe(*twin, unheard_events());
    return;
  }
  if (early.empty() && !own) return;
  const std::string all = twin->told.substr(twin->told.size() - (twin->total - before));
  // The reply of a command in slices, where it is this client's, comes after all of its events.
  std::string events, reply;
  for (size_t at = 0; at < all.size();) {
    const size_t n = event_at(all, at);
    (n > 0 ? events : reply).append(all, at, std::max<size_t>(n, 1));
    at += std::max<size_t>(n, 1);
  }
  const bool good = events.starts_with(early);
  simulation_.demand(good || closing(), fmt::format("client {} is told {} and not {}", id, quoted(early), quoted(all)));
  if (!good) return;
  simulation_.oracle().take_back(*twin, before);
  simulation_.oracle().believe(*twin, events.substr(early.size()) + reply);
}

/// It has said what makes no sense, and no request stands for that: the twin says it too.
void Peer::explain_end() {
  if (end_explained_ || requests.empty()) return;
  if (std::exchange(twin_ended_, false)) twin->session->closing = false;
  if (twin->session->closing) return;
  end_explained_ = true;
  simulation_.oracle().execute(*twin, requests.front().bytes, simulation_.clock().time);
  const std::string_view bytes = requests.front().bytes;
  simulation_.demand(twin->session->closing,
                     fmt::format("client {} is disconnected for {}", id, quoted(bytes.substr(0, 160))));
}

/// What is said to the client is what is said to its twin.
void Peer::compare(std::string_view bytes) {
  if (loose || bytes.empty()) return;
  std::string& told = twin->told;
  if (bytes.size() > told.size() && closing()) explain_end();
  const size_t n = std::min(bytes.size(), told.size());
  if (bytes != std::string_view(told).substr(0, n)) {
    size_t at = 0;
    while (at < n && bytes[at] == told[at]) ++at;
    const size_t from = at > 80 ? at - 80 : 0;
    simulation_.demand(false, fmt::format("client {} is told {} and not {}", id, quoted(bytes.substr(from, 300)),
                                          quoted(std::string_view(told).substr(from, 300))));
    return;
  }
  told.erase(0, n);
}

}  // namespace quartet::test
