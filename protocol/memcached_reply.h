#pragma once

#include <cstdint>
#include <string_view>

#include "base/shared_bytes.h"
#include "protocol/reply.h"

namespace quartet::protocol {

/// Writes replies of memcached's text protocol.
class MemcachedReply {
 public:
  explicit MemcachedReply(Reply& reply) : reply_(reply), out_(reply.buffer()) {}

  /// A whole line, without its end: "STORED".
  void line(std::string_view text);
  /// The same for one that tells of an error, which is counted: "CLIENT_ERROR bad command line format".
  void error(std::string_view text);

  /// The bytes of an item: a view, or a reference to the block that holds them.
  struct Data {
    std::string_view bytes;
    SharedBytes shared = {};

    size_t size() const { return shared ? shared.size() : bytes.size(); }
  };
  /// `VALUE <key> <client flags> <bytes> [<cas>]` with the data; without a number where `cas` is null.
  /// REQUIRES: key.size() <= limits::kMemcachedKeyBytes.
  void value(std::string_view key, uint32_t client_flags, const Data& data, const uint64_t* cas);
  /// `VA <bytes><flags>` with the data. The flags are the rest of the line, each with a space before it.
  void meta_value(std::string_view flags, const Data& data);

  /// The length of the output, for `forget`.
  size_t mark() const { return out_.size(); }
  /// Takes back what was written since: the client wants to hear nothing.
  void forget(size_t mark) { out_.truncate(mark); }

 private:
  void item(std::string_view head, const Data& data);

  Reply& reply_;
  OutputBuffer& out_;
};

}  // namespace quartet::protocol
