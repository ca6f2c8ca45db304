#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace quartet::net {

/// How many connections each address has, for `maxclients-per-address`. Of an IPv6 address only the first 64 bits count,
/// because what follows is anybody's who has them. Unix sockets have no address.
class AddressCounts {
  using Key = std::array<uint8_t, 16>;

 public:
  /// One counted connection, for as long as it lives. It must not outlive its counts.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)), key_(other.key_) {}
    Place& operator=(Place&& other) noexcept {
      std::swap(counts_, other.counts_);
      std::swap(key_, other.key_);
      return *this;
    }
    ~Place() {
      if (counts_) counts_->leave(key_);
    }
    /// Those of the same address, this one included; 0 where it has none.
    size_t count() const { return counts_ ? counts_->counts_.find(key_)->second : 0; }

   private:
    friend class AddressCounts;
    Place(AddressCounts& counts, const Key& key) : counts_(&counts), key_(key) {}

    AddressCounts* counts_ = nullptr;
    Key key_{};
  };

  Place enter(const sockaddr_storage& address);
  /// Addresses that have a connection.
  size_t size() const { return counts_.size(); }

 private:
  void leave(const Key& key);

  std::map<Key, size_t> counts_;
};

}  // namespace quartet::net
