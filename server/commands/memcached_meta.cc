// The meta commands of memcached's protocol. Replies and errors are those of memcached 1.6.

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/base64.h"
#include "base/limits.h"
#include "base/numbers.h"
#include "protocol/memcached_parser.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/memcached_items.h"
#include "server/server.h"
#include "storage/access.h"
#include "storage/string.h"

namespace quartet::server {

namespace {

using protocol::MemcachedReply;
using protocol::parse_memcached_int;
using protocol::parse_memcached_uint;
using storage::Entry;
using storage::Note;
using storage::Type;

constexpr std::string_view kBadToken = "CLIENT_ERROR bad token in command line format";
constexpr std::string_view kBadFlag = "CLIENT_ERROR invalid or duplicate flag";

// --- Requests --------------------------------------------------------------------------------------------------------

/// The flags of a request. All commands know all of them, and each looks at those that concern it.
struct MetaFlags {
  std::string_view key;  // as the server knows it
  Args words;            // in their order, which is that of the reply
  bool base64 = false, quiet = false, value = false, untouched = false, invalidate = false, reads_state = false;
  char mode = 0;
  uint32_t client_flags = 0;
  std::optional<int64_t> exptime, stub_exptime, recache;
  std::optional<uint64_t> cas;
  uint64_t delta = 1, initial = 0;
  std::string_view opaque;

  /// Reads them; the error is empty where they are right. `key` is the key as the parser leaves it: empty where it
  /// could not be decoded.
  std::string_view read(std::string_view named_key, Args flags) {
    key = named_key;
    words = flags;
    uint64_t seen = 0;
    for (const std::string_view word : words) {
      constexpr std::string_view kKnown = "bcfhklqstuvCDFIJLMNOPRT";
      const char letter = word.front();
      if (kKnown.find(letter) == kKnown.npos) return "CLIENT_ERROR invalid flag";
      const uint64_t bit = uint64_t{1} << (letter - 'A');
      if (seen & bit) return "CLIENT_ERROR duplicate flag";
      seen |= bit;
    }
    // Of several errors the last is told.
    std::string_view last_error;
    for (const std::string_view word : words)
      if (const std::string_view error = read_flag(word.front(), word.substr(1)); !error.empty()) last_error = error;
    return last_error;
  }

  std::string_view check_opaque() const {
    return opaque.size() > limits::kMemcachedOpaqueBytes ? "CLIENT_ERROR opaque token too long" : std::string_view();
  }

 private:
  std::string_view read_flag(char letter, std::string_view token) {
    const auto number = [&](auto& into, auto parsed, std::string_view error) {
      if (!parsed) return error;
      into = *parsed;
      return std::string_view();
    };
    switch (letter) {
      case 'b': base64 = true; return key.empty() ? "CLIENT_ERROR error decoding key" : std::string_view();
      case 'h':
      case 'l': reads_state = true; break;
      case 'q': quiet = true; break;
      case 'u': untouched = true; break;
      case 'v': value = true; break;
      case 'I': invalidate = true; break;
      case 'O': opaque = token; break;
      case 'C': return number(cas, parse_memcached_uint(token), kBadToken);
      case 'D': return number(delta, parse_memcached_uint(token), "CLIENT_ERROR invalid numeric delta value");
      case 'J': return number(initial, parse_memcached_uint(token), "CLIENT_ERROR invalid numeric initial value");
      case 'N': return number(stub_exptime, parse_memcached_int(token), kBadToken);
      case 'R': return number(recache, parse_memcached_int(token), kBadToken);
      case 'T': return number(exptime, parse_memcached_int(token), kBadToken);
      case 'F': {
        const auto flags = parse_memcached_uint(token);
        if (!flags) return errors::memcached::kFormat;
        client_flags = static_cast<uint32_t>(*flags);
        break;
      }
      case 'M':
        if (token.size() != 1) return "CLIENT_ERROR incorrect length for M token";
        mode = token.front();
        break;
      default: break;
    }
    return {};
  }
};

/// The flags of a reply, each with a space before it, in bounds that those of a request give.
class ReplyFlags {
 public:
  ReplyFlags& add(char letter) {
    text_[size_++] = ' ';
    text_[size_++] = letter;
    return *this;
  }
  ReplyFlags& add(char letter, std::string_view token) {
    add(letter);
    std::memcpy(text_ + size_, token.data(), token.size());
    size_ += token.size();
    return *this;
  }
  ReplyFlags& add(char letter, int64_t number) {
    add(letter);
    size_ += format_int(number, text_ + size_);
    return *this;
  }
  /// The key, with how it is written, and the opaque token, which every reply gives back.
  void add_request(const MetaFlags& flags, std::string_view word) {
    if (word.front() == 'O') add('O', word.substr(1));
    if (word.front() != 'k') return;
    if (flags.base64) {
      add('k', base64_encode(flags.key)).add('b');
    } else {
      add('k', flags.key);
    }
  }
  std::string_view text() const { return {text_, size_}; }

