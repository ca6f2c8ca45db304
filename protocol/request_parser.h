#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"

namespace quartet::protocol {

struct ParserLimits {
  int64_t arguments = limits::kArguments;
  int64_t bulk_bytes = limits::kBulkBytes;
  size_t inline_bytes = limits::kInlineBytes;
  /// Before authentication the errors name it: "unauthenticated multibulk length", "unauthenticated bulk length".
  bool authenticated = true;
};

/// Reads requests, multibulk or inline, out of bytes that arrive in any pieces. It keeps no bytes: the caller keeps an
/// unfinished request from its first byte on and calls again with more; the parser remembers how far it got, so that
/// no byte is read twice however slowly they come.
class RequestParser {
 public:
  enum class Status {
    Complete,    ///< a request was read: its arguments were appended, consumed() bytes are done
    Empty,       ///< an empty line, `*0` or `*-1`: nothing to execute, consumed() bytes are done
    Incomplete,  ///< more bytes are needed; needed() tells how many in all, as far as is known
    Error,       ///< error() is the reply; the connection is to be closed
  };

  /// Reads the request that begins at input[0]. `input` begins with the same bytes as in the last call if that
  /// returned Incomplete. Arguments of multibulk requests are views into `input`; those of inline requests too, or,
  /// where quotes had to be resolved, into the parser until the next call.
  Status next(std::string_view input, const ParserLimits& limits, std::vector<std::string_view>& arguments);

  size_t consumed() const { return consumed_; }
  /// After Incomplete: the least length of `input` with which a next call can get further.
  size_t needed() const { return needed_; }
  /// After Error: the text of the error reply, without '-' and line end: "ERR Protocol error: ...".
  const std::string& error() const { return error_; }
  /// Forgets the progress within an unfinished request: the next call begins anew.
  void reset();

 private:
  Status parse_multibulk(std::string_view input, const ParserLimits& limits, std::vector<std::string_view>& arguments);
  Status parse_inline(std::string_view input, const ParserLimits& limits, std::vector<std::string_view>& arguments);
  Status fail(std::string_view reason);

  // Progress within an unfinished multibulk request; positions count from its first byte.
  int64_t arguments_left_ = -1;  // -1: the header `*n` has not been read
  int64_t bulk_bytes_ = -1;      // -1: the header `$n` has not been read
  size_t position_ = 0;
  struct Piece {
    size_t offset, length;
  };
  std::vector<Piece> pieces_;

  std::vector<std::string> unquoted_;
  size_t consumed_ = 0, needed_ = 0;
  std::string error_;
};

/// Splits an inline request or a configuration line into arguments by Redis's rules of quoting. False where quotes are
/// not balanced.
bool split_arguments(std::string_view line, std::vector<std::string>& arguments);

}  // namespace quartet::protocol
