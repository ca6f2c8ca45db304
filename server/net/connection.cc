#include "server/net/connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "server/net/reactor.h"
#include "server/server.h"

namespace quartet::net {

namespace {

/// Pieces of output handed to the kernel with one call.
constexpr size_t kVectors = 64;
/// Output of one connection written in one turn, in bytes: a client that reads as fast as we write must not hold the loop.
constexpr size_t kFlushBytes = 1024 * 1024;
/// The same under TLS, where it is the encryption that takes the time.
constexpr size_t kEncryptedFlushBytes = 512 * 1024;
/// Input kept for a session that waits, in bytes; less for one that has not authenticated. Beyond it the kernel's window holds the
/// client back.
constexpr size_t kHeldInputBytes = 1024 * 1024;
constexpr size_t kUnauthenticatedHeldBytes = 64 * 1024;

/// Whether the session waits for what ends by itself soon, a long command in its database or its own, or the snapshot: then the
/// client is heard to the end of what it has said. A client that is paused and goes away has said nothing.
bool will_be_served(const server::Session& session) {
  switch (session.wait) {
    case server::Wait::OwnSlices:
    case server::Wait::Database:
    case server::Wait::Snapshot: return true;
    case server::Wait::None:
    case server::Wait::Keys:
    case server::Wait::Pause:
    case server::Wait::Login: return false;
  }
  return false;
}

/// Like writev, but a closed peer is an error and no signal.
ssize_t send_vectors(int descriptor, iovec* vectors, size_t count) {
  if (count == 1) return ::send(descriptor, vectors->iov_base, vectors->iov_len, MSG_NOSIGNAL);
  msghdr message{};
  message.msg_iov = vectors;
  message.msg_iovlen = count;
  return ::sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

}  // namespace

Connection::Connection(Reactor& reactor, int descriptor, AddressCounts::Place place, std::unique_ptr<TlsStream> tls)
    : reactor_(reactor), descriptor_(descriptor), tls_(std::move(tls)), place_(std::move(place)) {}

void Connection::start(uv_loop_t* loop, server::Session& session) {
  session_ = &session;
  const int status = uv_poll_init(loop, &poll_, descriptor_);
  assert(status == 0 && "a connected socket can be polled");
  (void)status;
  poll_.data = this;
  watch();
  if (tls_ && tls_->stalled()) receive();
}

void Connection::on_event(int status, int events) {
  if (reactor_.stopping()) return;
  if (status < 0) {
    // The socket has failed and libuv has stopped to watch it. What the client sent before is still executed.
    watched_ = 0;
    while (receptive() && receive()) {
    }
    return broken();
  }
  if (events & UV_WRITABLE) {
    write_blocked_ = false;
    settle();
  }
  if (!session_ || closing_ != Closing::No || session_->input_ended) return;
  if (events & UV_READABLE || (tls_ && tls_->stalled())) {
    receive();
  } else if ((events & UV_DISCONNECT) && will_be_served(*session_)) {
    // There may be more to read before the end, when it goes on.
    hung_up_ = true;
    watch();
  } else if (events & UV_DISCONNECT) {
    ended(true);
  }
}

bool Connection::receive() {
  if (tls_) return receive_encrypted();
  server::Server& server = reactor_.server();
  const server::Input::ReadBuffer buffer = server.input.read_buffer(*session_);
  ssize_t n;
  do {
    n = ::recv(descriptor_, buffer.data, buffer.size, 0);
  } while (n < 0 && errno == EINTR);
  if (n <= 0) {
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) ended(n == 0);
    return false;
  }
  server.input.received(*session_, static_cast<size_t>(n));
  update_reading();
  return true;
}

bool Connection::receive_encrypted() {
  server::Server& server = reactor_.server();
  const server::Input::ReadBuffer buffer = server.input.read_buffer(*session_);
  const TlsStream::Read read = tls_->read(buffer.data, buffer.size);
  if (tls_->stalled()) write_blocked_ = true;
  if (read.bytes > 0) server.input.received(*session_, read.bytes);
  update_reading();
  if (read.state != TlsStream::State::Open) ended(read.state == TlsStream::State::Closed);
  return read.taken > 0;
}

bool Connection::receptive() const {
  return reading_ && closing_ == Closing::No && !session_->input_ended && !session_->executing;
}

/// Reading goes on while a session waits, because that is how a lost client is noticed. Only where much input has piled
/// up does it stop. The end of the connection is then still seen without reading (UV_DISCONNECT), but only once it has
/// come past the bytes that the kernel has no room for; and a client that merely shut down its sending side counts as gone.
void Connection::update_reading() {
  reading_ = !session_->input_paused() ||
             session_->input.size() <= (reactor_.server().must_log_in(*session_) ? kUnauthenticatedHeldBytes : kHeldInputBytes);
  watch();
}

/// The client has closed its side (`orderly`), or the connection has failed. After an orderly end the replies to what
/// was read are still sent, as far as the client takes them. A client that waits is gone at once: it must not be served
/// an element that it cannot receive. What waits for its turn is executed first.
void Connection::ended(bool orderly) {
  reactor_.server().input.execute_received();
  if (!orderly) return broken();
  if (will_be_served(*session_)) {
    session_->input_ended = true;
    return watch();
  }
  if (!session_->blocked) return reactor_.server().disconnect(*session_, true);
  flush();
  broken();
}

void Connection::broken() {
  if (closing_ != Closing::Now) reactor_.server().disconnect(*session_, false);
}

template <class Write>
void Connection::flush_by(size_t most, Write write) {
  protocol::OutputBuffer& out = session_->out;
  size_t written = 0;
  while (const size_t sendable = write_blocked_ ? 0 : session_->sendable()) {
    iovec vectors[kVectors];
    const size_t count = out.gather(vectors, kVectors, std::min(sendable, most));
    size_t offered = 0;
    for (size_t i = 0; i < count; ++i) offered += vectors[i].iov_len;

    const ssize_t n = write(vectors, count);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return broken();
      write_blocked_ = true;
      break;
    }
    reactor_.server().sent(*session_, static_cast<size_t>(n));
    written += static_cast<size_t>(n);
    write_blocked_ = static_cast<size_t>(n) < offered || (written >= most && session_->sendable() > 0);
  }
  watch();
}

