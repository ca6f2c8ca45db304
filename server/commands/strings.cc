#include "base/limits.h"
#include "base/numbers.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/expiry_options.h"
#include "server/commands/argument_work.h"
#include "server/commands/families.h"
#include "server/commands/leftover.h"
#include "server/commands/working_memory.h"
#include "server/server.h"
#include "storage/string.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace quartet::server {

namespace {

using storage::Entry;
using storage::StringValue;
using storage::Type;

void reply_string(Context& ctx, Entry* entry) {
  const StringValue string(ctx.db(), entry);
  if (entry->encoding() == storage::Encoding::Int) return ctx.reply.bulk_integer(entry->integer());
  if (const SharedBytes shared = string.shared()) return ctx.reply.bulk(shared);
  ctx.reply.bulk(entry->bytes(), ctx.pauses);
}

/// Replies the value of a string, null where there is none; false where an error was written instead.
bool reply_value(Context& ctx, std::string_view key) {
  Entry* entry;
  if (!ctx.find_read(key, Type::String, entry)) return false;
  if (entry) {
    reply_string(ctx, entry);
  } else {
    ctx.reply.null();
  }
  return true;
}

void get_command(Context& ctx) { reply_value(ctx, ctx.arg(1)); }

/// Whether a value of this length may be stored; else the error is written.
bool fits(Context& ctx, int64_t length) {
  if (length <= ctx.server.config.proto_max_bulk_len) return true;
  ctx.reply.error(errors::kStringTooLong);
  return false;
}

// --- SET and its kin -------------------------------------------------------------------------------------------------

/// Stores a string with an absolute expiry (-1: none) and tells of it. `kept`: the expiry is the one that it had.
/// Where the expiry of a value comes from: the command, the value before, or `default-ttl`.
enum class ExpiryOrigin : uint8_t { Given, Kept, Default };

void store(Context& ctx, Entry* old, std::string_view key, std::string_view value, int64_t expiry_ms,
           ExpiryOrigin origin) {
  Entry* entry = StringValue::assign(ctx.db(), old, key, value, expiry_ms);
  if (origin == ExpiryOrigin::Default && expiry_ms >= 0) ctx.db().set_default_expiry(entry, expiry_ms);
  ctx.changed(key, EventClass::String, "set");
  if (expiry_ms >= 0 && origin != ExpiryOrigin::Kept) ctx.notify(key, EventClass::Generic, "expire");
}

void carry_set(Context& ctx, std::string_view key, std::string_view value, int64_t expiry_ms) {
  if (expiry_ms < 0) return ctx.effect({"SET", key, value});
  char ms[kNumberChars];
  ctx.effect({"SET", key, value, "PXAT", {ms, format_int(expiry_ms, ms)}});
}

void set_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  const std::string_view value = in.next();
  bool nx = false, xx = false, get = false;
  ExpiryOption expiry;
  while (in.more()) {
    if (!xx && in.option("NX")) {
      nx = true;
    } else if (!nx && in.option("XX")) {
      xx = true;
    } else if (in.option("GET")) {
      get = true;
    } else if (!expiry.read(in, ExpiryOption::kKeepTtl)) {
      in.fail(errors::kSyntax);
    }
  }
  if (!in.ok() || !expiry.resolve(ctx)) return;

  Entry* old;
  if (get) {
    if (!ctx.find_read(key, Type::String, old)) return;
    if (old) {
      reply_string(ctx, old);
    } else {
      ctx.reply.null();
    }
  } else {
    old = ctx.find_replace(key);
  }
  if ((nx && old) || (xx && !old)) {
    if (!get) ctx.reply.null();
    return;
  }
  const bool kept = expiry.keep && old;
  const int64_t expiry_ms = expiry.given ? expiry.at_ms : kept ? old->expiry() : ctx.default_expiry_ms();
  store(ctx, old, key, value, expiry_ms,
        expiry.given ? ExpiryOrigin::Given
        : kept       ? ExpiryOrigin::Kept
                     : ExpiryOrigin::Default);
  if ((expiry_ms >= 0 && !kept) || nx || xx || get) carry_set(ctx, key, value, expiry_ms);
  if (!get) ctx.reply.ok();
}

