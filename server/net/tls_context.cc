#include "server/net/tls_context.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

#include "base/numbers.h"
#include "server/config_values.h"
#include "server/net/tls_stream.h"

namespace quartet::net {

namespace {

struct Protocol {
  std::string_view name;
  int version;
  uint64_t refuse;
};
/// In rising order.
constexpr Protocol kProtocols[] = {{"TLSv1", TLS1_VERSION, SSL_OP_NO_TLSv1},
                                   {"TLSv1.1", TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
                                   {"TLSv1.2", TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
                                   {"TLSv1.3", TLS1_3_VERSION, SSL_OP_NO_TLSv1_3}};
constexpr std::string_view kDefaultProtocols = "TLSv1.2 TLSv1.3";

std::string choose_protocols(SSL_CTX* context, std::string_view text) {
  const auto words = server::split_words(text.empty() ? kDefaultProtocols : text);
  const auto chosen = [&](const Protocol& protocol) {
    return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return equals_ignoring_case(word, protocol.name); });
  };
  for (const std::string_view word : words)
    if (std::none_of(std::begin(kProtocols), std::end(kProtocols),
                     [&](const Protocol& protocol) { return equals_ignoring_case(word, protocol.name); }))
      return fmt::format("tls-protocols: '{}' is none; allowed: TLSv1, TLSv1.1, TLSv1.2, TLSv1.3", word);
  const auto lowest = std::find_if(std::begin(kProtocols), std::end(kProtocols), chosen);
  // Without a lower bound of ours, the one of the machine's openssl.cnf would hold.
  SSL_CTX_set_min_proto_version(context, lowest->version);
  for (const Protocol& protocol : kProtocols)
    if (!chosen(protocol)) SSL_CTX_set_options(context, protocol.refuse);
  return {};
}

std::string failed(std::string_view setting, std::string_view value) {
  return fmt::format("{} {}: {}", setting, value, take_tls_error());
}

/// Gives OpenSSL the text of `tls-key-file-pass`. Where there is none it must not ask at the terminal, as it would by itself.
int give_password(char* buffer, int size, int, void* text) {
  const auto& password = *static_cast<const std::string*>(text);
  const auto length = static_cast<int>(password.size());
  if (length > size) return -1;
  std::memcpy(buffer, password.data(), password.size());
  return length;
}

}  // namespace

std::string take_tls_error() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason ? reason : fmt::format("error {:x}", error);
}

TlsContext::TlsContext() : context_(SSL_CTX_new(TLS_server_method())), transport_(TlsStream::make_transport()) {
  if (!context_ || !transport_) throw std::bad_alloc();
}

std::shared_ptr<const TlsContext> TlsContext::make(const server::Config& config, std::string& error) {
  ERR_clear_error();
  std::shared_ptr<TlsContext> made(new TlsContext());
  error = made->configure(config);
  if (!error.empty()) return nullptr;
  return made;
}

std::string TlsContext::configure(const server::Config& config) {
  SSL_CTX* context = context_.get();
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  if (config.tls_prefer_server_ciphers) SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Output is offered anew where its block has moved meanwhile, a part of it counts, and an idle connection holds no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
  if (std::string error = choose_protocols(context, config.tls_protocols); !error.empty()) return error;
  if (!config.tls_ciphers.empty() && SSL_CTX_set_cipher_list(context, config.tls_ciphers.c_str()) != 1)
    return failed("tls-ciphers", config.tls_ciphers);
  if (!config.tls_ciphersuites.empty() && SSL_CTX_set_ciphersuites(context, config.tls_ciphersuites.c_str()) != 1)
    return failed("tls-ciphersuites", config.tls_ciphersuites);
  if (std::string error = load_certificate(config); !error.empty()) return error;
  if (std::string error = load_dh_parameters(config.tls_dh_params_file); !error.empty()) return error;
  if (std::string error = trust(config); !error.empty()) return error;
  cache_sessions(config);
  return {};
}

std::string TlsContext::load_certificate(const server::Config& config) {
  SSL_CTX* context = context_.get();
  if (config.tls_cert_file.empty()) return "tls-cert-file is not set, and TLS needs a certificate";
  if (config.tls_key_file.empty()) return "tls-key-file is not set, and TLS needs the certificate's key";
  if (SSL_CTX_use_certificate_chain_file(context, config.tls_cert_file.c_str()) != 1)
    return failed("tls-cert-file", config.tls_cert_file);
  SSL_CTX_set_default_passwd_cb(context, give_password);
  SSL_CTX_set_default_passwd_cb_userdata(context, const_cast<std::string*>(&config.tls_key_file_pass));
  const bool loaded = SSL_CTX_use_PrivateKey_file(context, config.tls_key_file.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  if (!loaded || SSL_CTX_check_private_key(context) != 1) return failed("tls-key-file", config.tls_key_file);
  return {};
}

std::string TlsContext::load_dh_parameters(const std::string& path) {
  if (path.empty()) {
    SSL_CTX_set_dh_auto(context_.get(), 1);
    return {};
  }
  const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(path.c_str(), "r"), &BIO_free);
  if (!file) return failed("tls-dh-params-file", path);
  EVP_PKEY* parameters = PEM_read_bio_Parameters(file.get(), nullptr);
  if (!parameters) return failed("tls-dh-params-file", path);
  if (SSL_CTX_set0_tmp_dh_pkey(context_.get(), parameters) == 1) return {};
  EVP_PKEY_free(parameters);
  return failed("tls-dh-params-file", path);
}

std::string TlsContext::trust(const server::Config& config) {
  const std::string &file = config.tls_ca_cert_file, &directory = config.tls_ca_cert_dir;
  const bool asks = config.tls_auth_clients != "no";
  if (asks && file.empty() && directory.empty())
    return "tls-ca-cert-file or tls-ca-cert-dir must be set, because tls-auth-clients is not no";
  if (!file.empty() && SSL_CTX_load_verify_file(context_.get(), file.c_str()) != 1) return failed("tls-ca-cert-file", file);
  if (!directory.empty() && SSL_CTX_load_verify_dir(context_.get(), directory.c_str()) != 1)
    return failed("tls-ca-cert-dir", directory);
  if (!asks) return {};
  const bool must = config.tls_auth_clients == "yes";
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | (must ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
  return {};
}

void TlsContext::cache_sessions(const server::Config& config) {
  SSL_CTX* context = context_.get();
  if (!config.tls_session_caching) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return;
  }
  constexpr std::string_view kName = "quartet";
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(context, config.tls_session_cache_size);
  SSL_CTX_set_timeout(context, config.tls_session_cache_timeout);
  // Without a name for where it holds, a session of a client with a certificate could not be resumed.
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kName.data()), kName.size());
}

std::string TlsContext::certificate() const {
  const X509* certificate = SSL_CTX_get0_certificate(context_.get());
  const std::unique_ptr<BIO, decltype(&BIO_free)> text(BIO_new(BIO_s_mem()), &BIO_free);
  if (!certificate || !text) return {};
  X509_NAME_print_ex(text.get(), X509_get_subject_name(certificate), 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB);
  BIO_puts(text.get(), ", valid until ");
  ASN1_TIME_print(text.get(), X509_get0_notAfter(certificate));
  char* data = nullptr;
  const long size = BIO_get_mem_data(text.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

}  // namespace quartet::net
