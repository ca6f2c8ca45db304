#include "server/net/address_counts.h"

#include <netinet/in.h>

#include <cstring>

namespace quartet::net {

AddressCounts::Place AddressCounts::enter(const sockaddr_storage& address) {
  Key key{};
  if (address.ss_family == AF_INET) {
    // Within the prefix that IPv6 keeps for addresses of IPv4 (RFC 4291), so that the two do not meet.
    key[10] = key[11] = 0xff;
    std::memcpy(key.data() + 12, &reinterpret_cast<const sockaddr_in&>(address).sin_addr, 4);
  } else if (address.ss_family == AF_INET6) {
    std::memcpy(key.data(), &reinterpret_cast<const sockaddr_in6&>(address).sin6_addr, 8);
  } else {
    return {};
  }
  ++counts_[key];
  return {*this, key};
}

void AddressCounts::leave(const Key& key) {
  const auto found = counts_.find(key);
  if (--found->second == 0) counts_.erase(found);
}

}  // namespace quartet::net
