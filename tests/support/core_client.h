// A server core in this process, as a test drives it: clients whose bytes go straight into their sessions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core_process.h"
#include "server/server.h"

namespace quartet::test {

// A client of the core. It must not outlive the core.
class CoreClient : public server::Connection {
 public:
  // Connects from 127.0.0.1 and `port`. A client that is refused is not open.
  // Where `memcached` is set it speaks memcached's protocol, in that database.
  CoreClient(server::Server& core, int port, std::optional<int> memcached = {});
  CoreClient(const CoreClient&) = delete;
  CoreClient& operator=(const CoreClient&) = delete;
  // Disconnects.
  ~CoreClient() override;

  bool open() const { return session_; }
  // What a client that was refused is told.
  std::string_view refusal() const { return refusal_; }

  // Gives the core the bytes, at most `piece` at a time, each in a turn of its own. A connection that is closing
  // swallows them.
  void send(std::string_view bytes, size_t piece = SIZE_MAX);

  // The same in one read of the present turn, in which other clients are read too. The turn ends with
  // Input::execute_received.
  void send_in_turn(std::string_view bytes);

  // Says nothing more, but hears what is to be answered.
  void end_input();
  // Whether the core makes it wait: for a key, or for its turn.
  bool waits() const { return session_ && session_->input_paused(); }

  size_t output_size() const;
  std::string take_output();

  // Ends the connection where the core wants it closed, and what it had to say has been taken or is not to be sent.
  void close_if_finished();

  // Called when the core has something to say.
  std::function<void()> on_output;

  // server::Connection
  void flush_soon() override {
    if (on_output) on_output();
  }
  void close_soon(bool flush) override;
  void resume_input() override {}

 private:
  server::Server& core_;
  server::Session* session_ = nullptr;
  std::string_view refusal_;
  bool closing_ = false;
  bool discard_ = false;
};

}  // namespace quartet::test
