#include "server/net/address_counts.h"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>

#include <optional>

using quartet::net::AddressCounts;

namespace {

sockaddr_storage address(const char* text) {
  sockaddr_storage made{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(made);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(made);
  if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) made.ss_family = AF_INET;
  else if (::inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) made.ss_family = AF_INET6;
  else made.ss_family = AF_UNIX;
  return made;
}

}  // namespace

TEST_CASE("connections are counted by address for as long as they live", "[net]") {
  AddressCounts counts;
  std::optional first(counts.enter(address("192.0.2.1")));
  AddressCounts::Place second = counts.enter(address("192.0.2.1"));
  AddressCounts::Place other = counts.enter(address("192.0.2.2"));
  CHECK(second.count() == 2);
  CHECK(other.count() == 1);
  first.reset();
  CHECK(second.count() == 1);
  AddressCounts::Place moved = std::move(second);
  CHECK(moved.count() == 1);
  CHECK(second.count() == 0);
  moved = {};
  other = {};
  CHECK(counts.size() == 0);
}

TEST_CASE("of an IPv6 address the network counts, and a Unix socket has none", "[net]") {
  AddressCounts counts;
  AddressCounts::Place one = counts.enter(address("2001:db8:1:2::1"));
  AddressCounts::Place same = counts.enter(address("2001:db8:1:2:ffff::1"));
  AddressCounts::Place other = counts.enter(address("2001:db8:1:3::1"));
  AddressCounts::Place loopback = counts.enter(address("::1"));
  AddressCounts::Place v4 = counts.enter(address("0.0.0.1"));
  CHECK(one.count() == 2);
  CHECK(other.count() == 1);
  CHECK(loopback.count() == 1);
  CHECK(v4.count() == 1);
  const AddressCounts::Place unix_socket = counts.enter(address("/path"));
  CHECK(unix_socket.count() == 0);
  CHECK(counts.size() == 4);
}
