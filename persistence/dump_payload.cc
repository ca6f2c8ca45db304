#include "persistence/dump_payload.h"

#include <cstring>

#include "persistence/crc64.h"
#include "persistence/rdb_value_reader.h"
#include "persistence/rdb_writer.h"

namespace quartet::persistence {

namespace {

constexpr size_t kVersionBytes = 2, kChecksumBytes = 8, kFooterBytes = kVersionBytes + kChecksumBytes;

template <class T>
void append(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof bytes);
}

template <class T>
T load(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace

void append_dump_payload(std::string& out, const storage::Entry& entry, bool compress) {
  const size_t begin = out.size();
  out.push_back(static_cast<char>(RdbWriter::type_of(entry)));
  RdbWriter(out, compress).value(entry);
  append(out, static_cast<uint16_t>(rdb::kVersion));
  append(out, crc64(0, std::string_view(out).substr(begin)));
}

bool is_dump_payload(std::string_view payload) {
  if (payload.size() < kFooterBytes) return false;
  const std::string_view footer = payload.substr(payload.size() - kFooterBytes);
  return load<uint16_t>(footer) <= rdb::kVersion &&
         load<uint64_t>(footer.substr(kVersionBytes)) == crc64(0, payload.substr(0, payload.size() - kChecksumBytes));
}

storage::Entry* load_dump_payload(std::string_view payload, storage::Keyspace& keyspace, std::string_view key) {
  RdbInput in(payload.substr(0, payload.size() - kFooterBytes));
  RdbValueReader values(in);
  const auto type = static_cast<rdb::RdbType>(in.byte());
  if (!in.ok()) return nullptr;
  values.begin(type, keyspace, key, -1);
  values.step(UINT64_MAX);
  if (!in.ok()) return nullptr;
  storage::Entry* entry = values.entry();
  if (entry && !in.exhausted()) {
    keyspace.erase(entry);
    return nullptr;
  }
  return entry;
}

}  // namespace quartet::persistence
