#include "client.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace quartet::test {

Client::Client(server::Server& core, int port) : core_(core) {
  std::string_view refusal;
  session_ = core.open_session(*this, "127.0.0.1:" + std::to_string(port), "127.0.0.1:6379", port, false, true, refusal);
  if (!session_) throw std::runtime_error(std::string(refusal));
}

Client::~Client() { core_.close_session(*session_); }

void Client::send(const std::string& bytes) {
  std::string_view left = bytes;
  while (!left.empty() && !closing_) {
    const auto room = core_.input.read_buffer(*session_);
    const size_t n = std::min(room.size, left.size());
    std::memcpy(room.data, left.data(), n);
    core_.input.received(*session_, n);
    core_.input.execute_received();
    left.remove_prefix(n);
  }
}

std::vector<Reply> Client::take_made() {
  const uint64_t end = session_->sent + session_->out.size();
  std::vector<Reply> replies;
  if (end == made_) return replies;
  reader_.feed(session_->out.to_string().substr(made_ - session_->sent));
  made_ = end;
  while (std::optional<Reply> reply = reader_.next()) replies.push_back(std::move(*reply));
  if (reader_.broken() || !reader_.pending().empty()) throw std::runtime_error("what the server says is not RESP");
  return replies;
}

size_t Client::receive() {
  if (const size_t n = session_->sendable(); n > 0) core_.sent(*session_, n);
  size_t bound = 0;
  while (!promises_.empty() && promises_.front().end <= session_->sent) {
    bound = std::max(bound, promises_.front().bound);
    promises_.pop_front();
  }
  return bound;
}

}  // namespace quartet::test