/// SETEX and PSETEX: `unit_ms` is what one unit of the second argument is worth.
void set_with_expiry(Context& ctx, int64_t unit_ms) {
  ExpiryOption expiry;
  expiry.set_relative(ctx.arg(2), unit_ms);
  if (!expiry.resolve(ctx)) return;
  const std::string_view key = ctx.arg(1);
  store(ctx, ctx.find_replace(key), key, ctx.arg(3), expiry.at_ms, ExpiryOrigin::Given);
  carry_set(ctx, key, ctx.arg(3), expiry.at_ms);
  ctx.reply.ok();
}

void setex_command(Context& ctx) { set_with_expiry(ctx, 1000); }
void psetex_command(Context& ctx) { set_with_expiry(ctx, 1); }

void setnx_command(Context& ctx) {
  if (ctx.find_replace(ctx.arg(1))) return ctx.reply.integer(0);
  const int64_t expiry_ms = ctx.default_expiry_ms();
  store(ctx, nullptr, ctx.arg(1), ctx.arg(2), expiry_ms, ExpiryOrigin::Default);
  carry_set(ctx, ctx.arg(1), ctx.arg(2), expiry_ms);
  ctx.reply.integer(1);
}

void getset_command(Context& ctx) {
  if (!reply_value(ctx, ctx.arg(1))) return;
  const int64_t expiry_ms = ctx.default_expiry_ms();
  store(ctx, ctx.find_replace(ctx.arg(1)), ctx.arg(1), ctx.arg(2), expiry_ms, ExpiryOrigin::Default);
  carry_set(ctx, ctx.arg(1), ctx.arg(2), expiry_ms);
}

void getdel_command(Context& ctx) {
  if (!reply_value(ctx, ctx.arg(1))) return;
  Entry* entry = ctx.find_replace(ctx.arg(1));
  if (!entry) return;
  ctx.erase(entry);
  ctx.effect({"DEL", ctx.arg(1)});
}

void getex_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  ExpiryOption expiry;
  while (in.more())
    if (!expiry.read(in, ExpiryOption::kPersist)) in.fail(errors::kSyntax);
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(key, Type::String, entry)) return;
  if (!entry) return ctx.reply.null();
  if (!expiry.resolve(ctx)) return;
  reply_string(ctx, entry);
  if (expiry.given && expiry.at_ms <= ctx.now_ms()) {
    ctx.erase(entry);
    ctx.effect({"DEL", key});
  } else if (expiry.given) {
    ctx.db().set_expiry(entry, expiry.at_ms);
    ctx.changed(key, EventClass::Generic, "expire");
    char ms[kNumberChars];
    ctx.effect({"PEXPIREAT", key, {ms, format_int(expiry.at_ms, ms)}});
  } else if (expiry.persist && entry->expires()) {
    ctx.db().set_expiry(entry, -1);
    ctx.changed(key, EventClass::Generic, "persist");
    ctx.effect({"PERSIST", key});
  }
}

// --- Many keys -------------------------------------------------------------------------------------------------------

void mget_command(Context& ctx) {
  if (ctx.takes_long(ctx.args.size())) return;
  ctx.reply.array(ctx.args.size() - 1);
  for (size_t i = 1; i < ctx.args.size(); ++i) {
    ctx.breathe();
    Entry* entry = ctx.find_read(ctx.arg(i));
    if (entry && entry->type() == Type::String) {
      reply_string(ctx, entry);
    } else {
      ctx.reply.null();
    }
  }
}

bool has_pairs(Context& ctx) {
  if (ctx.args.size() % 2 == 1) return true;
  ctx.reply.error(fmt::format("ERR wrong number of arguments for '{}' command", ctx.command.full_name));
  return false;
}

void set_pairs(Context& ctx) {
  const int64_t expiry_ms = ctx.default_expiry_ms();
  for (size_t i = 1; i < ctx.args.size(); i += 2) {
    ctx.breathe(work_of_elements(2, ctx.arg(i + 1).size()));
    store(ctx, ctx.find_replace(ctx.arg(i)), ctx.arg(i), ctx.arg(i + 1), expiry_ms, ExpiryOrigin::Default);
    if (expiry_ms >= 0) carry_set(ctx, ctx.arg(i), ctx.arg(i + 1), expiry_ms);
  }
}

void mset_command(Context& ctx) {
  if (!has_pairs(ctx) || ctx.takes_long(work_of_arguments(ctx))) return;
  set_pairs(ctx);
  ctx.reply.ok();
}