 private:
  // Each letter once: a key, an opaque token and numbers.
  char text_[limits::kMemcachedKeyBytes + 8 + limits::kMemcachedOpaqueBytes + limits::kMemcachedMetaWords * 24];
  size_t size_ = 0;
};

class MetaReply : public MemcachedReply {
 public:
  explicit MetaReply(Context& ctx) : MemcachedReply(ctx.reply), ctx_(ctx) {}

  void code(std::string_view code, std::string_view flags) {
    ctx_.reply.raw(code);
    line(flags);
  }
  /// A reply with no flags but those of the request.
  void outcome(std::string_view text, const MetaFlags& flags) {
    ReplyFlags given;
    for (const std::string_view word : flags.words) given.add_request(flags, word);
    code(text, given.text());
  }

 private:
  Context& ctx_;
};

/// Reads `<command> <key> <flag>...`; false, with the error written, where something is wrong. `bad_flag` is what is
/// said of any flag that is wrong, where that is said without distinction.
bool read_request(Context& ctx, MetaFlags& flags, std::string_view bad_flag = {}) {
  MemcachedReply reply(ctx.reply);
  const auto refuse = [&](std::string_view error) {
    reply.error(error);
    return false;
  };
  if (ctx.args.size() < 2) return refuse(errors::memcached::kWords);
  if (!memcached_key_fits(ctx.arg(1))) return refuse(errors::memcached::kFormat);
  if (ctx.args.size() > limits::kMemcachedMetaWords)
    return refuse(bad_flag.empty() ? "CLIENT_ERROR options flags are too long" : "CLIENT_ERROR options flags too long");
  if (const std::string_view error = flags.read(ctx.arg(1), ctx.args.subspan(2)); !error.empty())
    return refuse(bad_flag.empty() ? error : bad_flag);
  return true;
}

// --- mg --------------------------------------------------------------------------------------------------------------

int64_t seconds_since_access(const Context& ctx, const Entry& item) {
  // The clock of last access counts seconds in 24 bits; under an LFU policy there is none.
  if (ctx.db().counts_accesses()) return 0;
  return storage::LruAccess::idle(item.access(), ctx.now);
}

/// Whether an item expires before its time to live would be over if it began now; that is a time of day where it is
/// long.
bool expires_within(const Context& ctx, int64_t expiry_ms, int64_t exptime) {
  if (expiry_ms < 0 || exptime <= 0) return false;
  return seconds_left(ctx, expiry_ms) < seconds_left(ctx, memcached_expiry(ctx, exptime));
}

/// An item while the flags of a request take effect on it. They do so in their order, so that what is told of the
/// expiry is that before or after a change of it.
struct FlaggedItem {
  FlaggedItem(Entry* of, bool is_new) : item(of), created(is_new), expiry_ms(of->expiry()) {}

  /// What a flag does that mg and ma both know.
  void take(Context& ctx, const MetaFlags& flags, std::string_view word) {
    switch (word.front()) {
      case 'T': expiry_ms = memcached_expiry(ctx, *flags.exptime); break;
      case 'N':
        if (created) expiry_ms = memcached_expiry(ctx, *flags.stub_exptime);
        break;
      case 't': given.add('t', seconds_left(ctx, expiry_ms)); break;
      case 'c': given.add('c', static_cast<int64_t>(unique_number(ctx, item))); break;
      default: given.add_request(flags, word);
    }
  }
  /// The new expiry takes effect, and of an item that was made the feed carries all.
  void finish(Context& ctx, std::string_view key) {
    if (!created) return retime(ctx, key, item, expiry_ms);
    if (expiry_ms >= 0) ctx.db().set_expiry(item, expiry_ms);
    carry_item(ctx, key, item);
  }

