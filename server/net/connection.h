#pragma once

#include <uv.h>

#include <cstddef>
#include <memory>
#include <string_view>

#include "server/net/address_counts.h"
#include "server/net/tls_stream.h"
#include "server/session.h"

namespace quartet::net {

class Reactor;

/// The socket of one session, TCP or Unix. It is polled rather than given to libuv as a stream: replies are then written
/// from the session's own blocks whenever the kernel takes them, with no request that pins them, and the same code
/// reads and writes while a script keeps the loop from turning.
///
/// A turn of the loop reads a connection at most once and writes it at most once. A client with an endless pipeline
/// therefore takes turns with the others, by pieces of one read buffer.
///
/// Under TLS what is read and written goes through a TlsStream, whose handshake is done before there is a connection (Handshakes).
class Connection final : public server::Connection {
 public:
  /// Takes over the descriptor of a connected, non-blocking socket, and the stream over it where there is one.
  Connection(Reactor& reactor, int descriptor, AddressCounts::Place place, std::unique_ptr<TlsStream> tls);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Begins to read for the session that the server has opened, with what came together with a handshake.
  void start(uv_loop_t* loop, server::Session& session);
  /// Instead of start: sends the text and frees the connection.
  void refuse(std::string_view text);

  // server::Connection
  void flush_soon() override;
  void close_soon(bool flush) override;
  void resume_input() override;

  /// At the end of a turn: sends what is pending, and closes if that was asked for.
  void settle();
  /// Whether it is to be closed, and settle() of a later turn may do it as well; rest() has it cost nothing until then.
  bool closing() const { return closing_ != Closing::No; }
  void rest();
  /// Reads once and executes. True if bytes came.
  bool receive();
  /// Sends what the kernel takes; the rest follows when it takes more.
  void flush();
  /// Ends the session and frees the connection. REQUIRES: nothing of the session is being executed.
  void destroy();

  /// Whether bytes may be read and executed now. False while a command of the session itself is on the stack.
  bool receptive() const;
  int descriptor() const { return descriptor_; }

  /// Positions in the reactor's lists: of those with something to do when the turn ends (see TurnList), and of all.
  static constexpr size_t kNotListed = static_cast<size_t>(-1);
  size_t turn_position = kNotListed;
  size_t position = kNotListed;

 private:
  enum class Closing { No, AfterFlush, Now };

  ~Connection() = default;
  void on_event(int status, int events);
  bool receive_encrypted();
  /// Sends by `write`, which is like writev, about `most` bytes at a time.
  template <class Write>
  void flush_by(size_t most, Write write);
  void ended(bool orderly);
  /// The connection has failed: it is closed when the turn ends, because commands on the stack may refer to the session.
  void broken();
  void update_reading();
  void watch();

  Reactor& reactor_;
  const int descriptor_;
  server::Session* session_ = nullptr;  // null once destroyed
  Closing closing_ = Closing::No;
  bool reading_ = true;
  bool hung_up_ = false;        // the client has, while its session waits and is not read
  bool write_blocked_ = false;  // the kernel's buffer is full
  int watched_ = 0;             // the events that poll_ is started for
  std::unique_ptr<TlsStream> tls_;  // null where bytes go as they are
  AddressCounts::Place place_;
  uv_poll_t poll_{};
};

}  // namespace quartet::net
