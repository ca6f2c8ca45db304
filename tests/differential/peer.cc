#include "peer.h"

#include <stdexcept>

namespace quartet::test {

using namespace std::chrono_literals;

void PeerConnection::fail(const std::string& what) const { throw std::runtime_error(name_ + ' ' + what); }

void PeerConnection::flush() {
  if (!socket_.send_all(outgoing_)) fail("has closed the connection");
  outgoing_.clear();
}

Reply PeerConnection::receive() {
  while (true) {
    if (auto reply = reader_.next()) return *reply;
    if (reader_.broken()) fail("sends what is not RESP: " + quoted(reader_.pending().substr(0, 100)));
    std::string bytes;
    switch (socket_.receive(bytes, 20s)) {
      case Received::closed: fail("has closed the connection");
      case Received::nothing: fail("gives no reply for 20 seconds");
      case Received::bytes: reader_.feed(bytes);
    }
  }
}

Reply PeerConnection::call(const std::vector<std::string>& arguments) {
  send(arguments);
  flush();
  return receive();
}

Peer Peer::at(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("a server is HOST:PORT, not " + address);
  Peer peer;
  peer.name_ = address;
  peer.host_ = address.substr(0, colon);
  peer.port_ = static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1)));
  return peer;
}

Peer Peer::spawned(const std::string& binary) {
  Peer peer;
  peer.name_ = binary;
  peer.host_ = "127.0.0.1";
  peer.process_ = std::make_unique<ServerProcess>(binary);
  peer.port_ = peer.process_->port();
  return peer;
}

}  // namespace quartet::test