  Entry* item;
  const bool created;
  int64_t expiry_ms;
  ReplyFlags given;
};

/// An item of no bytes, which the client has won the right to fill; its expiry follows with the flags.
Entry* vivify(Context& ctx, const MetaFlags& flags) {
  Entry* item = make_stub(ctx, flags.key, {.won = true});
  ctx.changed(flags.key, EventClass::String, "set");
  return item;
}

void meta_get_command(Context& ctx) {
  MetaFlags flags;
  if (!read_request(ctx, flags)) return;
  MetaReply reply(ctx);
  if (const std::string_view error = flags.check_opaque(); !error.empty()) return reply.error(error);
  MemcachedStatistics& stats = memcached_stats(ctx);
  ++stats.cmd_meta;
  ++stats.cmd_get;
  Entry* item = ctx.find_untouched(flags.key);
  if (item && item->type() != Type::String) {
    if (flags.stub_exptime) return ctx.reply.error(errors::kWrongType);
    item = nullptr;
  }
  ++(item ? stats.get_hits : stats.get_misses);
  const bool created = !item && flags.stub_exptime;
  if (!item && !created) return flags.quiet ? void() : reply.outcome("EN", flags);
  const bool fetched = item && item->fetched();
  const int64_t idle_s = item ? seconds_since_access(ctx, *item) : 0;
  if (created) item = vivify(ctx, flags);
  if (!flags.untouched) ctx.touch(item);

  bool wins = created;
  const Note before = item->note();
  FlaggedItem got(item, created);
  ReplyFlags& given = got.given;
  char scratch[kNumberChars];
  for (const std::string_view word : flags.words) {
    switch (word.front()) {
      case 'R':
        if (!before.won && expires_within(ctx, got.expiry_ms, *flags.recache)) wins = true;
        break;
      case 's': given.add('s', static_cast<int64_t>(data_of(ctx, got.item, scratch).size())); break;
      case 'f': given.add('f', int64_t{before.client_flags}); break;
      case 'l': given.add('l', idle_s); break;
      case 'h': given.add('h', int64_t{fetched}); break;
      default: got.take(ctx, flags, word);
    }
  }
  if (!created && before.won) given.add('Z');
  if (before.stale) given.add('X');
  if (before.stale && !before.won) wins = true;
  if (wins) given.add('W');
  if (flags.value) {
    reply.meta_value(given.text(), data_of(ctx, got.item, scratch));
  } else {
    reply.code("HD", given.text());
  }

  if (wins && !created) {
    Note note = got.item->note();
    note.won = true;
    ctx.db().set_note(got.item, note);
  }
  got.finish(ctx, flags.key);
}

/// Whether a request changes data: it sets an expiry, or makes an item where there is none.
size_t choose_meta_get(Args args) {
  for (size_t i = 2; i < args.size(); ++i)
    if (args[i].front() == 'T' || args[i].front() == 'N') return 1;
  return 0;
}

// --- ms --------------------------------------------------------------------------------------------------------------

bool store_mode(char letter, StoreMode& mode) {
  switch (letter) {
    case 0:
    case 'S': mode = StoreMode::Set; return true;
    case 'E': mode = StoreMode::Add; return true;
    case 'A': mode = StoreMode::Append; return true;
    case 'P': mode = StoreMode::Prepend; return true;
    case 'R': mode = StoreMode::Replace; return true;
    default: return false;
  }
}

/// The parser has seen to the key and the length: `ms <key> <bytes> <flag>...`, and the data last.
void meta_set_command(Context& ctx) {
  MetaReply reply(ctx);
  MetaFlags flags;
  MemcachedStatistics& stats = memcached_stats(ctx);
  ++stats.cmd_meta;
  ++stats.cmd_set;
  std::string_view error = flags.read(ctx.arg(1), ctx.args.subspan(3, ctx.args.size() - 4));
  StoreRequest request{.key = flags.key, .data = ctx.args.back()};
  if (error.empty() && !store_mode(flags.mode, request.mode)) error = "CLIENT_ERROR invalid mode for ms M token";
  if (error.empty()) error = flags.check_opaque();
  if (!error.empty()) return reply.error(error);
  request.client_flags = flags.client_flags;
  request.exptime = flags.exptime.value_or(0);
  request.cas = flags.cas;
  request.invalidate = flags.invalidate;

  Entry* stored;
  const StoreOutcome outcome = store_item(ctx, request, stored);
  if (outcome == StoreOutcome::WrongType) return ctx.reply.error(errors::kWrongType);
  if (outcome == StoreOutcome::Stored && flags.quiet) return;
  ReplyFlags given;
  for (const std::string_view word : flags.words) {
    if (word.front() == 'c')
      given.add('c', stored ? static_cast<int64_t>(unique_number(ctx, stored)) : 0);
    else
      given.add_request(flags, word);
  }
  static constexpr std::string_view kCodes[] = {"HD", "NS", "EX", "NF"};
  reply.code(kCodes[static_cast<size_t>(outcome)], given.text());
}

// --- md --------------------------------------------------------------------------------------------------------------

/// Keeps an item as one that is to be made anew.
void mark_stale(Context& ctx, const MetaFlags& flags, Entry* item) {
  ctx.db().before_change(item);
  Note note = item->note();
  note.stale = true;
  note.won = false;
  note.cas = 0;
  ctx.db().set_note(item, note);
  ctx.changed(flags.key, EventClass::String, "set");
  // redis-server adds nothing to the value.
  ctx.effect({"APPEND", flags.key, ""}, note);
  if (flags.exptime) retime(ctx, flags.key, item, memcached_expiry(ctx, *flags.exptime));
}

void meta_delete_command(Context& ctx) {
  MetaFlags flags;
  if (!read_request(ctx, flags, kBadFlag)) return;
  MetaReply reply(ctx);
  if (const std::string_view error = flags.check_opaque(); !error.empty()) return reply.error(error);
  MemcachedStatistics& stats = memcached_stats(ctx);
  ++stats.cmd_meta;
  Entry* entry = flags.invalidate ? ctx.find_write(flags.key) : ctx.find_replace(flags.key);
  if (!entry) {
    ++stats.delete_misses;
    return reply.outcome("NF", flags);
  }
  const bool item = entry->type() == Type::String;
  if (flags.cas && (!item || *flags.cas == 0 || *flags.cas != entry->note().cas)) return reply.outcome("EX", flags);
  if (flags.invalidate) {
    if (!item) return ctx.reply.error(errors::kWrongType);
    mark_stale(ctx, flags, entry);
  } else {
    ++stats.delete_hits;
    delete_entry(ctx, flags.key, entry);
  }
  if (!flags.quiet) reply.outcome("HD", flags);
}

// --- ma --------------------------------------------------------------------------------------------------------------

void meta_arithmetic_command(Context& ctx) {
  MetaFlags flags;
  if (!read_request(ctx, flags, kBadFlag)) return;
  MetaReply reply(ctx);
  const bool up = flags.mode == 0 || flags.mode == 'I' || flags.mode == '+';
  if (!up && flags.mode != 'D' && flags.mode != '-') return reply.error("CLIENT_ERROR invalid mode for ma M token");
  if (const std::string_view error = flags.check_opaque(); !error.empty()) return reply.error(error);
  ++memcached_stats(ctx).cmd_meta;
  uint64_t result = flags.initial;
  Entry* item;
  bool created = false;
  switch (count_item(ctx, flags.key, flags.delta, up, flags.cas.value_or(0), result, item)) {
    case CountOutcome::Done: break;
    case CountOutcome::Exists: return reply.outcome("EX", flags);
    case CountOutcome::NotNumeric: return reply.error(errors::memcached::kNotNumeric);
    case CountOutcome::WrongType: return ctx.reply.error(errors::kWrongType);
    case CountOutcome::NotFound:
      if (!flags.stub_exptime) return reply.outcome("NF", flags);
      created = true;
  }
  const std::string digits = std::to_string(result);
  if (created) {
    ++memcached_stats(ctx).total_items;
    item = storage::StringValue::assign(ctx.db(), nullptr, flags.key, digits);
    ctx.changed(flags.key, EventClass::String, "set");
  }
  FlaggedItem counted(item, created);
  for (const std::string_view word : flags.words) counted.take(ctx, flags, word);
  counted.finish(ctx, flags.key);
  if (flags.quiet && !created) return;
  if (flags.value) {
    reply.meta_value(counted.given.text(), {digits});
  } else {
    reply.code("HD", counted.given.text());
  }
}

// --- mn, me ----------------------------------------------------------------------------------------------------------

void meta_noop_command(Context& ctx) { MemcachedReply(ctx.reply).line("MN"); }

void meta_debug_command(Context& ctx) {
  MemcachedReply reply(ctx.reply);
  if (ctx.args.size() < 2 || ctx.arg(1).empty() || !memcached_key_fits(ctx.arg(1)))
    return reply.error(errors::memcached::kFormat);
  const std::string_view key = ctx.arg(1);
  Entry* item = ctx.find_untouched(key);
  if (!item || item->type() != Type::String) return reply.line("EN");
  const bool base64 = ctx.args.size() > 2 && ctx.arg(2).front() == 'b';
  // memcached counts the expiry as the time since it.
  const int64_t exp = item->expires() ? -seconds_left(ctx, item->expiry()) : -1;
  const int64_t idle_s = seconds_since_access(ctx, *item);
  const bool fetched = item->fetched();
  const uint64_t number = unique_number(ctx, item);
  reply.line(fmt::format("ME {} exp={} la={} cas={} fetch={} cls=1 size={}",
                         base64 ? base64_encode(key) : std::string(key), exp, idle_s, number, fetched ? "yes" : "no",
                         storage::memory_of(*item)));
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr uint32_t kReads = kMemcached | kReadOnly | kFast;

constexpr Command k_meta_get_subcommands[] = {
    {.name = "get", .arity = -1, .flags = kReads,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Gives an item and what is known of it.",
     .syntax = "key [flag ...]",
     .handler = meta_get_command, .keys = keys::kMark},
    {.name = "change", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Does the same with the flags T or N, which change it.",
     .syntax = "key [flag ...]",
     .handler = meta_get_command, .keys = keys::kModify},
};

constexpr Command kCommands[] = {
    {.name = "ma", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds to an item that is a number, or takes away from it.",
     .syntax = "key [flag ...]",
     .handler = meta_arithmetic_command, .keys = keys::kModify},
    {.name = "md", .arity = -1, .flags = kMemcached | kWrite | kFast,
     .categories = kKeyspace, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Deletes an item, or marks it as stale.",
     .syntax = "key [flag ...]",
     .handler = meta_delete_command, .keys = keys::kDelete},
    {.name = "me", .arity = -1, .flags = kReads,
     .categories = kKeyspace, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Tells what is known of an item, for people.",
     .syntax = "key [flag]",
     .handler = meta_debug_command, .keys = keys::kMark},
    {.name = "mg", .arity = -1, .flags = kReads,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Gives an item and what is known of it.",
     .syntax = "key [flag ...]",
     .subcommands = k_meta_get_subcommands, .choose = choose_meta_get},
    {.name = "mn", .arity = -1, .flags = kMemcached | kFast | kLoading | kStale,
     .categories = kConnection, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Answers, so that a client knows that all before has been done.",
     .handler = meta_noop_command},
    {.name = "ms", .arity = -1, .flags = kMemcachedStore,
     .categories = kString, .group = kMemcachedGroup, .since = "1.0.0", .complexity = "O(1)",
     .summary = "Stores an item.",
     .syntax = "key bytes [flag ...]",
     .handler = meta_set_command, .keys = keys::kUpdate},
};

}  // namespace

std::span<const Command> memcached_meta_commands() { return kCommands; }

}  // namespace quartet::server
