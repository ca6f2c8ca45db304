#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace quartet::server {

struct Config;
struct Context;
using Handler = void (*)(Context&);
using Args = std::span<const std::string_view>;

/// What the dispatcher and COMMAND INFO know of a command beside its name. The names are Redis's.
enum CommandFlag : uint32_t {
  kWrite = 1 << 0,
  kReadOnly = 1 << 1,
  kDenyOom = 1 << 2,
  kAdmin = 1 << 3,
  kPubSub = 1 << 4,
  kNoScript = 1 << 5,
  kBlocking = 1 << 6,
  kLoading = 1 << 7,
  kStale = 1 << 8,
  kSkipMonitor = 1 << 9,
  kSkipSlowlog = 1 << 10,
  kAsking = 1 << 11,
  kFast = 1 << 12,
  kNoAuth = 1 << 13,
  kMayReplicate = 1 << 14,
  kNoMandatoryKeys = 1 << 15,
  kAllowBusy = 1 << 16,
  kNoMulti = 1 << 17,
  kNoAsyncLoading = 1 << 18,
  kMovableKeys = 1 << 19,  ///< derived where a key specification cannot be told by position alone
  // Not shown by COMMAND: how the dispatcher treats it.
  kRunsScript = 1 << 20,        ///< runs a script, of which it depends what it does
  kRunsInMulti = 1 << 24,       ///< executed, not queued, inside MULTI (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET)
  kEndsMulti = 1 << 26,         ///< executes a transaction: refusing it discards the transaction
  kSelects = 1 << 27,           ///< its argument is the database of the session from then on
  kRunsInSubscribed = 1 << 25,  ///< allowed to a RESP2 client that has subscribed
  kMemcached = 1 << 28,         ///< of memcached's protocol, and no command of RESP
  kInternal = 1 << 29,          ///< what a client cannot call by its name
  kEveryDatabase = 1 << 30,     ///< sees or changes all databases: for users who may reach all
  kChecksPassword = 1u << 31,   ///< may have to wait where an address sends many wrong ones
};

/// ACL categories. @read, @write, @fast, @slow, @blocking, @admin (with @dangerous) and @pubsub follow from the flags;
/// the rest is declared.
enum AclCategory : uint32_t {
  kKeyspace = 1 << 0,
  kString = 1 << 1,
  kBitmap = 1 << 2,
  kList = 1 << 3,
  kSet = 1 << 4,
  kSortedSet = 1 << 5,
  kHash = 1 << 6,
  kHyperLogLog = 1 << 7,
  kGeo = 1 << 8,
  kStream = 1 << 9,
  kConnection = 1 << 10,
  kTransaction = 1 << 11,
  kScripting = 1 << 12,
  kDangerous = 1 << 13,
  kPubSubCategory = 1 << 14,
  kAdminCategory = 1 << 15,  // without the flag kAdmin
};

/// What a command does to the keys that a specification finds.
enum KeyFlag : uint32_t {
  kKeyRO = 1 << 0,
  kKeyRW = 1 << 1,
  kKeyOW = 1 << 2,
  kKeyRM = 1 << 3,
  kKeyAccess = 1 << 4,
  kKeyUpdate = 1 << 5,
  kKeyInsert = 1 << 6,
  kKeyDelete = 1 << 7,
  kKeyNotKey = 1 << 8,
  kKeyIncomplete = 1 << 9,
  kKeyVariable = 1 << 10,
};

/// Where a command's keys stand, as COMMAND INFO's key specifications tell: a beginning and a way to go on.
struct KeySpec {
  enum class Begin : uint8_t { Index, Keyword, Unknown };
  enum class Find : uint8_t { Range, KeyNum, Unknown };
  uint32_t flags = 0;
  Begin begin = Begin::Index;
  int index = 0;             // Index: of the first key (or of numkeys); Keyword: where the search starts
  std::string_view keyword;  // Keyword
  Find find = Find::Range;
  // Range: last key relative to the first, negative from the end; KeyNum: numkeys relative to the beginning
  int last = 0;
  int step = 1;   // Range and KeyNum: distance between keys
  int limit = 0;  // Range: 0 or 1 = all the rest, n = an nth of the rest; KeyNum: first key relative to the beginning
  std::string_view notes = {};
};

constexpr KeySpec key_at(int index, uint32_t flags) {
  return {flags, KeySpec::Begin::Index, index, {}, KeySpec::Find::Range, 0, 1, 0};
}
constexpr KeySpec keys_from(int index, int last, int step, uint32_t flags) {
  return {flags, KeySpec::Begin::Index, index, {}, KeySpec::Find::Range, last, step, 0};
}
constexpr KeySpec keys_counted_at(int index, uint32_t flags) {
  return {flags, KeySpec::Begin::Index, index, {}, KeySpec::Find::KeyNum, 0, 1, 1};
}
constexpr KeySpec keyword_key(std::string_view keyword, int start, uint32_t flags) {
  return {flags, KeySpec::Begin::Keyword, start, keyword, KeySpec::Find::Range, 0, 1, 0};
}
constexpr KeySpec unknown_keys(uint32_t flags) {
  return {flags, KeySpec::Begin::Unknown, 0, {}, KeySpec::Find::Unknown, 0, 1, 0};
}

/// Finds the positions of the keys in a request where specifications cannot (SORT ... STORE). False: the arguments make
/// no sense.
using GetKeys = bool (*)(Args args, std::vector<int>& positions);

/// Which of its subcommands a request is, where the second word does not tell.
using Choose = size_t (*)(Args args);

/// What a request does to its keys (KeyFlag bits) where that depends on its options, as SET's GET.
using GetKeyFlags = uint32_t (*)(Args args);

/// Which arguments are channels, as the ACL's rules for channels take them.
struct ChannelSpec {
  int first = 0;          // 0: none are
  bool all = false;       // all arguments from there on
  bool patterns = false;  // they are patterns of channels
};

/// Finds the databases, beside that of the connection, that a request names; what names none is left out.
using GetDatabases = void (*)(Args args, const Config& config, std::vector<int>& databases);

/// The one declaration of a command. Everything that is told or derived of it comes from here: dispatch, COMMAND, ACL
/// categories, docs/COMMANDS.md, statistics, the fuzzers' dictionaries. Tables of these stand at the foot of their
/// family's file; what keys and tips most have is in command_presets.h.
struct Command {
  std::string_view name;  // lower case
  int arity;              // counts the name; negative: at least that many. Of a subcommand: counts both names
  uint32_t flags = 0;
  uint32_t categories = 0;
  std::string_view group = {};  // "string", "list", ...: as COMMAND DOCS says
  std::string_view since = {};
  std::string_view complexity = {};
  std::string_view summary = {};  // in our own words
  std::string_view syntax = {};   // after the name: "key value [NX | XX] [EX seconds | PX milliseconds]"
  Handler handler = nullptr;      // null where only subcommands exist
  std::span<const KeySpec> keys = {};
  std::span<const Command> subcommands = {};
  GetKeys get_keys = nullptr;
  std::span<const std::string_view> tips = {};
  GetKeyFlags key_flags = nullptr;  // where a specification says kKeyVariable
  /// The argument that is looked up within the value of the first key (negative: counted from the end), or 0: it is
  /// fetched into the cache together with the keys.
  int element = 0;
  ChannelSpec channels = {};
  GetDatabases databases = nullptr;
  Choose choose = nullptr;
};

}  // namespace quartet::server