void Connection::flush() {
  if (tls_) return flush_by(kEncryptedFlushBytes, [&](const iovec* vectors, size_t count) { return tls_->write(vectors, count); });
  flush_by(kFlushBytes, [&](iovec* vectors, size_t count) { return send_vectors(descriptor_, vectors, count); });
}

/// A connection that is closed at once is still sent what the kernel takes now: an element that its client was served
/// before it was killed is nowhere else any more.
void Connection::settle() {
  flush();
  if (closing_ == Closing::Now || (closing_ == Closing::AfterFlush && session_->out.empty())) destroy();
}

void Connection::flush_soon() {
  if (!write_blocked_) reactor_.turn_list().add(*this);
}

void Connection::close_soon(bool flush) {
  const Closing wanted = flush ? Closing::AfterFlush : Closing::Now;
  if (wanted > closing_) closing_ = wanted;
  reactor_.turn_list().add(*this);
}

void Connection::resume_input() { update_reading(); }

/// Starts the poll handle for what is of interest now. A change costs system calls, so that the common case is to find
/// nothing changed.
void Connection::watch() {
  int events = write_blocked_ ? UV_WRITABLE : 0;
  if (closing_ == Closing::No && !session_->input_ended) events |= reading_ ? UV_READABLE : hung_up_ ? 0 : UV_DISCONNECT;
  if (events == watched_) return;
  watched_ = events;
  uv_poll_start(&poll_, events, [](uv_poll_t* poll, int status, int happened) {
    Connection& connection = *static_cast<Connection*>(poll->data);
    try {
      connection.on_event(status, happened);
    } catch (const std::exception&) {
      if (connection.session_) connection.reactor_.server().fail_input(*connection.session_);
    }
  });
}

void Connection::rest() {
  if (watched_ == 0) return;
  watched_ = 0;
  uv_poll_stop(&poll_);
}

void Connection::destroy() {
  assert(session_ && !session_->executing);
  reactor_.server().close_session(*session_);
  session_ = nullptr;
  reactor_.forget(*this);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
  if (tls_) tls_->close();
  ::close(descriptor_);
}

void Connection::refuse(std::string_view text) {
  iovec line{const_cast<char*>(text.data()), text.size()};
  (void)!(tls_ ? tls_->write(&line, 1) : send_vectors(descriptor_, &line, 1));
  if (tls_) tls_->close();
  ::close(descriptor_);
  delete this;
}

}  // namespace quartet::net