void msetnx_command(Context& ctx) {
  if (!has_pairs(ctx) || ctx.takes_long(work_of_arguments(ctx))) return;
  for (size_t i = 1; i < ctx.args.size(); i += 2) {
    ctx.breathe();
    if (ctx.find_replace(ctx.arg(i))) return ctx.reply.integer(0);
  }
  set_pairs(ctx);
  ctx.reply.integer(1);
}

// --- Parts of a string -----------------------------------------------------------------------------------------------

void strlen_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::String, entry)) return;
  ctx.reply.integer(entry ? static_cast<int64_t>(StringValue(ctx.db(), entry).size()) : 0);
}

void append_command(Context& ctx) {
  const std::string_view key = ctx.arg(1), tail = ctx.arg(2);
  Entry* entry;
  if (!ctx.find_write(key, Type::String, entry)) return;
  size_t size = tail.size();
  if (!entry) {
    StringValue::assign(ctx.db(), nullptr, key, tail);
  } else {
    StringValue string(ctx.db(), entry);
    size += string.size();
    if (!fits(ctx, static_cast<int64_t>(size)) || ctx.takes_long(work_of_bytes(string.bytes_to_write(size)))) return;
    string.append(tail, ctx.pauses);
  }
  ctx.changed(key, EventClass::String, "append");
  ctx.reply.integer(static_cast<int64_t>(size));
}

void setrange_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  const int64_t offset = in.integer();
  const std::string_view patch = in.next();
  if (!in.ok()) return;
  if (offset < 0) return ctx.reply.error("ERR offset is out of range");
  Entry* entry;
  if (!ctx.find_write(key, Type::String, entry)) return;
  const size_t old_size = entry ? StringValue(ctx.db(), entry).size() : 0;
  if (patch.empty()) return ctx.reply.integer(static_cast<int64_t>(old_size));
  if (offset > ctx.server.config.proto_max_bulk_len) return ctx.reply.error(errors::kStringTooLong);
  if (!fits(ctx, offset + static_cast<int64_t>(patch.size()))) return;
  const size_t end = static_cast<size_t>(offset) + patch.size();
  if (ctx.takes_long(work_of_bytes(entry ? StringValue(ctx.db(), entry).bytes_to_write(end) : end))) return;
  std::copy(patch.begin(), patch.end(), StringValue::writable_or_new(ctx.db(), entry, key, end, ctx.pauses) + offset);
  ctx.changed(key, EventClass::String, "setrange");
  ctx.reply.integer(static_cast<int64_t>(std::max(old_size, end)));
}

void getrange_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  int64_t start = in.integer(), end = in.integer();
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(key, Type::String, entry)) return;
  if (!entry) return ctx.reply.bulk("");
  char scratch[kNumberChars];
  const std::string_view value = StringValue(ctx.db(), entry).view(scratch);
  const auto length = static_cast<int64_t>(value.size());
  if (start < 0 && end < 0 && start > end) return ctx.reply.bulk("");
  if (start < 0) start = std::max<int64_t>(length + start, 0);
  if (end < 0) end = std::max<int64_t>(length + end, 0);
  end = std::min(end, length - 1);
  if (start > end || length == 0) return ctx.reply.bulk("");
  const std::string_view part = value.substr(static_cast<size_t>(start), static_cast<size_t>(end - start + 1));
  if (ctx.takes_long(work_of_bytes(part.size()))) return;
  ctx.reply.bulk(part, ctx.pauses);
}

void substr_command(Context& ctx) { getrange_command(ctx); }

// --- Numbers ---------------------------------------------------------------------------------------------------------

void increment(Context& ctx, int64_t by) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::String, entry)) return;
  int64_t value = 0;
  if (entry) {
    const auto old = StringValue(ctx.db(), entry).integer();
    if (!old) return ctx.reply.error(errors::kNotInteger);
    value = *old;
  }
  if (__builtin_add_overflow(value, by, &value)) return ctx.reply.error(errors::kOverflow);
  if (entry) {
    StringValue(ctx.db(), entry).set_integer(value);
  } else {
    ctx.db().create(key, Type::String, storage::Encoding::Int)->set_integer(value);
  }
  ctx.changed(key, EventClass::String, "incrby");
  ctx.reply.integer(value);
}

void incr_command(Context& ctx) { increment(ctx, 1); }
void decr_command(Context& ctx) { increment(ctx, -1); }

void incrby_command(Context& ctx) {
  Arguments in(ctx, 2);
  const int64_t by = in.integer();
  if (in.ok()) increment(ctx, by);
}

