#include "persistence/dump_payload.h"

#include <algorithm>
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

/// So many bytes are read or written between two pauses.
constexpr size_t kPieceOfValue = 2 * 1024;
constexpr size_t kPieceOfChecksum = 16 * 1024;

uint64_t checksum(std::string_view bytes, Pauses* pauses) {
  uint64_t crc = 0;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(bytes.size(), kPieceOfChecksum))) {
    breathe(pauses, kPieceOfChecksum / 128);
    crc = crc64(crc, bytes.substr(0, kPieceOfChecksum));
  }
  return crc;
}

}  // namespace

void append_dump_payload(std::string& out, const storage::Entry& entry, bool compress, Pauses* pauses) {
  const size_t begin = out.size();
  out.push_back(static_cast<char>(RdbWriter::type_of(entry)));
  RdbWriter(out, compress).value(entry, kPieceOfValue, pauses);
  append(out, static_cast<uint16_t>(rdb::kVersion));
  append(out, checksum(std::string_view(out).substr(begin), pauses));
}

bool is_dump_payload(std::string_view payload, Pauses* pauses) {
  if (payload.size() < kFooterBytes) return false;
  const std::string_view footer = payload.substr(payload.size() - kFooterBytes);
  return load<uint16_t>(footer) <= rdb::kVersion &&
         load<uint64_t>(footer.substr(kVersionBytes)) ==
             checksum(payload.substr(0, payload.size() - kChecksumBytes), pauses);
}

storage::Entry* load_dump_payload(std::string_view payload, storage::Keyspace& keyspace, std::string_view key,
                                  Pauses* pauses) {
  RdbInput in(payload.substr(0, payload.size() - kFooterBytes));
  RdbValueReader values(in);
  const auto type = static_cast<rdb::RdbType>(in.byte());
  if (!in.ok()) return nullptr;
  values.begin(type, keyspace, key, -1);
  while (values.step(in.offset() + kPieceOfValue)) breathe(pauses, kPieceOfValue / 16);
  if (!in.ok()) return nullptr;
  storage::Entry* entry = values.entry();
  if (entry && !in.exhausted()) {
    keyspace.erase(entry);
    return nullptr;
  }
  return entry;
}

}  // namespace quartet::persistence
