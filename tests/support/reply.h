// A reply of the server as a value, and the reader that takes replies out of a byte stream.
//
// The types are told apart as the wire tells them apart (a RESP2 null bulk is not a RESP3 null), because
// clients depend on it. Format: https://redis.io/docs/reference/protocol-spec/ (RESP2 and RESP3).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quartet::test {

enum class Kind {
  simple_string,  // +
  error,          // -
  integer,        // :
  bulk,           // $
  null_bulk,      // $-1
  null_array,     // *-1
  null,           // _
  real,           // ,
  boolean,        // #
  big_number,     // (
  verbatim,       // =
  array,          // *
  map,            // %
  set,            // ~
  push,           // >
  attribute,      // |
};

struct Reply {
  Kind kind = Kind::null;
  std::string text;          // scalars: the payload as it was on the wire (":5" is "5", "#t" is "t")
  std::string format;        // verbatim strings: the three letters before the colon
  std::vector<Reply> items;  // aggregates; a map holds key, value, key, value

  bool is_aggregate() const { return kind >= Kind::array; }
  bool operator==(const Reply&) const = default;
};

// The reply on one line, in the notation of the spec files (tests/spec/README.md).
std::string to_text(const Reply& reply);

// `bytes` between double quotes, with \" \\ \n \r \t and \xHH for what is not printable ASCII.
std::string quoted(std::string_view bytes);

// The command as RESP: an array of bulk strings.
std::string encode_command(const std::vector<std::string>& arguments);

// Takes whole replies out of bytes that arrive in pieces.
class ReplyReader {
 public:
  void feed(std::string_view bytes);

  // The next whole reply; nothing while it is unfinished, and never again once the stream is broken().
  std::optional<Reply> next();

  // True when the bytes are not RESP. The reader can't find its place again.
  bool broken() const { return broken_; }

  // Bytes that are fed but not yet returned as replies.
  std::string_view pending() const { return std::string_view(buffer_).substr(position_); }

 private:
  std::optional<std::string_view> line(std::size_t& at) const;
  std::optional<Reply> value(std::size_t& at);
  std::optional<Reply> counted(char type, std::string_view count_text, std::size_t& at);
  std::optional<Reply> refuse();

  std::string buffer_;
  std::size_t position_ = 0;
  bool broken_ = false;
};

}  // namespace quartet::test