void decrby_command(Context& ctx) {
  Arguments in(ctx, 2);
  const int64_t by = in.integer();
  if (!in.ok()) return;
  if (by == INT64_MIN) return ctx.reply.error("ERR decrement would overflow");
  increment(ctx, -by);
}

void incrbyfloat_command(Context& ctx) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::String, entry)) return;
  char scratch[kNumberChars];
  std::optional<long double> value = 0;
  if (entry) value = parse_long_double(StringValue(ctx.db(), entry).view(scratch));
  const auto by = parse_long_double(ctx.arg(2));
  if (!value || !by) return ctx.reply.error(errors::kNotFloat);
  *value += *by;
  if (std::isnan(*value) || std::isinf(*value)) return ctx.reply.error("ERR increment would produce NaN or Infinity");
  const std::string text = format_long_double(*value);
  const int64_t expiry_ms = entry ? entry->expiry() : -1;
  StringValue::assign_text(ctx.db(), entry, key, text, expiry_ms);
  ctx.changed(key, EventClass::String, "incrbyfloat");
  ctx.effect({"SET", key, text, "KEEPTTL"});
  ctx.reply.bulk(text);
}

// --- LCS -------------------------------------------------------------------------------------------------------------

/// One common run of bytes, as positions in both strings, both ends included.
struct Match {
  size_t a_start, a_end, b_start, b_end;
  size_t length() const { return a_end - a_start + 1; }
};

/// The table of lengths of longest common subsequences of all prefixes of two strings.
class LcsTable {
 public:
  LcsTable(std::string_view a, std::string_view b, Pauses* pauses)
      : width_(b.size() + 1), lengths_(static_cast<uint32_t*>(std::calloc((a.size() + 1) * width_, sizeof(uint32_t)))) {
    if (!lengths_) throw std::bad_alloc();
    size_t cells = 0;  // since the last pause
    for (size_t i = 1; i <= a.size(); ++i)
      for (size_t begin = 1; begin <= b.size(); begin += kCellsAtOnce) {
        const size_t end = std::min(begin + kCellsAtOnce, width_);
        for (size_t j = begin; j < end; ++j)
          at(i, j) = a[i - 1] == b[j - 1] ? at(i - 1, j - 1) + 1 : std::max(at(i - 1, j), at(i, j - 1));
        cells += end - begin + kCellsOfWork;  // a row is work too
        if (cells < kCellsAtOnce) continue;
        breathe(pauses, cells / kCellsOfWork);
        cells = 0;
      }
  }
  uint32_t& at(size_t i, size_t j) { return lengths_[i * width_ + j]; }

  /// Cells that take as long as a unit of work (see Pauses).
  static constexpr size_t kCellsOfWork = 32;

 private:
  static constexpr size_t kCellsAtOnce = 16 * kCellsOfWork;
  struct Free {
    void operator()(uint32_t* lengths) const { std::free(lengths); }
  };

  size_t width_;
  std::unique_ptr<uint32_t[], Free> lengths_;
};

/// Walks the table back from its end: the subsequence itself, and its runs, last one first.
std::string trace(LcsTable& table, std::string_view a, std::string_view b, std::vector<Match>& runs, Pauses* pauses) {
  std::string common;
  size_t i = a.size(), j = b.size();
  bool open = false;
  while (i > 0 && j > 0) {
    breathe(pauses);
    if (a[i - 1] == b[j - 1]) {
      common += a[i - 1];
      if (open) {
        --runs.back().a_start;
        --runs.back().b_start;
      } else {
        runs.push_back({i - 1, i - 1, j - 1, j - 1});
        open = true;
      }
      --i;
      --j;
    } else {
      open = false;
      if (table.at(i - 1, j) > table.at(i, j - 1)) {
        --i;
      } else {
        --j;
      }
    }
  }
  std::reverse(common.begin(), common.end());
  return common;
}

void reply_runs(Context& ctx, const std::vector<Match>& runs, size_t length, int64_t shortest, bool with_length) {
  const auto shown = std::count_if(runs.begin(), runs.end(),
                                   [&](const Match& run) { return static_cast<int64_t>(run.length()) >= shortest; });
  ctx.reply.map(2);
  ctx.reply.bulk("matches");
  ctx.reply.array(static_cast<size_t>(shown));
  for (const Match& run : runs) {
    if (static_cast<int64_t>(run.length()) < shortest) continue;
    ctx.reply.array(with_length ? 3 : 2);
    for (const auto& [start, end] : {std::pair(run.a_start, run.a_end), std::pair(run.b_start, run.b_end)}) {
      ctx.reply.array(2);
      ctx.reply.integer(static_cast<int64_t>(start));
      ctx.reply.integer(static_cast<int64_t>(end));
    }
    if (with_length) ctx.reply.integer(static_cast<int64_t>(run.length()));
  }
  ctx.reply.bulk("len");
  ctx.reply.integer(static_cast<int64_t>(length));
}

