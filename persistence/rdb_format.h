#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

/// The RDB format: one point in time of all databases as one file. Version 10, that of Redis 7.0, is what is written;
/// versions 1 to 10 are read. After its public descriptions
/// (https://github.com/sripathikrishnan/redis-rdb-tools/wiki/Redis-RDB-Dump-File-Format, https://rdb.fnordig.de) and
/// after what a running redis-server 7.0 writes and loads.
///
///   file:    "REDIS" [ version: four digits ] [ record ] ... [ kEof ] [ CRC-64 ]
///   CRC-64:                                            of all before it, little endian; from version 5 on
///   record:  kAux string string                        a fact about the file: redis-ver, ctime, ...; or a note of the
///                                                      entry that follows (note_format.h)
///            kSelectDatabase length                    the entries that follow are in this database
///            kResizeDatabase length length             how many entries it has, and how many of them expire
///            [ expiry ][ idle ][ freq ] type key value one entry, where `type` is one of RdbType
///   expiry:  kExpiryMs, 64 bits of ms since the epoch | kExpirySeconds, 32 bits of seconds; little endian
///   idle:    kIdle length                              seconds since the last access
///   freq:    kFrequency, one byte                      counter of accesses
///
///   length:  00xxxxxx                                  6 bits
///            01xxxxxx +1                               14 bits, big endian
///            10000000 +4, 10000001 +8                  32 and 64 bits, big endian
///            11xxxxxx                                  no length: the string that follows is encoded (kInteger8, ...)
///   string:  length, so many bytes
///            11000000 +1, 11000001 +2, 11000010 +4     the decimal text of an integer, little endian
///            11000011, length n, length m, n bytes     m bytes compressed by LZF
///
/// What a value is, by type:
///
///   String                                 string
///   List, Set                              length, so many strings
///   Hash                                   length, so many pairs of strings
///   SortedSet                              length, so many pairs of a string and a score as text:
///                                          [ length: 8 ][ text ]; length 253 is NaN, 254 is inf, 255 is -inf,
///                                          without a text
///   SortedSet2                             the same with the score as a double, little endian
///   ListQuicklist                          length, so many strings, each a ziplist
///   ListQuicklist2                         length, so many pairs of a length (kPlainNode: the string is an element,
///                                          kPackedNode: it is a listpack) and a string
///   all others                             a string that holds a whole ziplist, listpack, intset or zipmap
///                                          (rdb_blobs.h)
namespace quartet::persistence::rdb {

inline constexpr std::string_view kMagic = "REDIS";
inline constexpr int kVersion = 10;
/// The first version that ends with a checksum.
inline constexpr int kChecksumVersion = 5;

enum class Opcode : uint8_t {
  Function = 245,
  FunctionPreview = 246,
  ModuleAux = 247,
  Idle = 248,
  Frequency = 249,
  Aux = 250,
  ResizeDatabase = 251,
  ExpiryMs = 252,
  ExpirySeconds = 253,
  SelectDatabase = 254,
  Eof = 255,
};

enum class RdbType : uint8_t {
  String = 0,
  List = 1,
  Set = 2,
  SortedSet = 3,
  Hash = 4,
  SortedSet2 = 5,
  Module = 6,
  Module2 = 7,
  HashZipmap = 9,
  ListZiplist = 10,
  SetIntset = 11,
  SortedSetZiplist = 12,
  HashZiplist = 13,
  ListQuicklist = 14,
  Stream = 15,
  HashListpack = 16,
  SortedSetListpack = 17,
  ListQuicklist2 = 18,
  Stream2 = 19,
};

/// The first byte of an encoded string.
inline constexpr uint8_t kInteger8 = 0xc0, kInteger16 = 0xc1, kInteger32 = 0xc2, kLzf = 0xc3;
/// The first byte of a length of 32 and of 64 bits.
inline constexpr uint8_t kLength32 = 0x80, kLength64 = 0x81;
/// What the node of a ListQuicklist2 holds.
inline constexpr uint64_t kPlainNode = 1, kPackedNode = 2;
/// The lengths of a text score that stand for no text.
inline constexpr uint8_t kScoreNan = 253, kScoreInfinite = 254, kScoreMinusInfinite = 255;

/// A listpack is [ bytes: 32 ][ elements: 16; 65535 = count them ][ elements as in storage/packed.h ][ 0xff ].
inline constexpr size_t kListpackHeaderBytes = 6;
inline constexpr uint8_t kBlobEnd = 0xff;

}  // namespace quartet::persistence::rdb
