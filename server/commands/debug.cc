#include <fmt/format.h>

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "server/arguments.h"
#include "server/commands/families.h"
#include "server/commands/help.h"
#include "server/server.h"
#include "storage/access.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"
#include "storage/string.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::Type;

// --- Digests ---------------------------------------------------------------------------------------------------------

/// A digest of data that does not depend on how the data lies in memory: equal data has equal digests, on every server.
/// What has an order is digested in it; what has none is summed up by exclusive or.
class Digest {
 public:
  Digest() = default;
  /// Of several texts, each with its length, so that ("ab", "c") and ("a", "bc") differ.
  explicit Digest(std::initializer_list<std::string_view> parts) {
    std::string text;
    for (const std::string_view part : parts) {
      text += std::to_string(part.size()) + ":";
      text += part;
    }
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes_.data());
  }
  std::string_view view() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
  std::string hex() const {
    std::string text;
    for (const unsigned char byte : bytes_) text += fmt::format("{:02x}", byte);
    return text;
  }
  Digest& operator^=(const Digest& other) {
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] ^= other.bytes_[i];
    return *this;
  }

 private:
  std::array<unsigned char, SHA_DIGEST_LENGTH> bytes_{};
};

Digest digest_of(storage::Keyspace& db, Entry& entry) {
  Digest digest;
  switch (entry.type()) {
    case Type::String: {
      char scratch[kNumberChars];
      digest = Digest{storage::StringValue(db, &entry).view(scratch)};
      break;
    }
    case Type::List: {
      const storage::ListValue list(db, &entry);
      list.for_each(0, list.size(), [&](std::string_view element) {
        digest = Digest{digest.view(), element};
        return true;
      });
      break;
    }
    case Type::Set:
      storage::SetValue(db, &entry).for_each([&](std::string_view member) {
        digest ^= Digest{member};
        return true;
      });
      break;
    case Type::Hash:
      storage::HashValue(db, &entry).for_each([&](std::string_view field, std::string_view value) {
        digest ^= Digest{field, value};
        return true;
      });
      break;
    case Type::SortedSet:
      storage::SortedSetValue(db, &entry).for_each([&](std::string_view member, double score) {
        digest ^= Digest{member, format_double(score)};
        return true;
      });
      break;
  }
  // Whether the key expires is part of its data; when, is not, because copies may differ by a moment.
  return Digest{storage::type_name(entry.type()), digest.view(), entry.expires() ? "expires" : ""};
}

void debug_digest(Context& ctx) {
  if (!ctx.enters_all()) return;
  Digest all;
  for (const auto& db : ctx.server.databases) {
    ctx.server.tells_of(ctx, db->index());
    db->for_each([&](Entry& entry) {
      if (!entry.expired(ctx.now_ms()))
        all ^= Digest{std::to_string(db->index()), entry.key(), digest_of(*db, entry).view()};
      return true;
    });
  }
  ctx.reply.simple(all.hex());
}

void debug_digest_value(Context& ctx) {
  if (!ctx.enters(ctx.db())) return;
  ctx.server.tells_of(ctx, ctx.db().index());
  ctx.reply.array(ctx.args.size() - 2);
  for (const std::string_view key : ctx.args.subspan(2)) {
    Entry* entry = ctx.db().find(key, ctx.now_ms());
    ctx.reply.simple((entry ? digest_of(ctx.db(), *entry) : Digest()).hex());
  }
}

// --- Looking at a key ------------------------------------------------------------------------------------------------

std::string describe_list(Context& ctx, const Entry& entry) {
  size_t nodes = 1, bytes = 0;
  if (entry.encoding() == storage::Encoding::Table) {
    const auto& table = entry.table<storage::ListTable>();
    nodes = table.nodes();
    for (size_t node = 0; node < nodes; ++node) bytes += table.elements(node).size();
  } else {
    bytes = entry.bytes().size();
  }
  return fmt::format(" ql_nodes:{} ql_avg_node:{:.2f} ql_listpack_max:{} ql_compressed:0 ql_uncompressed_size:{}",
                     nodes, static_cast<double>(storage::length_of(entry)) / static_cast<double>(nodes),
                     ctx.db().thresholds().list_max_listpack_size, bytes);
}