void lcs_command(Context& ctx) {
  Entry* entries[2];
  for (int i = 0; i < 2; ++i) {
    entries[i] = ctx.find_read(ctx.arg(static_cast<size_t>(i) + 1));
    if (entries[i] && entries[i]->type() != Type::String)
      return ctx.reply.error("ERR The specified keys must contain string values");
  }
  Arguments in(ctx, 3);
  bool length_only = false, positions = false, with_length = false;
  int64_t shortest = 0;
  while (in.more()) {
    if (in.option("IDX")) {
      positions = true;
    } else if (in.option("LEN")) {
      length_only = true;
    } else if (in.option("WITHMATCHLEN")) {
      with_length = true;
    } else if (in.option("MINMATCHLEN", 1)) {
      shortest = std::max<int64_t>(in.integer(), 0);
    } else {
      in.fail(errors::kSyntax);
    }
  }
  if (!in.ok()) return;
  if (length_only && positions)
    return ctx.reply.error("ERR If you want both the length and indexes, please just use IDX.");

  char scratch[2][kNumberChars];
  const std::string_view a = entries[0] ? StringValue(ctx.db(), entries[0]).view(scratch[0]) : std::string_view();
  const std::string_view b = entries[1] ? StringValue(ctx.db(), entries[1]).view(scratch[1]) : std::string_view();
  // The table has a cell for every pair of positions; its size is bounded like that of any string.
  const unsigned __int128 cells = static_cast<unsigned __int128>(a.size() + 1) * (b.size() + 1);
  if (cells * sizeof(uint32_t) > static_cast<uint64_t>(ctx.server.config.proto_max_bulk_len))
    return ctx.reply.error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
  if (ctx.takes_long(static_cast<size_t>(cells) / LcsTable::kCellsOfWork)) return;
  const WorkingMemory memory(ctx, static_cast<size_t>(cells) * sizeof(uint32_t));
  if (!memory) return;
  const Leftover<std::unique_ptr<LcsTable>> table(ctx, std::make_unique<LcsTable>(a, b, ctx.pauses));
  if (length_only) return ctx.reply.integer((*table)->at(a.size(), b.size()));
  std::vector<Match> runs;
  const std::string common = trace(**table, a, b, runs, ctx.pauses);
  if (positions) return reply_runs(ctx, runs, common.size(), shortest, with_length);
  ctx.reply.bulk(common);
}

