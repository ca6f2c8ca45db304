#pragma once

#include <openssl/bio.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "server/config.h"

namespace quartet::net {

/// What the settings that begin with `tls-` say, read and checked: protocols, ciphers, certificate, key, and whose
/// certificates clients must have. It does not change; a reload makes another one, and connections keep theirs.
class TlsContext {
 public:
  /// Reads the files that the settings name. Null with `error` set where anything is missing or does not fit together;
  /// the text names the setting and no secret.
  static std::shared_ptr<const TlsContext> make(const server::Config& config, std::string& error);

  SSL_CTX* get() const { return context_.get(); }
  /// What the streams of the context are made of below OpenSSL; see TlsStream.
  const BIO_METHOD* transport() const { return transport_.get(); }
  /// Subject and end of the certificate, for the log: "CN=example.org, valid until Jan  1 00:00:00 2030 GMT".
  std::string certificate() const;

 private:
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(BIO_METHOD* method) const { BIO_meth_free(method); }
  };

  TlsContext();
  std::string configure(const server::Config& config);
  std::string load_certificate(const server::Config& config);
  std::string load_dh_parameters(const std::string& path);
  std::string trust(const server::Config& config);
  void cache_sessions(const server::Config& config);

  std::unique_ptr<SSL_CTX, Free> context_;
  std::unique_ptr<BIO_METHOD, Free> transport_;
};

/// The oldest error of OpenSSL's queue, in words; the queue is empty afterwards.
std::string take_tls_error();

}  // namespace quartet::net