void debug_object(Context& ctx) {
  if (!ctx.enters(ctx.db())) return;
  ctx.server.tells_of(ctx, ctx.db().index());
  const Entry* entry = ctx.db().find(ctx.arg(2), ctx.now_ms());
  if (!entry) return ctx.reply.error(errors::kNoSuchKey);
  ctx.reply.simple(fmt::format("Value at:{} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}{}",
                               static_cast<const void*>(entry), storage::encoding_name(*entry),
                               storage::memory_of(*entry), entry->access(),
                               storage::LruAccess::idle(entry->access(), ctx.now),
                               entry->type() == Type::List ? describe_list(ctx, *entry) : std::string()));
}

// --- Making situations -----------------------------------------------------------------------------------------------

void debug_sleep(Context& ctx) {
  constexpr double kLongestSeconds = 86400;
  const double seconds = std::clamp(std::strtod(std::string(ctx.arg(2)).c_str(), nullptr), 0.0, kLongestSeconds);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  ctx.reply.ok();
}

void debug_populate(Context& ctx) {
  Arguments in(ctx, 2);
  const int64_t count = in.integer_in(0, INT64_MAX, errors::kNotPositive);
  const std::string_view prefix = in.more() ? in.next() : "key";
  const int64_t size = in.more() ? in.integer_in(0, ctx.server.config.proto_max_bulk_len, errors::kNotPositive) : 0;
  if (!in.ok() || !ctx.enters(ctx.db())) return;
  std::string key, value;
  for (int64_t i = 0; i < count; ++i) {
    key = fmt::format("{}:{}", prefix, i);
    ctx.db().find(key, ctx.now_ms());  // which erases it where it has expired, but not while clients are paused
    if (ctx.db().find_raw(key)) continue;
    value = fmt::format("value:{}", i);
    if (size > 0) value.resize(static_cast<size_t>(size));
    storage::StringValue::assign(ctx.db(), nullptr, key, value);
    ctx.server.key_changed(ctx.db(), key);
  }
  ctx.reply.ok();
}

void debug_slices(Context& ctx) {
  Arguments in(ctx, 2);
  const int64_t work = in.integer_in(0, INT64_MAX, errors::kNotPositive);
  const int64_t slice_us = in.integer_in(0, 1'000'000, errors::kNotPositive);
  if (!in.ok()) return;
  ctx.server.long_commands.set_bounds({static_cast<size_t>(work), slice_us});
  ctx.reply.ok();
}

void debug_set_active_expire(Context& ctx) {
  ctx.server.active_expire = std::atoi(std::string(ctx.arg(2)).c_str()) != 0;
  ctx.reply.ok();
}

/// Lists have one kind of node, so there is nothing to set; the value is checked for the sake of those who set it.
void debug_quicklist_packed_threshold(Context& ctx) {
  const auto bytes = parse_memory(ctx.arg(2));
  if (!bytes || *bytes < 0 || *bytes >= int64_t{1} << 32)
    return ctx.reply.error("ERR argument must be a memory value bigger than 1 and smaller than 4gb");
  ctx.reply.ok();
}

void debug_log(Context& ctx) {
  ctx.server.log.warning("DEBUG LOG: {}", ctx.arg(2));
  ctx.reply.ok();
}

void debug_error(Context& ctx) { ctx.reply.error(ctx.arg(2)); }

/// The reply types by name, each with a fixed value.
struct ProtocolExample {
  std::string_view name;
  void (*write)(protocol::Reply&);
};

constexpr ProtocolExample kProtocolExamples[] = {
    {"string", [](protocol::Reply& reply) { reply.bulk("Hello World"); }},
    {"integer", [](protocol::Reply& reply) { reply.integer(12345); }},
    {"double", [](protocol::Reply& reply) { reply.number(3.141); }},
    {"bignum", [](protocol::Reply& reply) { reply.big_number("1234567999999999999999999999999999999"); }},
    {"null", [](protocol::Reply& reply) { reply.null(); }},
    {"array",
     [](protocol::Reply& reply) {
       reply.array(3);
       for (int i = 0; i < 3; ++i) reply.integer(i);
     }},
    {"set",
     [](protocol::Reply& reply) {
       reply.set(3);
       for (int i = 0; i < 3; ++i) reply.integer(i);
     }},
    {"map",
     [](protocol::Reply& reply) {
       reply.map(3);
       for (int i = 0; i < 3; ++i) {
         reply.integer(i);
         reply.boolean(i == 1);
       }
     }},
    {"attrib",
     [](protocol::Reply& reply) {
       if (reply.version() == 3) {
         reply.attribute(1);
         reply.bulk("key-popularity");
         reply.array(2);
         reply.bulk("key:123");
         reply.integer(90);
       }
       reply.bulk("Some real reply following the attribute");
     }},
    {"push",
     [](protocol::Reply& reply) {
       if (reply.version() < 3) return reply.error("ERR RESP2 is not supported by this command");
       reply.push(2);
       reply.bulk("server-cpu-usage");
       reply.integer(42);
       reply.bulk("Some real reply following the push reply");
     }},
    {"verbatim", [](protocol::Reply& reply) { reply.verbatim("This is a verbatim\nstring"); }},
    {"true", [](protocol::Reply& reply) { reply.boolean(true); }},
    {"false", [](protocol::Reply& reply) { reply.boolean(false); }},
};

