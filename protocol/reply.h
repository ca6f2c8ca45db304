#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "protocol/output_buffer.h"

namespace quartet::protocol {

/// Writes replies in the client's version of RESP (2 or 3). What RESP3 has a type for and RESP2 has not is written as
/// Redis writes it to RESP2 clients: maps as flat arrays, sets as arrays, doubles and verbatim strings as bulk strings,
/// booleans as 1 and 0, nulls as `$-1` or `*-1`. Aggregates are announced with their length, their items follow.
class Reply {
 public:
  explicit Reply(OutputBuffer& out, int version = 2) : out_(out), version_(version) {}

  int version() const { return version_; }
  void set_version(int version) { version_ = version; }
  OutputBuffer& buffer() { return out_; }

  void ok() { raw("+OK\r\n"); }
  void simple(std::string_view text);
  /// `text` begins with the code in capitals ("ERR syntax error"); line ends within it are written as spaces.
  void error(std::string_view text);
  void integer(int64_t value);
  void bulk(std::string_view bytes);
  void bulk(const SharedBytes& bytes);
  /// The decimal form of an integer as a bulk string.
  void bulk_integer(int64_t value);
  /// RESP3 double; to RESP2 a bulk string of the same text (see format_double).
  void number(double value);
  void boolean(bool value);
  void big_number(std::string_view digits);
  /// `format` is three characters, such as "txt".
  void verbatim(std::string_view text, std::string_view format = "txt");
  void null();
  void null_array();

  void array(size_t count);
  void map(size_t pairs);
  void set(size_t count);
  /// RESP3 push message; to RESP2 an array.
  void push(size_t count);
  /// RESP3 attribute; REQUIRES version() == 3.
  void attribute(size_t pairs);

  /// An aggregate whose length is known only after its items: begin, write the items, end.
  struct Open {
    OutputBuffer::Place place;
  };
  Open begin();
  void end_array(Open open, size_t count);
  void end_map(Open open, size_t pairs);
  void end_set(Open open, size_t count);

  /// Bytes that are a reply already.
  void raw(std::string_view bytes) { out_.append(bytes); }

  /// Errors written so far, and the code of the last one (up to the first space), for statistics and EXEC.
  uint64_t errors() const { return errors_; }
  std::string_view last_error() const { return {last_error_, last_error_length_}; }

 private:
  void header(char type, int64_t count);
  void end(Open open, char type, int64_t count);

  OutputBuffer& out_;
  int version_;
  uint64_t errors_ = 0;
  char last_error_[32] = {};
  size_t last_error_length_ = 0;
};

}  // namespace quartet::protocol
