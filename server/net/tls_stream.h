#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <memory>
#include <string>
#include <string_view>

#include "server/net/tls_context.h"

namespace quartet::net {

/// TLS over one non-blocking socket, of which it has the descriptor and not the ownership.
///
/// OpenSSL does not read the socket itself. A read takes one piece of ciphertext from the kernel and hands it to OpenSSL through a
/// transport of our own (a BIO), until all of it is used up. So the work of a turn is bounded by the size of the piece, whatever
/// records are in it, and nothing that could be executed is left behind in OpenSSL, where no poll would see it: an unfinished record
/// waits there for its rest, and only that. Writes go from the caller's memory into OpenSSL's record and from there to the kernel.
class TlsStream {
 public:
  /// Null where OpenSSL has no memory.
  static std::unique_ptr<TlsStream> make(std::shared_ptr<const TlsContext> context, int descriptor);
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  enum class Progress { Done, WantsInput, WantsOutput, Failed };
  /// Goes on with the handshake as far as it gets without waiting.
  Progress handshake();

  enum class State { Open, Closed, Failed };
  struct Read {
    size_t bytes;  // of plaintext, in `data`
    size_t taken;  // of ciphertext, from the socket
    State state;   // Closed: the peer has said that it sends nothing more, or has closed its side without saying so
  };
  /// Reads at most once from the socket and decrypts all of it into `data`. REQUIRES: the handshake is done, and `size` is at least
  /// kReadBytes.
  static constexpr size_t kReadBytes = 64 * 1024;
  Read read(char* data, size_t size);
  /// Whether read() has something to do without new bytes in the socket: it had to stop because the socket took no output (which a
  /// peer can ask for by changing keys), and goes on when that is writable.
  bool stalled() const { return !unread_.empty(); }

  /// Like writev: bytes taken, or -1 with errno EAGAIN where the socket takes nothing. After that the same bytes must be offered
  /// first, in any memory and divided in any way.
  ssize_t write(const iovec* vectors, size_t count);

  /// Tells the peer that nothing more comes, if the socket takes that now.
  void close();
  /// Why the handshake or a read failed.
  const std::string& error() const { return error_; }

  /// What TlsContext needs of it; to be freed with BIO_meth_free. Null where there is no memory.
  static BIO_METHOD* make_transport();

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  TlsStream(std::shared_ptr<const TlsContext> context, int descriptor) : context_(std::move(context)), descriptor_(descriptor) {}
  static TlsStream& of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }
  static int read_input(BIO* bio, char* data, int size);
  static int write_output(BIO* bio, const char* data, int size);
  ssize_t receive(char* data, size_t size);
  /// The reason of a result that is no success; remembers what is said of a failure.
  int reason(int result);
  void keep_unread();

  const std::shared_ptr<const TlsContext> context_;
  const int descriptor_;
  std::unique_ptr<SSL, Free> ssl_;
  std::string_view input_;  // ciphertext that OpenSSL has not taken yet, during a call
  std::string unread_;      // and after it
  bool failed_ = false;
  std::string error_;
};

}  // namespace quartet::net