void debug_protocol(Context& ctx) {
  for (const ProtocolExample& example : kProtocolExamples)
    if (equals_ignoring_case(ctx.arg(2), example.name)) return example.write(ctx.reply);
  ctx.reply.error(
      "ERR Wrong protocol type name. Please use one of the following: "
      "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
}

void debug_help(Context& ctx) {
  reply_help(ctx, {"DIGEST",
                   "    Give a digest of all data.",
                   "DIGEST-VALUE <key> [<key> ...]",
                   "    Give the digests of values.",
                   "ERROR <string>",
                   "    Answer with this error.",
                   "LOG <message>",
                   "    Write <message> to the log.",
                   "OBJECT <key>",
                   "    Show how a key's value lies in memory.",
                   "POPULATE <count> [<prefix>] [<size>]",
                   "    Make <count> strings named <prefix>:<n> ('key' by default), of <size> bytes.",
                   "PROTOCOL <type>",
                   "    Answer with a value of this type: string, integer, double, bignum, null, array,",
                   "    set, map, attrib, push, verbatim, true, false.",
                   "QUICKLIST-PACKED-THRESHOLD <size>",
                   "    Accepted for tests' sake; lists have one kind of node.",
                   "SET-ACTIVE-EXPIRE <0|1>",
                   "    Stop or go on to remove expired keys that nobody asks for.",
                   "SLEEP <seconds>",
                   "    Let the whole server sleep.",
                   "SLICES <work> <microseconds>",
                   "    Divide commands that have so much work before them (4096 by default, in elements),",
                   "    into slices of so long (250 by default); 0: as short as can be."});
}

struct DebugSubcommand {
  std::string_view name;
  size_t least, most;  // arguments behind the name
  void (*handler)(Context&);
};

constexpr DebugSubcommand kSubcommands[] = {
    {"digest", 0, 0, debug_digest},
    {"digest-value", 0, SIZE_MAX, debug_digest_value},
    {"error", 1, 1, debug_error},
    {"help", 0, 0, debug_help},
    {"log", 1, 1, debug_log},
    {"object", 1, 1, debug_object},
    {"populate", 1, 3, debug_populate},
    {"protocol", 1, 1, debug_protocol},
    {"quicklist-packed-threshold", 1, 1, debug_quicklist_packed_threshold},
    {"set-active-expire", 1, 1, debug_set_active_expire},
    {"sleep", 1, 1, debug_sleep},
    {"slices", 2, 2, debug_slices},
};

void debug_command(Context& ctx) {
  const std::string& allowed = ctx.server.config.enable_debug_command;
  const bool local = ctx.session.loopback || ctx.session.unix_socket;
  if (allowed == "no" || (allowed == "local" && !local))
    return ctx.reply.error(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from "
        "a local connection, otherwise you need to set this option in the configuration file, and then restart the "
        "server.");
  const size_t arguments = ctx.args.size() - 2;
  for (const DebugSubcommand& sub : kSubcommands)
    if (equals_ignoring_case(ctx.arg(1), sub.name) && arguments >= sub.least && arguments <= sub.most)
      return sub.handler(ctx);
  ctx.reply.error(fmt::format("ERR unknown subcommand or wrong number of arguments for '{}'. Try DEBUG HELP.",
                              ctx.arg(1).substr(0, 128)));
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "debug", .arity = -2, .flags = kAdmin | kNoScript | kLoading | kStale | kEveryDatabase,
     .group = "server", .since = "1.0.0", .complexity = "Depends on the subcommand",
     .summary = "Looks into the server and makes situations for tests.",
     .handler = debug_command},
};

}  // namespace

std::span<const Command> debug_commands() { return kCommands; }

}  // namespace quartet::server
