#pragma once

#include <deque>
#include <string>
#include <vector>

#include "reply.h"
#include "server/server.h"

namespace quartet::test {

/// A client of a server in this process that knows which replies the server has made and which of them have left it.
class Client final : public server::Connection {
 public:
  Client(server::Server& core, int port);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() override;

  const server::Session& session() const { return *session_; }
  /// Whether a command of it waits for something, or for its turn after that.
  bool waits() const { return session_->wait != server::Wait::None || !session_->input.empty(); }
  void send(const std::string& bytes);

  /// The replies that the server has made since the last time, sent or not.
  std::vector<Reply> take_made();
  /// The reply that was made last implies that what `bound` stands for is durable.
  void promise(size_t bound) { promises_.push_back({made_, bound}); }
  /// Receives what may leave, and returns the greatest bound that it promised; 0 where there was none.
  size_t receive();

  // server::Connection
  void flush_soon() override {}
  void close_soon(bool) override { closing_ = true; }
  void resume_input() override {}

 private:
  struct Promise {
    uint64_t end;  // of the reply, in the stream of all output
    size_t bound;
  };

  server::Server& core_;
  server::Session* session_;
  ReplyReader reader_;
  uint64_t made_ = 0;  // bytes
  std::deque<Promise> promises_;
  bool closing_ = false;
};

}  // namespace quartet::test
