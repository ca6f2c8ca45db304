#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"

namespace quartet::protocol {

struct MemcachedLimits {
  /// Longest data block, in bytes; a longer one is passed over.
  int64_t item_bytes = limits::kMemcachedItemBytes;
  /// Longest line, in bytes, and longest line of the commands that take many keys (get, gets, gat, gats).
  size_t line_bytes = limits::kInlineBytes;
  size_t keys_line_bytes = limits::kMemcachedKeysLineBytes;
};

/// Reads requests of memcached's text protocol, classic and meta, out of bytes that arrive in any pieces (the format is
/// described at https://github.com/memcached/memcached/blob/master/doc/protocol.txt, and in what is left open there it
/// is that of memcached 1.6): a line of words and, behind those of the storage commands, a block of data.
///
///     set <key> <flags> <exptime> <bytes> [noreply]\r\n<data>\r\n      also add, replace, append, prepend
///     cas <key> <flags> <exptime> <bytes> <unique> [noreply]\r\n<data>\r\n
///     ms <key> <bytes> <flag>...\r\n<data>\r\n
///     <any other word> ...\r\n
///     <any word> ... HTTP/<version>\r\n                               is none of these, and an error
///
/// It keeps no bytes: the caller keeps an unfinished request from its first byte on and calls again with more; the
/// parser remembers how far it got. It knows of a command only what decides where its request ends: whether it is one
/// with data, and what has to be right in its line for the data to be read as such; and where the key of a meta command
/// stands, which it decodes from base64 where a flag says so.
class MemcachedParser {
 public:
  enum class Status {
    Complete,    ///< a request was read: its words were appended, and its data as one more; consumed() bytes are done
    TooLarge,    ///< the same, without the data, which is longer than allowed and is going to be passed over
    Refused,     ///< a line of a storage command that is wrong: error() is the reply; consumed() bytes are done
    Empty,       ///< nothing to execute or to say; consumed() bytes are done
    Incomplete,  ///< more bytes are needed; needed() tells how many in all, as far as is known
    Error,       ///< the connection is to be closed, after error() where there is one
  };

  /// Reads the request that begins at input[0]. `input` begins with the same bytes as in the last call if that returned
  /// Incomplete. Words and data are views into `input`, a decoded key (see decoded()) one into the parser until the
  /// next call. A key that cannot be decoded is left empty, as no key is otherwise. Nothing is appended but by Complete
  /// and TooLarge.
  Status next(std::string_view input, const MemcachedLimits& limits, std::vector<std::string_view>& words);

  size_t consumed() const { return consumed_; }
  /// After Incomplete: the least length of `input` with which a next call can get further.
  size_t needed() const { return needed_; }
  /// A whole line without its end: "CLIENT_ERROR bad command line format".
  std::string_view error() const { return error_; }
  /// After Error: the client speaks memcached's binary protocol.
  bool binary() const { return binary_; }
  /// After Error: the client speaks HTTP. Its headers and its body are not to be read as requests, because a page of
  /// any site can have a browser send them here.
  bool http() const { return http_; }
  /// After Complete and TooLarge: the key was decoded, and lies in the parser.
  bool decoded() const { return decoded_; }
  /// The same: the line of a classic command ends with `noreply`, so that its client waits for no reply, not even for
  /// an error.
  bool quiet() const { return quiet_; }
  /// Forgets the progress within an unfinished request: the next call begins anew.
  void reset();

 private:
  Status parse_request(std::string_view input, size_t line_end, const MemcachedLimits& limits,
                       std::vector<std::string_view>& words);
  Status parse_storage(std::string_view input, size_t line_end, const MemcachedLimits& limits,
                       std::vector<std::string_view>& words, size_t first, bool cas);
  Status parse_meta_set(std::string_view input, size_t line_end, const MemcachedLimits& limits,
                        std::vector<std::string_view>& words, size_t first);
  Status take_data(std::string_view input, size_t line_end, int64_t bytes, const MemcachedLimits& limits,
                   std::vector<std::string_view>& words);
  void decode_key(std::vector<std::string_view>& words, size_t first, size_t flags, size_t end);
  void done(size_t consumed);
  Status refuse(std::string_view error, size_t consumed);
  Status fail(std::string_view error);
  Status incomplete(size_t needed);

  // Progress within an unfinished request; positions count from its first byte.
  size_t scanned_ = 0;        // no line end lies before
  size_t request_end_ = 0;    // once the line is known: where its data and their line end do; 0 before
  uint64_t passed_over_ = 0;  // bytes of data still to come that are too many

  size_t consumed_ = 0, needed_ = 0;
  std::string_view error_;
  bool binary_ = false, http_ = false, decoded_ = false, quiet_ = false;
  bool begun_ = false;  // a request has been read: the first byte tells the protocol
  std::string key_;
};

/// A number as memcached reads it: white space and a sign may precede it, and white space ends it, whatever follows. A
/// negative number is none where none is allowed.
std::optional<uint64_t> parse_memcached_uint(std::string_view text);
std::optional<int64_t> parse_memcached_int(std::string_view text);

}  // namespace quartet::protocol
