#include "base/hash.h"

#include "base/random.h"

namespace quartet {

uint64_t hash_secret() {
  static const uint64_t secret = entropy();
  return secret;
}

}  // namespace quartet
