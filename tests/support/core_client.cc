#include "core_client.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace quartet::test {

CoreClient::CoreClient(server::Server& core, int port, std::optional<int> memcached) : core_(core) {
  std::string address = "127.0.0.1:" + std::to_string(port);
  session_ = core.open_session(*this, std::move(address), "127.0.0.1:6379", port, false, true, refusal_, memcached);
}

CoreClient::~CoreClient() {
  if (session_) core_.close_session(*session_);
}

void CoreClient::send(std::string_view bytes, size_t piece) {
  while (!bytes.empty() && session_ && !closing_) {
    const auto room = core_.input.read_buffer(*session_);
    if (room.size == 0) throw std::logic_error("there is always room to read into");
    const size_t n = std::min({room.size, bytes.size(), piece});
    std::memcpy(room.data, bytes.data(), n);
    core_.input.received(*session_, n);
    core_.input.execute_received();
    core_.end_turn();
    core_.slice();
    bytes.remove_prefix(n);
  }
}

void CoreClient::send_in_turn(std::string_view bytes) {
  if (!session_ || closing_) return;
  const auto room = core_.input.read_buffer(*session_);
  if (room.size < bytes.size()) throw std::logic_error("more than one read takes");
  std::memcpy(room.data, bytes.data(), bytes.size());
  core_.input.received(*session_, bytes.size());
}

size_t CoreClient::output_size() const { return session_ ? session_->sendable() : 0; }

std::string CoreClient::take_output() {
  close_if_finished();
  if (output_size() == 0) return {};
  std::string bytes = session_->out.to_string();
  bytes.resize(session_->sendable());
  core_.sent(*session_, bytes.size());
  return bytes;
}

void CoreClient::close_if_finished() {
  if (!session_ || !closing_) return;
  if (!discard_ && !session_->out.empty()) return;
  core_.close_session(*session_);
  session_ = nullptr;
}

void CoreClient::end_input() {
  if (!session_) return;
  if (session_->waits_its_turn()) {
    session_->input_ended = true;
  } else {
    core_.disconnect(*session_, true);
  }
  close_if_finished();
}

void CoreClient::close_soon(bool flush) {
  closing_ = true;
  discard_ = discard_ || !flush;
}

}  // namespace quartet::test
