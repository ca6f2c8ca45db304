#include "protocol/memcached_parser.h"

#include <algorithm>
#include <cstring>

#include "base/base64.h"

namespace quartet::protocol {

namespace {

constexpr std::string_view kError = "ERROR";
constexpr std::string_view kBadFormat = "CLIENT_ERROR bad command line format";
constexpr std::string_view kBadChunk = "CLIENT_ERROR bad data chunk";
constexpr std::string_view kNoreply = "noreply";
constexpr size_t kLineEndBytes = 2;
/// The first byte of a request of the binary protocol.
constexpr char kBinaryRequest = '\x80';
/// Lengths from here on are no lengths to memcached.
constexpr int64_t kImpossibleBytes = 2147483646;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// The sign and the digits of a number; nothing where it is none or does not fit in 64 bits.
std::optional<uint64_t> read_digits(std::string_view text, bool& negative) {
  size_t i = 0;
  while (i < text.size() && is_space(text[i])) ++i;
  negative = i < text.size() && text[i] == '-';
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t begin = i;
  uint64_t value = 0;
  for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; ++i)
    if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text[i] - '0', &value)) return {};
  // A NUL ends a text as well, because memcached's are C's.
  if (i == begin || (i < text.size() && !is_space(text[i]) && text[i] != '\0')) return {};
  return value;
}

enum class Verb : uint8_t { Other, ManyKeys, Storage, Cas, MetaSet, Meta, MetaDebug };

Verb verb_of(std::string_view word) {
  const auto is = [&](std::string_view name) { return word == name; };
  switch (word.size()) {
    case 2:
      if (word[0] != 'm') return Verb::Other;
      if (word[1] == 's') return Verb::MetaSet;
      if (word[1] == 'e') return Verb::MetaDebug;
      return word[1] == 'g' || word[1] == 'd' || word[1] == 'a' ? Verb::Meta : Verb::Other;
    case 3:
      if (is("get") || is("gat")) return Verb::ManyKeys;
      if (is("set") || is("add")) return Verb::Storage;
      return is("cas") ? Verb::Cas : Verb::Other;
    case 4: return is("gets") || is("gats") ? Verb::ManyKeys : Verb::Other;
    case 6: return is("append") ? Verb::Storage : Verb::Other;
    case 7: return is("replace") || is("prepend") ? Verb::Storage : Verb::Other;
    default: return Verb::Other;
  }
}

/// Whether the words of a line, from `first` on, are those of an HTTP request: "POST /path HTTP/1.1", whatever its
/// method.
bool is_http_request(const std::vector<std::string_view>& words, size_t first) {
  constexpr std::string_view kProtocol = "HTTP/";
  if (words.size() - first < 3 || !words.back().starts_with(kProtocol)) return false;
  const std::string_view version = words.back().substr(kProtocol.size());
  return !version.empty() && version.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// The first word of a line that may not have ended.
std::string_view first_word(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  return line.substr(begin, line.substr(begin, 8).find(' '));
}

}  // namespace

std::optional<uint64_t> parse_memcached_uint(std::string_view text) {
  bool negative;
  const auto value = read_digits(text, negative);
  return value && negative && *value != 0 ? std::nullopt : value;
}

std::optional<int64_t> parse_memcached_int(std::string_view text) {
  bool negative;
  const auto value = read_digits(text, negative);
  if (!value || *value > uint64_t{INT64_MAX} + negative) return {};
  return static_cast<int64_t>(negative ? 0 - *value : *value);
}

MemcachedParser::Status MemcachedParser::next(std::string_view input, const MemcachedLimits& limits,
                                              std::vector<std::string_view>& words) {
  consumed_ = 0;
  decoded_ = quiet_ = false;
  if (input.empty()) return incomplete(1);
  if (passed_over_ > 0) {
    consumed_ = static_cast<size_t>(std::min<uint64_t>(passed_over_, input.size()));
    passed_over_ -= consumed_;
    return Status::Empty;
  }
  if (input.size() < request_end_) return incomplete(request_end_);
  if (!begun_ && input[0] == kBinaryRequest) {
    binary_ = true;
    return fail({});
  }
  const size_t within = std::min(input.size(), limits.keys_line_bytes + 1);
  const auto* found = scanned_ < within
                          ? static_cast<const char*>(std::memchr(input.data() + scanned_, '\n', within - scanned_))
                          : nullptr;
  const size_t length = found ? static_cast<size_t>(found - input.data()) : within;
  // Where the verb begins later than that, it cannot be waited for: what comes of a line does not depend on how it
  // arrives.
  const auto has_many_keys = [&] {
    return verb_of(first_word(input.substr(0, limits.line_bytes + 1))) == Verb::ManyKeys;
  };
  if (length > limits.line_bytes && (length > limits.keys_line_bytes || !has_many_keys()))
    return fail("CLIENT_ERROR line too long");
  scanned_ = length;
  if (!found) return incomplete(input.size() + 1);
  begun_ = true;
  return parse_request(input, length + 1, limits, words);
}

