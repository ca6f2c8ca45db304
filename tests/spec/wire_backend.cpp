#include "wire_backend.h"

#include <stdexcept>
#include <thread>

#include "reply.h"

namespace quartet::test {

namespace {

using namespace std::chrono_literals;

class WireConnection : public Connection {
public:
    WireConnection(const std::string& host, std::uint16_t port) : socket_(host, port) {}

    void send(std::string_view bytes) override { (void)socket_.send_all(bytes); }

    Received receive(std::string& out, std::chrono::milliseconds bound) override {
        return socket_.receive(out, bound);
    }

private:
    Socket socket_;
};

}  // namespace

WireBackend::WireBackend(std::string host, std::uint16_t port)
    : host_(std::move(host)), port_(port), observer_(host_, port_) {}

std::unique_ptr<Connection> WireBackend::connect() { return std::make_unique<WireConnection>(host_, port_); }

// The server is one loop: what was sent before the observer's command is read no later than it, and replies
// leave at the end of the turn, so that the second round trip starts after them. A connection that ends with
// its last reply is closed a turn later, hence the third.
// ROLE is used because administrative commands do not show in MONITOR.
void WireBackend::settle() {
    for (int round = 0; round < 3; ++round) {
        if (!observer_.send_all(encode_command({"ROLE"}))) throw std::runtime_error("the server is gone");
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
