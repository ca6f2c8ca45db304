#include "server/net/tls_stream.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <cstring>

namespace quartet::net {

namespace {

/// Plaintext of one record at most, and its ciphertext with header and padding.
constexpr size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr size_t kEncryptedRecordBytes = SSL3_RT_MAX_PACKET_SIZE;
/// Ciphertext taken from the socket by one step of a handshake.
constexpr size_t kHandshakeBytes = 16 * 1024;

}  // namespace

BIO_METHOD* TlsStream::make_transport() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket of a session");
  if (!method) return nullptr;
  BIO_meth_set_read(method, read_input);
  BIO_meth_set_write(method, write_output);
  BIO_meth_set_ctrl(method, [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH ? 1 : 0; });
  return method;
}

std::unique_ptr<TlsStream> TlsStream::make(std::shared_ptr<const TlsContext> context, int descriptor) {
  std::unique_ptr<TlsStream> stream(new TlsStream(std::move(context), descriptor));
  BIO* bio = BIO_new(stream->context_->transport());
  stream->ssl_.reset(SSL_new(stream->context_->get()));
  if (!bio || !stream->ssl_) {
    BIO_free(bio);
    return nullptr;
  }
  BIO_set_data(bio, stream.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(stream->ssl_.get(), bio, bio);
  SSL_set_accept_state(stream->ssl_.get());
  return stream;
}

int TlsStream::read_input(BIO* bio, char* data, int size) {
  std::string_view& input = of(bio).input_;
  BIO_clear_retry_flags(bio);
  if (input.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t n = std::min(input.size(), static_cast<size_t>(size));
  std::memcpy(data, input.data(), n);
  input.remove_prefix(n);
  return static_cast<int>(n);
}

int TlsStream::write_output(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  ssize_t n;
  do {
    n = ::send(of(bio).descriptor_, data, static_cast<size_t>(size), MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

ssize_t TlsStream::receive(char* data, size_t size) {
  ssize_t n;
  do {
    n = ::recv(descriptor_, data, size, 0);
  } while (n < 0 && errno == EINTR);
  return n;
}

int TlsStream::reason(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error != SSL_ERROR_SSL && error != SSL_ERROR_SYSCALL) return error;
  failed_ = true;
  error_ = error == SSL_ERROR_SYSCALL ? std::strerror(errno) : take_tls_error();
  return error;
}

void TlsStream::keep_unread() {
  unread_.assign(input_);
  input_ = {};
}

TlsStream::Progress TlsStream::handshake() {
  char received[kHandshakeBytes];
  const std::string stored = std::exchange(unread_, {});
  input_ = stored;
  if (stored.empty()) {
    const ssize_t n = receive(received, sizeof received);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) {
      error_ = n == 0 ? "the client has closed the connection" : std::strerror(errno);
      return Progress::Failed;
    }
    input_ = {received, n > 0 ? static_cast<size_t>(n) : 0};
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  const int error = result == 1 ? SSL_ERROR_NONE : reason(result);
  // A client that was quick has sent its first requests behind the handshake.
  keep_unread();
  switch (error) {
    case SSL_ERROR_NONE: return Progress::Done;
    case SSL_ERROR_WANT_READ: return Progress::WantsInput;
    case SSL_ERROR_WANT_WRITE: return Progress::WantsOutput;
    default: return Progress::Failed;
  }
}

TlsStream::Read TlsStream::read(char* data, size_t size) {
  assert(size >= kReadBytes);
  // With an unfinished record that OpenSSL has already, what is decrypted is no longer than the room for it.
  char received[kReadBytes - kEncryptedRecordBytes];
  const std::string stored = std::exchange(unread_, {});
  input_ = stored;
  size_t taken = 0;
  if (stored.empty()) {
    const ssize_t n = receive(received, sizeof received);
    if (n == 0) return {0, 0, State::Closed};
    if (n < 0) return {0, 0, errno == EAGAIN || errno == EWOULDBLOCK ? State::Open : State::Failed};
    taken = static_cast<size_t>(n);
    input_ = {received, taken};
  }
  size_t total = 0;
  int error = SSL_ERROR_NONE;
  while (total < size && (!input_.empty() || SSL_has_pending(ssl_.get()))) {
    ERR_clear_error();
    const int n = SSL_read(ssl_.get(), data + total, static_cast<int>(std::min<size_t>(size - total, INT_MAX)));
    if (n <= 0) {
      error = reason(n);
      break;
    }
    total += static_cast<size_t>(n);
  }
  assert((input_.empty() || error != SSL_ERROR_NONE) && "all that was received fits");
  if (error == SSL_ERROR_ZERO_RETURN) return {total, taken, State::Closed};
  if (failed_) return {total, taken, State::Failed};
  keep_unread();
  return {total, taken, State::Open};
}

ssize_t TlsStream::write(const iovec* vectors, size_t count) {
  char joined[kRecordBytes];
  size_t written = 0, skipped = 0;  // `skipped` of the first vector are written
  while (count > 0) {
    const char* data = static_cast<const char*>(vectors->iov_base) + skipped;
    size_t length = vectors->iov_len - skipped;
    if (length < kRecordBytes && count > 1) {
      // A record for each short piece would cost more, on both sides and on the way, than to copy them into one. The pieces that are
      // offered again after EAGAIN are joined in the same way, so that they are at least as long, which OpenSSL demands.
      std::memcpy(joined, data, length);
      for (size_t i = 1; i < count && length < kRecordBytes; ++i) {
        const size_t n = std::min(vectors[i].iov_len, kRecordBytes - length);
        std::memcpy(joined + length, vectors[i].iov_base, n);
        length += n;
      }
      data = joined;
    }
    ERR_clear_error();
    const int n = SSL_write(ssl_.get(), data, static_cast<int>(std::min<size_t>(length, INT_MAX)));
    if (n <= 0) {
      if (reason(n) == SSL_ERROR_WANT_WRITE) break;
      failed_ = true;
      errno = EPROTO;
      return -1;
    }
    written += static_cast<size_t>(n);
    for (skipped += static_cast<size_t>(n); count > 0 && skipped >= vectors->iov_len; --count) skipped -= (vectors++)->iov_len;
  }
  if (written > 0 || count == 0) return static_cast<ssize_t>(written);
  errno = EAGAIN;
  return -1;
}

void TlsStream::close() {
  if (failed_ || !SSL_is_init_finished(ssl_.get())) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

}  // namespace quartet::net
