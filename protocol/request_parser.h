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

/// Reads requests, multibulk or inline, out of bytes that arrive in any pieces (the format is described at
/// https://redis.io/docs/reference/protocol-spec). It keeps no bytes: the caller keeps an unfinished request from its
/// first byte on and calls again with more; the parser remembers how far it got, so that no byte is read twice however
/// slowly they come.
///
/// What a request means does not depend on how its bytes were cut. A line that is longer than `inline_bytes` is an
/// error even where it arrived whole.
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
  /// where quotes had to be resolved, into the parser until the next call. Nothing is appended unless Complete.
  /// `limits` may change from call to call: after a request that may authenticate the client, the caller has to
  /// execute it before it asks for the next one.
  Status next(std::string_view input, const ParserLimits& limits, std::vector<std::string_view>& arguments);

  size_t consumed() const { return consumed_; }
  /// After Incomplete: the least length of `input` with which a next call can get further.
  size_t needed() const { return needed_; }
  /// After Error: the text of the error reply, without '-' and line end: "ERR Protocol error: ...".
  /// It may hold any byte that the client sent but NUL, line ends included: Reply::error makes them harmless.
  const std::string& error() const { return error_; }
  /// Forgets the progress within an unfinished request: the next call begins anew.
  void reset();
  /// What it takes of memory beside itself, in bytes. Between requests that is little, whatever it has read.
  size_t memory() const;

 private:
  struct Line {
    size_t begin, end;
  };
  Status parse_multibulk(std::string_view input, const ParserLimits& limits, std::vector<std::string_view>& arguments);
  Status parse_inline(std::string_view input, const ParserLimits& limits, std::vector<std::string_view>& arguments);
  Status read_count(std::string_view input, const ParserLimits& limits);
  Status read_bulk_length(std::string_view input, const ParserLimits& limits);
  Status find_line(std::string_view input, char terminator, size_t tail, const ParserLimits& limits,
                   std::string_view too_big, Line& line);
  Status suspend(std::string_view input, std::vector<std::string_view>& arguments, size_t first);
  Status complete(size_t consumed);
  Status incomplete(size_t needed);
  Status fail(std::string_view reason);

  // Progress within an unfinished request; positions count from its first byte.
  int64_t arguments_left_ = -1;  // -1: the header `*n` has not been read
  int64_t bulk_bytes_ = -1;      // -1: the header `$n` has not been read
  size_t position_ = 0;          // where the header or the bytes that come next begin
  size_t scanned_ = 0;           // no line end lies between position_ and here
  struct Piece {
    size_t offset, length;
  };
  std::vector<Piece> pieces_;  // the arguments read by earlier calls

  std::vector<std::string> unquoted_;
  size_t consumed_ = 0, needed_ = 0;
  std::string error_;
};

/// Splits an inline request or a configuration line into arguments by Redis's rules of quoting, and puts them in the
/// place of what `arguments` held: in "..." a backslash escapes (\n, \r, \t, \b, \a, \xHH, and any other character
/// itself), in '...' it escapes only the quote; behind a closing quote comes white space or the end. False where quotes
/// are not balanced.
bool split_arguments(std::string_view line, std::vector<std::string>& arguments);

}  // namespace quartet::protocol
