#include "server/net/handshakes.h"

#include <unistd.h>

#include <cassert>

#include "server/net/reactor.h"

namespace quartet::net {

namespace {

/// What handshakes take of a turn of the loop, in microseconds, and one step more.
constexpr int64_t kSliceUs = 500;
/// Handshakes given up at a time, because each costs some system calls.
constexpr size_t kExpired = 100;

}  // namespace

void Handshakes::begin(uv_loop_t* loop, Arriving arriving) {
  auto* handshake = new Handshake{*this, std::move(arriving), reactor_.server().clock.now().mono_us};
  handshake->position = all_.insert(all_.end(), handshake);
  const int status = uv_poll_init(loop, &handshake->poll, handshake->arriving.descriptor);
  assert(status == 0 && "a connected socket can be polled");
  (void)status;
  handshake->poll.data = handshake;
  wait(*handshake, UV_READABLE);
}

void Handshakes::wait(Handshake& handshake, int events) {
  handshake.events = events;
  // An error of the socket is found by the step that follows.
  uv_poll_start(&handshake.poll, events, [](uv_poll_t* poll, int, int) {
    auto& happened = *static_cast<Handshake*>(poll->data);
    happened.owner.make_ready(happened);
  });
}

void Handshakes::make_ready(Handshake& handshake) {
  uv_poll_stop(&handshake.poll);
  handshake.ready = true;
  handshake.ready_position = ready_.insert(ready_.end(), &handshake);
}

void Handshakes::run() {
  Clock& clock = reactor_.server().clock;
  const int64_t end_us = clock.now().mono_us + kSliceUs;
  do {
    step(*ready_.front());
  } while (!ready_.empty() && clock.now().mono_us < end_us && !reactor_.stopping());
}

void Handshakes::step(Handshake& handshake) {
  ready_.erase(handshake.ready_position);
  handshake.ready = false;
  if (!handshake.stream) {
    std::shared_ptr<const TlsContext> context = reactor_.tls_context();
    if (context) handshake.stream = TlsStream::make(std::move(context), handshake.arriving.descriptor);
    if (!handshake.stream) return give_up(handshake, "TLS is off, or there is no memory");
  }
  switch (handshake.stream->handshake()) {
    case TlsStream::Progress::WantsInput: return wait(handshake, UV_READABLE);
    case TlsStream::Progress::WantsOutput: return wait(handshake, UV_WRITABLE);
    case TlsStream::Progress::Failed: return give_up(handshake, handshake.stream->error());
    case TlsStream::Progress::Done: break;
  }
  Arriving arriving = std::move(handshake.arriving);
  std::unique_ptr<TlsStream> stream = std::move(handshake.stream);
  end(handshake);
  reactor_.open_connection(std::move(arriving), std::move(stream));
}

void Handshakes::give_up(Handshake& handshake, std::string_view reason) {
  reactor_.handshake_failed(handshake.arriving.peer, reason);
  close(handshake);
}

void Handshakes::expire(const Time& now, int64_t timeout) {
  if (timeout == 0) return;
  for (size_t i = 0; i < kExpired && !all_.empty() && now.mono_us - all_.front()->begun_us > timeout * 1'000'000; ++i) {
    Handshake& handshake = *all_.front();
    ++reactor_.server().stats.handshake_timeouts;
    close(handshake);
  }
}

void Handshakes::end(Handshake& handshake) {
  all_.erase(handshake.position);
  if (handshake.ready) ready_.erase(handshake.ready_position);
  // What it holds goes at once; the handle itself when the loop has let go of it.
  handshake.stream.reset();
  handshake.arriving.place = {};
  uv_close(reinterpret_cast<uv_handle_t*>(&handshake.poll),
           [](uv_handle_t* handle) { delete static_cast<Handshake*>(handle->data); });
}

void Handshakes::close(Handshake& handshake) {
  const int descriptor = handshake.arriving.descriptor;
  end(handshake);
  ::close(descriptor);
}

void Handshakes::clear() {
  while (!all_.empty()) close(*all_.front());
}

void Handshakes::append_polled(std::vector<pollfd>& polled) const {
  for (const Handshake* handshake : all_) {
    const auto events = static_cast<short>(handshake->events == UV_WRITABLE ? POLLOUT : POLLIN);
    if (!handshake->ready) polled.push_back({handshake->arriving.descriptor, events, 0});
  }
}

void Handshakes::polled(std::span<const pollfd> results) {
  size_t i = 0;
  for (Handshake* handshake : all_)
    if (!handshake->ready && results[i++].revents != 0) make_ready(*handshake);
}

}  // namespace quartet::net