MemcachedParser::Status MemcachedParser::parse_request(std::string_view input, size_t line_end,
                                                       const MemcachedLimits& limits,
                                                       std::vector<std::string_view>& words) {
  const size_t first = words.size();
  const char* p = input.data();
  const char* const end = p + line_end - 1 - (line_end > 1 && p[line_end - 2] == '\r');
  while (true) {
    while (p < end && *p == ' ') ++p;
    if (p == end) break;
    const char* begin = p;
    while (p < end && *p != ' ') ++p;
    words.emplace_back(begin, static_cast<size_t>(p - begin));
  }
  if (words.size() == first) return refuse(kError, line_end);
  if (is_http_request(words, first)) {
    words.resize(first);
    http_ = true;
    return fail({});
  }
  Status status = Status::Complete;
  const Verb verb = verb_of(words[first]);
  switch (verb) {
    case Verb::Storage:
    case Verb::Cas: status = parse_storage(input, line_end, limits, words, first, verb == Verb::Cas); break;
    case Verb::MetaSet: status = parse_meta_set(input, line_end, limits, words, first); break;
    case Verb::Meta:
      decode_key(words, first, 2, words.size());
      done(line_end);
      break;
    case Verb::MetaDebug:
      // It looks at one flag only.
      decode_key(words, first, 2, std::min(first + 3, words.size()));
      done(line_end);
      break;
    case Verb::ManyKeys: done(line_end); break;
    case Verb::Other:
      quiet_ = words.back() == kNoreply;
      done(line_end);
  }
  if (status != Status::Complete && status != Status::TooLarge) words.resize(first);
  return status;
}

MemcachedParser::Status MemcachedParser::parse_storage(std::string_view input, size_t line_end,
                                                       const MemcachedLimits& limits,
                                                       std::vector<std::string_view>& words, size_t first, bool cas) {
  const size_t count = words.size() - first, least = cas ? 6 : 5;
  if (count < least || count > least + 1) return refuse(kError, line_end);
  quiet_ = words.back() == kNoreply;
  const auto client_flags = parse_memcached_uint(words[first + 2]);
  const auto exptime = parse_memcached_int(words[first + 3]), bytes = parse_memcached_int(words[first + 4]);
  if (words[first + 1].size() > limits::kMemcachedKeyBytes || !client_flags || !exptime || !bytes || *bytes < 0 ||
      *bytes >= kImpossibleBytes || (cas && !parse_memcached_uint(words[first + 5])))
    return refuse(kBadFormat, line_end);
  return take_data(input, line_end, *bytes, limits, words);
}

MemcachedParser::Status MemcachedParser::parse_meta_set(std::string_view input, size_t line_end,
                                                        const MemcachedLimits& limits,
                                                        std::vector<std::string_view>& words, size_t first) {
  const size_t count = words.size() - first;
  if (count < 2) return refuse(kError, line_end);
  if (count < 3 || words[first + 1].size() > limits::kMemcachedKeyBytes) return refuse(kBadFormat, line_end);
  if (count > limits::kMemcachedMetaWords) return refuse("CLIENT_ERROR options flags too long", line_end);
  const auto bytes = parse_memcached_int(words[first + 2]);
  if (!bytes || *bytes < 0 || *bytes >= kImpossibleBytes) return refuse(kBadFormat, line_end);
  decode_key(words, first, 3, words.size());
  return take_data(input, line_end, *bytes, limits, words);
}

MemcachedParser::Status MemcachedParser::take_data(std::string_view input, size_t line_end, int64_t bytes,
                                                   const MemcachedLimits& limits,
                                                   std::vector<std::string_view>& words) {
  const auto length = static_cast<size_t>(bytes);
  if (bytes > limits.item_bytes) {
    done(line_end);
    passed_over_ = length + kLineEndBytes;
    return Status::TooLarge;
  }
  const size_t end = line_end + length + kLineEndBytes;
  if (input.size() < end) {
    request_end_ = end;
    return incomplete(end);
  }
  if (input.substr(line_end + length, kLineEndBytes) != "\r\n") return refuse(kBadChunk, end);
  words.push_back(input.substr(line_end, length));
  done(end);
  return Status::Complete;
}

void MemcachedParser::decode_key(std::vector<std::string_view>& words, size_t first, size_t flags, size_t end) {
  size_t at = first + flags;
  while (at < end && words[at].front() != 'b') ++at;
  if (at >= end) return;
  std::string_view& key = words[first + 1];
  if (key.size() > limits::kMemcachedKeyBytes) return;  // whoever executes it refuses it
  key_ = base64_decode(key).value_or(std::string());
  key = key_;
  decoded_ = true;
}

void MemcachedParser::done(size_t consumed) {
  reset();
  consumed_ = consumed;
}

MemcachedParser::Status MemcachedParser::refuse(std::string_view error, size_t consumed) {
  done(consumed);
  error_ = error;
  return quiet_ ? Status::Empty : Status::Refused;
}

MemcachedParser::Status MemcachedParser::fail(std::string_view error) {
  reset();
  error_ = error;
  return Status::Error;
}

MemcachedParser::Status MemcachedParser::incomplete(size_t needed) {
  needed_ = needed;
  return Status::Incomplete;
}

void MemcachedParser::reset() {
  scanned_ = request_end_ = 0;
  passed_over_ = 0;
}

}  // namespace quartet::protocol
