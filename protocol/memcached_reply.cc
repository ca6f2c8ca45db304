#include "protocol/memcached_reply.h"

#include <charconv>
#include <cstring>

namespace quartet::protocol {

namespace {

constexpr std::string_view kLineEnd = "\r\n";
/// Data up to here are written in one piece with their line, in bytes; what a block has left may go unused for them.
constexpr size_t kWholeBytes = 1024;
/// A space and the longest number.
constexpr size_t kNumberBytes = 1 + 20;

char* put(char* p, std::string_view text) {
  std::memcpy(p, text.data(), text.size());
  return p + text.size();
}

char* put_number(char* p, uint64_t number) {
  *p++ = ' ';
  if (number < 10) {
    *p++ = static_cast<char>('0' + number);
    return p;
  }
  return std::to_chars(p, p + kNumberBytes, number).ptr;
}

}  // namespace

void MemcachedReply::line(std::string_view text) {
  out_.append(text);
  out_.append(kLineEnd);
}

void MemcachedReply::error(std::string_view text) {
  reply_.count_error(text);
  line(text);
}

void MemcachedReply::value(std::string_view key, uint32_t client_flags, const Data& data, const uint64_t* cas) {
  constexpr std::string_view kValue = "VALUE ";
  const size_t size = data.size();
  const bool whole = size <= kWholeBytes;
  char* const begin = out_.reserve(kValue.size() + key.size() + 3 * kNumberBytes + kLineEnd.size() +
                                   (whole ? size + kLineEnd.size() : 0));
  char* p = put(put(begin, kValue), key);
  p = put_number(put_number(p, client_flags), size);
  if (cas) p = put_number(p, *cas);
  p = put(p, kLineEnd);
  if (whole && size > 0) p = put(p, data.bytes);
  if (whole) p = put(p, kLineEnd);
  out_.commit(static_cast<size_t>(p - begin));
  if (!whole) item({}, data);
}

void MemcachedReply::meta_value(std::string_view flags, const Data& data) {
  char head[2 + 2 * kNumberBytes];
  const char* end = put_number(put(head, "VA"), data.size());
  out_.append({head, static_cast<size_t>(end - head)});
  out_.append(flags);
  item(kLineEnd, data);
}

void MemcachedReply::item(std::string_view head, const Data& data) {
  out_.append(head);
  if (data.shared) {
    out_.append_shared(data.shared);
  } else {
    out_.append(data.bytes);
  }
  out_.append(kLineEnd);
}

}  // namespace quartet::protocol
