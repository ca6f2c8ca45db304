#include "protocol/reply.h"

#include <algorithm>
#include <cassert>

#include "base/numbers.h"

namespace quartet::protocol {

namespace {

constexpr std::string_view kLineEnd = "\r\n";

}  // namespace

void Reply::line(char type, std::string_view text) {
  out_.append({&type, 1});
  out_.append(text);
  out_.append(kLineEnd);
}

void Reply::simple(std::string_view text) { line('+', text); }

void Reply::count_error(std::string_view text) {
  ++errors_;
  std::string_view code = text.substr(0, text.find(' '));
  // As Redis takes it: what is one word, or begins with a long one, has no code.
  if (version_ != kMemcached && (code.size() == text.size() || code.size() > sizeof last_error_)) code = "ERR";
  last_error_length_ = std::min(code.size(), sizeof last_error_);
  std::copy_n(code.data(), last_error_length_, last_error_);
}

void Reply::error(std::string_view text) {
  count_error(text);
  if (version_ == kMemcached && text.starts_with("NOAUTH ")) {
    out_.append("CLIENT_ERROR unauthenticated\r\n");
    return;
  }
  out_.append(version_ == kMemcached ? "SERVER_ERROR " : "-");
  // A line end would end the reply early; the parts between are appended as they are.
  for (size_t end; (end = text.find_first_of(kLineEnd)) != text.npos; text.remove_prefix(end + 1)) {
    out_.append(text.substr(0, end));
    out_.append(" ");
  }
  out_.append(text);
  out_.append(kLineEnd);
}

void Reply::bulk(const SharedBytes& bytes) {
  if (bytes.size() < OutputBuffer::kReferenceBytes) return bulk(bytes.view());
  header('$', static_cast<int64_t>(bytes.size()));
  out_.append_shared(bytes);
  out_.append(kLineEnd);
}

void Reply::bulk_in_pieces(std::string_view bytes, Pauses* pauses) {
  header('$', static_cast<int64_t>(bytes.size()));
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), BlockPool::kBlockBytes))) {
    const std::string_view piece = bytes.substr(0, BlockPool::kBlockBytes);
    breathe(pauses, work_of_bytes(piece.size()));
    out_.append(piece);
  }
  out_.append(kLineEnd);
}

void Reply::long_bulk(char type, std::string_view prefix, std::string_view bytes) {
  header(type, static_cast<int64_t>(prefix.size() + bytes.size()));
  out_.append(prefix);
  out_.append(bytes);
  out_.append(kLineEnd);
}

void Reply::bulk_integer(int64_t value) {
  char digits[kNumberChars];
  bulk({digits, format_int(value, digits)});
}

void Reply::number(double value) {
  char text[kNumberChars];
  const std::string_view formatted(text, format_double(value, text));
  version_ == 3 ? line(',', formatted) : bulk(formatted);
}

void Reply::boolean(bool value) {
  if (version_ == 3) {
    raw(value ? "#t\r\n" : "#f\r\n");
  } else {
    integer(value);
  }
}

void Reply::big_number(std::string_view digits) { version_ == 3 ? line('(', digits) : bulk(digits); }

void Reply::verbatim(std::string_view text, std::string_view format) {
  assert(format.size() == 3);
  if (version_ != 3) return bulk(text);
  const char prefix[] = {format[0], format[1], format[2], ':'};
  long_bulk('=', {prefix, sizeof prefix}, text);
}

void Reply::map(size_t pairs) {
  version_ == 3 ? header('%', static_cast<int64_t>(pairs)) : array(2 * pairs);
}

void Reply::set(size_t count) { header(version_ == 3 ? '~' : '*', static_cast<int64_t>(count)); }

void Reply::push(size_t count) { header(version_ == 3 ? '>' : '*', static_cast<int64_t>(count)); }

void Reply::attribute(size_t pairs) {
  assert(version_ == 3);
  header('|', static_cast<int64_t>(pairs));
}

Reply::Open Reply::begin() { return {out_.defer()}; }

void Reply::end(Open open, char type, size_t count) {
  char text[OutputBuffer::kDeferredBytes];
  const char* end = write_header(text, type, static_cast<int64_t>(count));
  out_.fill(open.place, {text, static_cast<size_t>(end - text)});
}

void Reply::end_array(Open open, size_t count) { end(open, '*', count); }

void Reply::end_map(Open open, size_t pairs) {
  version_ == 3 ? end(open, '%', pairs) : end(open, '*', 2 * pairs);
}

void Reply::end_set(Open open, size_t count) { end(open, version_ == 3 ? '~' : '*', count); }

}  // namespace quartet::protocol
