#include "protocol/request_parser.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>

#include "base/numbers.h"

namespace quartet::protocol {

namespace {

/// A parser keeps room for this many unfinished arguments between requests.
constexpr size_t kKeptPieces = 64;

/// Reads `<digits>\r` and the byte after it at `p`, for counts in canonical form of up to nine digits, which are all
/// that well-meaning clients send. Moves `p` behind them. False, with `p` unchanged, where it is anything else or not
/// all there: the slow way looks closer.
inline bool read_plain_count(const char*& p, const char* end, int64_t& count) {
  const char* q = p;
  uint32_t value = 0;
  for (; q < end; ++q) {
    const uint32_t digit = static_cast<uint8_t>(*q) - uint32_t{'0'};
    if (digit > 9) break;
    // Neither a leading zero nor a tenth digit is plain.
    if ((value == 0 && q != p) || q - p == 9) return false;
    value = value * 10 + digit;
  }
  if (q == p || end - q < 2 || *q != '\r') return false;
  count = value;
  p = q + 2;
  return true;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// White space that ends a word; vertical tab and form feed are skipped before one but do not end it.
bool ends_word(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

char unescape(char c) {
  switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
  }
}

/// Reads what follows an opening quote, up to and with the closing one, whose successor must end the word.
bool read_quoted(std::string_view line, size_t& i, char quote, std::string& word) {
  for (; i < line.size(); ++i) {
    const char c = line[i];
    if (c == quote) {
      ++i;
      return i == line.size() || is_space(line[i]);
    }
    const size_t left = line.size() - i - 1;
    if (c != '\\' || left == 0) {
      word += c;
    } else if (quote == '\'') {
      if (line[i + 1] == '\'') ++i;
      word += line[i];
    } else if (left >= 3 && line[i + 1] == 'x' && hex_value(line[i + 2]) >= 0 && hex_value(line[i + 3]) >= 0) {
      word += static_cast<char>(hex_value(line[i + 2]) * 16 + hex_value(line[i + 3]));
      i += 3;
    } else {
      word += unescape(line[++i]);
    }
  }
  return false;
}

}  // namespace

bool split_arguments(std::string_view line, std::vector<std::string>& arguments) {
  arguments.clear();
  size_t i = 0;
  while (true) {
    while (i < line.size() && is_space(line[i])) ++i;
    if (i == line.size()) return true;
    std::string& word = arguments.emplace_back();
    while (i < line.size() && !ends_word(line[i])) {
      const char c = line[i++];
      if (c != '"' && c != '\'') {
        word += c;
      } else if (!read_quoted(line, i, c, word)) {
        return false;
      } else {
        break;
      }
    }
  }
}

RequestParser::Status RequestParser::next(std::string_view input, const ParserLimits& limits,
                                          std::vector<std::string_view>& arguments) {
  consumed_ = 0;
  // Quotes are rare and a line of them may be long: no room is kept for the words.
  if (!unquoted_.empty()) unquoted_ = std::vector<std::string>();  // from {} it would keep its room
  if (input.empty()) return incomplete(1);
  return input[0] == '*' ? parse_multibulk(input, limits, arguments) : parse_inline(input, limits, arguments);
}

RequestParser::Status RequestParser::parse_multibulk(std::string_view input, const ParserLimits& limits,
                                                     std::vector<std::string_view>& arguments) {
  if (arguments_left_ < 0) {
    const Status status = read_count(input, limits);
    if (status != Status::Complete) return status;
    if (arguments_left_ <= 0) {
      complete(position_);
      return Status::Empty;
    }
  }
  const size_t first = arguments.size();
  const char* const end = input.data() + input.size();
  const int64_t bulk_limit =
      limits.authenticated ? limits.bulk_bytes : std::min(limits.bulk_bytes, limits::kUnauthenticatedBulkBytes);
  while (arguments_left_ > 0) {
    if (bulk_bytes_ < 0) {
      const char* p = input.data() + position_ + 1;
      int64_t length;
      if (p < end && p[-1] == '$' && read_plain_count(p, end, length) && length <= bulk_limit) {
        bulk_bytes_ = length;
        position_ = static_cast<size_t>(p - input.data());
      } else {
        const Status status = read_bulk_length(input, limits);
        if (status == Status::Incomplete) return suspend(input, arguments, first);
        if (status == Status::Error) {
          arguments.resize(first);
          return status;
        }
      }
    }
    const size_t length = static_cast<size_t>(bulk_bytes_);
    if (input.size() < position_ + length + 2) {
      needed_ = position_ + length + 2;
      return suspend(input, arguments, first);
    }
    arguments.emplace_back(input.data() + position_, length);
    // The two bytes behind it are taken for a line end unseen, as Redis does.
    position_ += length + 2;
    bulk_bytes_ = -1;
    --arguments_left_;
  }
  if (!pieces_.empty()) {
    arguments.insert(arguments.begin() + static_cast<ptrdiff_t>(first), pieces_.size(), {});
    std::transform(pieces_.begin(), pieces_.end(), arguments.begin() + static_cast<ptrdiff_t>(first),
                   [&](const Piece& piece) { return input.substr(piece.offset, piece.length); });
  }
  return complete(position_);
}

/// Reads `*n`.
RequestParser::Status RequestParser::read_count(std::string_view input, const ParserLimits& limits) {
  const char* p = input.data() + 1;
  int64_t count;
  if (p < input.data() + input.size() && read_plain_count(p, input.data() + input.size(), count)) {
    position_ = static_cast<size_t>(p - input.data());
  } else {
    Line line{};
    const Status status = find_line(input, '\r', 1, limits, "too big mbulk count string", line);
    if (status != Status::Complete) return status;
    const auto parsed = parse_int(input.substr(1, line.end - 1));
    if (!parsed) return fail("invalid multibulk length");
    count = *parsed;
    position_ = line.end + 2;
  }
  scanned_ = position_;
  if (count > limits.arguments) return fail("invalid multibulk length");
  if (!limits.authenticated && count > limits::kUnauthenticatedArguments)
    return fail("unauthenticated multibulk length");
  arguments_left_ = std::max<int64_t>(count, 0);
  return Status::Complete;
}

/// Reads `$n` with every check, in Redis's order.
RequestParser::Status RequestParser::read_bulk_length(std::string_view input, const ParserLimits& limits) {
  Line line{};
  const Status status = find_line(input, '\r', 1, limits, "too big bulk count string", line);
  if (status != Status::Complete) return status;
  if (input[line.begin] != '$') return fail(std::string("expected '$', got '") + input[line.begin] + "'");
  const auto length = parse_int(input.substr(line.begin + 1, line.end - line.begin - 1));
  if (!length || *length < 0 || *length > limits.bulk_bytes) return fail("invalid bulk length");
  if (!limits.authenticated && *length > limits::kUnauthenticatedBulkBytes)
    return fail("unauthenticated bulk length");
  bulk_bytes_ = *length;
  position_ = line.end + 2;
  return Status::Complete;
}

RequestParser::Status RequestParser::parse_inline(std::string_view input, const ParserLimits& limits,
                                                  std::vector<std::string_view>& arguments) {
  Line line{};
  const Status status = find_line(input, '\n', 0, limits, "too big inline request", line);
  if (status != Status::Complete) return status;
  const std::string_view text = input.substr(0, line.end);
  const size_t first = arguments.size();
  if (text.find_first_of("\"'") != text.npos) {
    if (!split_arguments(text, unquoted_)) return fail("unbalanced quotes in request");
    arguments.insert(arguments.end(), unquoted_.begin(), unquoted_.end());
  } else {
    for (size_t i = 0; i < text.size();) {
      if (is_space(text[i])) {
        ++i;
        continue;
      }
      const size_t begin = i;
      while (i < text.size() && !ends_word(text[i])) ++i;
      arguments.push_back(text.substr(begin, i - begin));
    }
  }
  complete(line.end + 1);
  return arguments.size() == first ? Status::Empty : Status::Complete;
}

/// Finds the line from position_ to `terminator` with `tail` bytes behind it. It is at most limits.inline_bytes long,
/// and has no NUL in it: to Redis a line ends for good where a NUL stands, so that it only ever becomes too long.
RequestParser::Status RequestParser::find_line(std::string_view input, char terminator, size_t tail,
                                               const ParserLimits& limits, std::string_view too_big, Line& line) {
  const size_t bound = position_ + limits.inline_bytes + 1;
  const size_t end = std::min(input.size(), bound);
  scanned_ = std::max(scanned_, position_);
  if (scanned_ < end) {
    const char* from = input.data() + scanned_;
    const auto* found = static_cast<const char*>(std::memchr(from, terminator, end - scanned_));
    const char* stop = found ? found : input.data() + end;
    if (std::memchr(from, 0, static_cast<size_t>(stop - from))) {
      scanned_ = std::numeric_limits<size_t>::max();
    } else {
      scanned_ = static_cast<size_t>(stop - input.data());
      if (found && scanned_ + tail < input.size()) {
        line = {position_, scanned_};
        return Status::Complete;
      }
      if (found) return incomplete(scanned_ + tail + 1);
    }
  }
  if (input.size() >= bound) return fail(too_big);
  return incomplete(scanned_ > end ? bound : input.size() + 1);
}

/// Remembers the arguments read by this call as positions, because the caller may move the bytes before the next one.
size_t RequestParser::memory() const {
  size_t bytes = pieces_.capacity() * sizeof(Piece) + unquoted_.capacity() * sizeof(std::string);
  for (const std::string& text : unquoted_) bytes += text.capacity();
  return bytes;
}

RequestParser::Status RequestParser::suspend(std::string_view input, std::vector<std::string_view>& arguments,
                                             size_t first) {
  for (size_t i = first; i < arguments.size(); ++i)
    pieces_.push_back({static_cast<size_t>(arguments[i].data() - input.data()), arguments[i].size()});
  arguments.resize(first);
  return Status::Incomplete;
}

RequestParser::Status RequestParser::complete(size_t consumed) {
  reset();
  consumed_ = consumed;
  return Status::Complete;
}

RequestParser::Status RequestParser::incomplete(size_t needed) {
  needed_ = needed;
  return Status::Incomplete;
}

RequestParser::Status RequestParser::fail(std::string_view reason) {
  reset();
  error_ = "ERR Protocol error: ";
  error_ += reason;
  return Status::Error;
}

void RequestParser::reset() {
  arguments_left_ = -1;
  bulk_bytes_ = -1;
  position_ = scanned_ = 0;
  if (pieces_.empty()) return;
  pieces_.clear();
  if (pieces_.capacity() > kKeptPieces) pieces_ = std::vector<Piece>();
}

}  // namespace quartet::protocol