/// Without GET, SET reads nothing of its key.
uint32_t set_key_flags(Args args) {
  for (const std::string_view argument : args.subspan(3))
    if (equals_ignoring_case(argument, "GET")) return kKeyRW | kKeyAccess | kKeyUpdate;
  return kKeyOW | kKeyUpdate;
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "append", .arity = 3, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Adds bytes to the end of a string.",
     .syntax = "key value",
     .handler = append_command, .keys = keys::kInsert},
    {.name = "decr", .arity = 2, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Takes one from an integer.",
     .syntax = "key",
     .handler = decr_command, .keys = keys::kModify},
    {.name = "decrby", .arity = 3, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Takes a number from an integer.",
     .syntax = "key decrement",
     .handler = decrby_command, .keys = keys::kModify},
    {.name = "get", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Gives the value of a string.",
     .syntax = "key",
     .handler = get_command, .keys = keys::kRead},
    {.name = "getdel", .arity = 2, .flags = kWrite | kFast,
     .categories = kString, .group = "string", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Gives the value of a string and deletes the key.",
     .syntax = "key",
     .handler = getdel_command, .keys = keys::kPop},
    {.name = "getex", .arity = -2, .flags = kWrite | kFast,
     .categories = kString, .group = "string", .since = "6.2.0", .complexity = "O(1)",
     .summary = "Gives the value of a string and sets, changes or removes its expiry.",
     .syntax = "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
     .handler = getex_command, .keys = keys::kModify},
    {.name = "getrange", .arity = 4, .flags = kReadOnly,
     .categories = kString, .group = "string", .since = "2.4.0", .complexity = "O(N)",
     .summary = "Gives a part of a string.",
     .syntax = "key start end",
     .handler = getrange_command, .keys = keys::kRead},
    {.name = "getset", .arity = 3, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Sets a string and gives its old value.",
     .syntax = "key value",
     .handler = getset_command, .keys = keys::kModify},
    {.name = "incr", .arity = 2, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds one to an integer.",
     .syntax = "key",
     .handler = incr_command, .keys = keys::kModify},
    {.name = "incrby", .arity = 3, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Adds a number to an integer.",
     .syntax = "key increment",
     .handler = incrby_command, .keys = keys::kModify},
    {.name = "incrbyfloat", .arity = 3, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Adds to a floating point number.",
     .syntax = "key increment",
     .handler = incrbyfloat_command, .keys = keys::kModify},
    {.name = "lcs", .arity = -3, .flags = kReadOnly,
     .categories = kString, .group = "string", .since = "7.0.0", .complexity = "O(N*M)",
     .summary = "Finds the longest subsequence that two strings have in common.",
     .syntax = "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
     .handler = lcs_command, .keys = keys::kReadTwo},
    {.name = "mget", .arity = -2, .flags = kReadOnly | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives the values of several strings.",
     .syntax = "key [key ...]",
     .handler = mget_command, .keys = keys::kReadAll, .tips = tips::kMultiShard},
    {.name = "mset", .arity = -3, .flags = kWrite | kDenyOom,
     .categories = kString, .group = "string", .since = "1.0.1", .complexity = "O(N)",
     .summary = "Sets several strings at once.",
     .syntax = "key value [key value ...]",
     .handler = mset_command, .keys = keys::kOverwriteEverySecond, .tips = tips::kMultiShardSucceed},
    {.name = "msetnx", .arity = -3, .flags = kWrite | kDenyOom,
     .categories = kString, .group = "string", .since = "1.0.1", .complexity = "O(N)",
     .summary = "Sets several strings at once if none of the keys exists.",
     .syntax = "key value [key value ...]",
     .handler = msetnx_command, .keys = keys::kCreateEverySecond, .tips = tips::kMultiShardMin},
    {.name = "psetex", .arity = 4, .flags = kWrite | kDenyOom,
     .categories = kString, .group = "string", .since = "2.6.0", .complexity = "O(1)",
     .summary = "Sets a string with an expiry in milliseconds.",
     .syntax = "key milliseconds value",
     .handler = psetex_command, .keys = keys::kOverwrite},
    {.name = "set", .arity = -3, .flags = kWrite | kDenyOom,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Sets a string, with conditions and an expiry if asked for.",
     .syntax = "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | "
               "PXAT unix-time-milliseconds | KEEPTTL]",
     .handler = set_command, .keys = keys::kVariable, .key_flags = set_key_flags},
    {.name = "setex", .arity = 4, .flags = kWrite | kDenyOom,
     .categories = kString, .group = "string", .since = "2.0.0", .complexity = "O(1)",
     .summary = "Sets a string with an expiry in seconds.",
     .syntax = "key seconds value",
     .handler = setex_command, .keys = keys::kOverwrite},
    {.name = "setnx", .arity = 3, .flags = kWrite | kDenyOom | kFast,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(1)",
     .summary = "Sets a string if the key does not exist.",
     .syntax = "key value",
     .handler = setnx_command, .keys = keys::kCreate},
    {.name = "setrange", .arity = 4, .flags = kWrite | kDenyOom,
     .categories = kString, .group = "string", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Overwrites a part of a string.",
     .syntax = "key offset value",
     .handler = setrange_command, .keys = keys::kUpdate},
    {.name = "strlen", .arity = 2, .flags = kReadOnly | kFast,
     .categories = kString, .group = "string", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Gives the length of a string.",
     .syntax = "key",
     .handler = strlen_command, .keys = keys::kInspect},
    {.name = "substr", .arity = 4, .flags = kReadOnly,
     .categories = kString, .group = "string", .since = "1.0.0", .complexity = "O(N)",
     .summary = "Gives a part of a string; the old name of GETRANGE.",
     .syntax = "key start end",
     .handler = substr_command, .keys = keys::kRead},
};

}  // namespace

std::span<const Command> string_commands() { return kCommands; }

}  // namespace quartet::server
