#pragma once

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/pauses.h"
#include "base/shared_bytes.h"
#include "protocol/output_buffer.h"

namespace quartet::protocol {

/// Writes replies in the client's version of RESP (2 or 3). What RESP3 has a type for and RESP2 has not is written as
/// Redis writes it to RESP2 clients: maps as flat arrays, sets as arrays, doubles and verbatim strings as bulk strings,
/// booleans as 1 and 0, nulls as `$-1` or `*-1`. Aggregates are announced with their length, their items follow.
///
/// To clients of memcached's protocol only errors are written here, in the form that they know; MemcachedReply writes
/// the rest.
class Reply {
 public:
  /// The version of clients of memcached's protocol.
  static constexpr int kMemcached = 0;

  explicit Reply(OutputBuffer& out, int version = 2) : out_(out), version_(version) {}

  int version() const { return version_; }
  void set_version(int version) { version_ = version; }
  OutputBuffer& buffer() { return out_; }
  /// The output has reached its bound: what is written is dropped, and whoever only reads may stop.
  bool full() const { return out_.overrun(); }

  void ok() { raw("+OK\r\n"); }
  void simple(std::string_view text);
  /// `text` begins with the code in capitals ("ERR syntax error"); line ends within it are written as spaces.
  void error(std::string_view text);
  void integer(int64_t value) { header(':', value); }
  void bulk(std::string_view bytes) {
    if (bytes.size() > kWholeBulkBytes) return long_bulk('$', {}, bytes);
    char* begin = out_.reserve(kWholeBulkBytes + 2 * kHeaderBytes);
    char* p = write_header(begin, '$', static_cast<int64_t>(bytes.size()));
    if (!bytes.empty()) std::memcpy(p, bytes.data(), bytes.size());
    p += bytes.size();
    *p++ = '\r';
    *p++ = '\n';
    out_.commit(static_cast<size_t>(p - begin));
  }
  void bulk(const SharedBytes& bytes);
  /// Of any length, in pieces where it is long.
  void bulk(std::string_view bytes, Pauses* pauses) {
    bytes.size() <= kWholeBulkBytes ? bulk(bytes) : bulk_in_pieces(bytes, pauses);
  }
  /// The decimal form of an integer as a bulk string.
  void bulk_integer(int64_t value);
  /// RESP3 double; to RESP2 a bulk string of the same text (see format_double).
  void number(double value);
  void boolean(bool value);
  void big_number(std::string_view digits);
  /// `format` is three characters, such as "txt"; RESP2 clients do not see it.
  void verbatim(std::string_view text, std::string_view format = "txt");
  void null() { raw(version_ == 3 ? "_\r\n" : "$-1\r\n"); }
  void null_array() { raw(version_ == 3 ? "_\r\n" : "*-1\r\n"); }

  void array(size_t count) { header('*', static_cast<int64_t>(count)); }
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

  /// Counts an error that has been written as such, by the code that its text begins with.
  void count_error(std::string_view text);

  /// Errors written so far, and the code of the last one (up to the first space), for statistics and EXEC.
  uint64_t errors() const { return errors_; }
  std::string_view last_error() const { return {last_error_, last_error_length_}; }

 private:
  /// Longest bulk string that is written in one piece, in bytes; what a block has left may go unused for one.
  static constexpr size_t kWholeBulkBytes = 1024;
  /// A type, an integer and a line end fit in.
  static constexpr size_t kHeaderBytes = 24;

  static char* write_header(char* p, char type, int64_t count) {
    *p++ = type;
    if (count >= 0 && count < 10) {
      *p++ = static_cast<char>('0' + count);
    } else {
      p = std::to_chars(p, p + 20, count).ptr;
    }
    *p++ = '\r';
    *p++ = '\n';
    return p;
  }
  void header(char type, int64_t count) {
    char* begin = out_.reserve(kHeaderBytes);
    out_.commit(static_cast<size_t>(write_header(begin, type, count) - begin));
  }
  void line(char type, std::string_view text);
  void bulk_in_pieces(std::string_view bytes, Pauses* pauses);
  void long_bulk(char type, std::string_view prefix, std::string_view bytes);
  void end(Open open, char type, size_t count);

  OutputBuffer& out_;
  int version_;
  uint64_t errors_ = 0;
  char last_error_[32] = {};
  size_t last_error_length_ = 0;
};

}  // namespace quartet::protocol
