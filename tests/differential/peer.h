// One of the two servers that are compared.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "process.h"
#include "reply.h"
#include "socket.h"

namespace quartet::test {

class PeerConnection {
 public:
  // `name` is for messages.
  PeerConnection(std::string name, const std::string& host, std::uint16_t port)
      : name_(std::move(name)), socket_(host, port) {}

  void send(const std::vector<std::string>& arguments) { outgoing_ += encode_command(arguments); }
  void flush();

  // The next reply. Throws std::runtime_error when the server closes, hangs or sends what is not RESP.
  Reply receive();

  Reply call(const std::vector<std::string>& arguments);

 private:
  [[noreturn]] void fail(const std::string& what) const;

  std::string name_;
  Socket socket_;
  ReplyReader reader_;
  std::string outgoing_;
};

// Where a server is: `host:port`, or a binary to spawn.
class Peer {
 public:
  static Peer at(const std::string& address);
  static Peer spawned(const std::string& binary);

  std::unique_ptr<PeerConnection> connect() const { return std::make_unique<PeerConnection>(name_, host_, port_); }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  std::string host_;
  std::uint16_t port_ = 0;
  std::unique_ptr<ServerProcess> process_;
};

}  // namespace quartet::test
