#include "wire_backend.h"

#include <stdexcept>
#include <thread>

#include "reply.h"

namespace quartet::test {

namespace {

using namespace std::chrono_literals;

class WireConnection : public Connection {
 public:
  WireConnection(const std::string& host, std::uint16_t port, std::size_t& sent_bytes)
      : socket_(host, port), sent_bytes_(sent_bytes) {}

  void send(std::string_view bytes) override {
    sent_bytes_ += bytes.size();
    (void)socket_.send_all(bytes);
  }

  Received receive(std::string& out, std::chrono::milliseconds bound) override {
    return socket_.receive(out, bound);
  }

 private:
  Socket socket_;
  std::size_t& sent_bytes_;
};

// What a server reads of one connection in a turn of its loop, at least.
constexpr std::size_t bytes_a_turn = 16384;

}  // namespace

WireBackend::WireBackend(std::string host, std::uint16_t port)
    : host_(std::move(host)), port_(port), observer_(host_, port_) {}

std::unique_ptr<Connection> WireBackend::connect() {
  return std::make_unique<WireConnection>(host_, port_, unsettled_bytes_);
}

// The server is one loop: what was sent before the observer's command is read no later than it (big input in
// several turns), and replies leave at the end of the turn, so that the second round trip starts after them. A
// connection that ends with its last reply is closed a turn later, hence the third. The command is one that is
// refused for its arity, because those show neither in MONITOR nor in SLOWLOG.
void WireBackend::settle() {
  const std::size_t rounds = 3 + unsettled_bytes_ / bytes_a_turn;
  unsettled_bytes_ = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    if (!observer_.send_all(encode_command({"ECHO"}))) throw std::runtime_error("the server is gone");
    ReplyReader reader;
    while (!reader.next()) {
      std::string bytes;
      if (observer_.receive(bytes, 10s) != Received::bytes) throw std::runtime_error("the server does not answer");
      reader.feed(bytes);
    }
  }
}

void WireBackend::advance(std::chrono::milliseconds time) {
  // One more millisecond, because the server's clock is cut to milliseconds.
  std::this_thread::sleep_for(time + 1ms);
  settle();
}

}  // namespace quartet::test
