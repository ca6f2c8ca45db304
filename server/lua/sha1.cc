#include "server/lua/sha1.h"

#include <openssl/evp.h>

namespace quartet::server::lua {

void sha1_hex(std::string_view bytes, char* out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  unsigned char digest[EVP_MAX_MD_SIZE] = {};
  EVP_Digest(bytes.data(), bytes.size(), digest, nullptr, EVP_sha1(), nullptr);
  for (int i = 0; i < 20; ++i) {
    *out++ = kDigits[digest[i] >> 4];
    *out++ = kDigits[digest[i] & 15];
  }
}

}  // namespace quartet::server::lua
