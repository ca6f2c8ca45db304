#include "reply.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>

namespace quartet::test {

namespace {

std::optional<Kind> scalar_kind(char type) {
  switch (type) {
    case '+': return Kind::simple_string;
    case '-': return Kind::error;
    case ':': return Kind::integer;
    case ',': return Kind::real;
    case '#': return Kind::boolean;
    case '(': return Kind::big_number;
    case '_': return Kind::null;
    default: return std::nullopt;
  }
}

Kind aggregate_kind(char type) {
  switch (type) {
    case '%': return Kind::map;
    case '~': return Kind::set;
    case '>': return Kind::push;
    case '|': return Kind::attribute;
    default: return Kind::array;
  }
}

std::string items_text(const Reply& reply, std::string_view open, std::string_view close) {
  std::string out(open);
  for (const Reply& item : reply.items) out += ' ' + to_text(item);
  out += ' ';
  out += close;
  return out;
}

// Simple strings and errors stand bare where that reads back as the same text.
std::string line_text(char type, const std::string& text) {
  bool bare = !text.empty();
  for (char c : text) bare = bare && (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-');
  return std::string(1, type) + (bare ? text : quoted(text));
}

}  // namespace

std::string quoted(std::string_view bytes) {
  std::string out = "\"";
  for (unsigned char c : bytes) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (c >= 0x20 && c < 0x7f) out += static_cast<char>(c);
        else out += fmt::format("\\x{:02x}", c);
    }
  }
  return out + '"';
}

std::string to_text(const Reply& reply) {
  switch (reply.kind) {
    case Kind::simple_string: return line_text('+', reply.text);
    case Kind::error: return line_text('-', reply.text);
    case Kind::integer: return ':' + reply.text;
    case Kind::bulk: return quoted(reply.text);
    case Kind::null_bulk: return "$-1";
    case Kind::null_array: return "*-1";
    case Kind::null: return "_";
    case Kind::real: return ',' + reply.text;
    case Kind::boolean: return '#' + reply.text;
    case Kind::big_number: return '(' + reply.text;
    case Kind::verbatim: return '=' + reply.format + quoted(reply.text);
    case Kind::array: return items_text(reply, "[", "]");
    case Kind::map: return items_text(reply, "{", "}");
    case Kind::set: return items_text(reply, "~[", "]");
    case Kind::push: return items_text(reply, ">[", "]");
    case Kind::attribute: return items_text(reply, "|{", "}");
  }
  return {};
}

std::string encode_command(const std::vector<std::string>& arguments) {
  std::string out = fmt::format("*{}\r\n", arguments.size());
  for (const std::string& argument : arguments) {
    out += fmt::format("${}\r\n", argument.size());
    out += argument;
    out += "\r\n";
  }
  return out;
}

void ReplyReader::feed(std::string_view bytes) {
  if (position_ == buffer_.size()) {
    buffer_.clear();
    position_ = 0;
  }
  buffer_.append(bytes);
}

std::optional<Reply> ReplyReader::next() {
  if (broken_) return std::nullopt;
  std::size_t at = position_;
  std::optional<Reply> reply = value(at);
  if (reply) position_ = at;
  return reply;
}

std::optional<Reply> ReplyReader::refuse() {
  broken_ = true;
  return std::nullopt;
}

std::optional<std::string_view> ReplyReader::line(std::size_t& at) const {
  const std::size_t end = buffer_.find("\r\n", at);
  if (end == std::string::npos) return std::nullopt;
  const std::string_view found = std::string_view(buffer_).substr(at, end - at);
  at = end + 2;
  return found;
}

std::optional<Reply> ReplyReader::value(std::size_t& at) {
  const auto header = line(at);
  if (!header) return std::nullopt;
  if (header->empty()) return refuse();
  const char type = header->front();
  const std::string_view rest = header->substr(1);
  if (const auto kind = scalar_kind(type)) return Reply{*kind, std::string(rest), {}, {}};
  if (std::string_view("$=*%~>|").find(type) == std::string_view::npos) return refuse();
  return counted(type, rest, at);
}

std::optional<Reply> ReplyReader::counted(char type, std::string_view count_text, std::size_t& at) {
  long count = 0;
  const auto [end, error] = std::from_chars(count_text.data(), count_text.data() + count_text.size(), count);
  if (error != std::errc() || end != count_text.data() + count_text.size() || count < -1) return refuse();
  if (count == -1) {
    if (type == '$') return Reply{Kind::null_bulk, {}, {}, {}};
    if (type == '*') return Reply{Kind::null_array, {}, {}, {}};
    return refuse();
  }
  if (type == '$' || type == '=') {
    const auto length = static_cast<std::size_t>(count);
    if (buffer_.size() < at + length + 2) return std::nullopt;
    if (buffer_.compare(at + length, 2, "\r\n") != 0) return refuse();
    std::string bytes = buffer_.substr(at, length);
    at += length + 2;
    if (type == '$') return Reply{Kind::bulk, std::move(bytes), {}, {}};
    if (bytes.size() < 4 || bytes[3] != ':') return refuse();
    return Reply{Kind::verbatim, bytes.substr(4), bytes.substr(0, 3), {}};
  }
  Reply reply{aggregate_kind(type), {}, {}, {}};
  if (type == '%' || type == '|') count *= 2;
  for (long i = 0; i < count; ++i) {
    auto item = value(at);
    if (!item) return std::nullopt;
    reply.items.push_back(std::move(*item));
  }
  return reply;
}

}  // namespace quartet::test
