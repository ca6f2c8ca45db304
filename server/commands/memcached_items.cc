#include "server/commands/memcached_items.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/numbers.h"
#include "protocol/memcached_parser.h"
#include "server/server.h"
#include "storage/string.h"

namespace quartet::server {

namespace {

using storage::Entry;
using storage::Note;
using storage::StringValue;
using storage::Type;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

bool is_item(const Entry* entry) { return entry && entry->type() == Type::String; }

bool passed(const Context& ctx, int64_t expiry_ms) { return expiry_ms >= 0 && expiry_ms <= ctx.now_ms(); }

void carry_set(Context& ctx, std::string_view key, std::string_view value, int64_t expiry_ms, Note note) {
  note.cas = 0;
  char ms[kNumberChars];
  const std::string_view at = expiry_ms < 0 ? std::string_view() : std::string_view(ms, format_int(expiry_ms, ms));
  if (note.empty())
    return expiry_ms < 0 ? ctx.effect({"SET", key, value}) : ctx.effect({"SET", key, value, "PXAT", at});
  expiry_ms < 0 ? ctx.effect({"SET", key, value}, note) : ctx.effect({"SET", key, value, "PXAT", at}, note);
}

/// Whether a store that names a number may go on; `stale` is set where it does with an older one.
StoreOutcome compare_numbers(Context& ctx, const StoreRequest& request, Entry*& old, bool& stale) {
  MemcachedStatistics& stats = memcached_stats(ctx);
  if (!old) {
    ++stats.cas_misses;
    return StoreOutcome::NotFound;
  }
  const uint64_t number = is_item(old) ? old->note().cas : 0;
  if (number != 0 && number == *request.cas) {
    ++stats.cas_hits;
    return StoreOutcome::Stored;
  }
  ++stats.cas_badval;
  if (!request.invalidate || !is_item(old) || *request.cas == 0 || *request.cas >= unique_number(ctx, old))
    return StoreOutcome::Exists;
  stale = true;
  return StoreOutcome::Stored;
}

StoreOutcome extend(Context& ctx, const StoreRequest& request, Entry*& stored) {
  Entry* old = ctx.find_write(request.key);
  if (!old) return StoreOutcome::NotStored;
  if (!is_item(old)) return StoreOutcome::WrongType;
  if (request.cas && *request.cas != 0 && *request.cas != old->note().cas) {
    ++memcached_stats(ctx).cas_badval;
    return StoreOutcome::Exists;
  }
  StringValue string(ctx.db(), old);
  const size_t before = string.size();
  if (before + request.data.size() > static_cast<size_t>(ctx.server.memcached_item_bytes(ctx.db().index())))
    return StoreOutcome::NotStored;
  if (request.mode == StoreMode::Append) {
    string.append(request.data);
  } else {
    char* const bytes = string.writable(before + request.data.size());
    std::memmove(bytes + request.data.size(), bytes, before);
    std::copy(request.data.begin(), request.data.end(), bytes);
  }
  // It counts as a new item, with the flags of the old one.
  const bool renewed = string.entry->note().stale || string.entry->note().won;
  const Note note{.client_flags = string.entry->client_flags()};
  ctx.db().set_note(string.entry, note);
  string.entry->set_fetched(false);
  stored = string.entry;
  if (request.mode == StoreMode::Append) {
    ctx.changed(request.key, EventClass::String, "append");
    renewed ? ctx.effect({"APPEND", request.key, request.data}, note)
            : ctx.effect({"APPEND", request.key, request.data});
  } else {
    ctx.changed(request.key, EventClass::String, "set");
    carry_item(ctx, request.key, stored);
  }
  return StoreOutcome::Stored;
}

}  // namespace

int64_t signed_exptime(int64_t exptime) {
  constexpr int64_t kFirst = int64_t{1} << 31, kEnd = int64_t{1} << 32;
  return exptime >= kFirst && exptime < kEnd ? exptime - kEnd : exptime;
}

int64_t memcached_expiry(const Context& ctx, int64_t exptime) {
  exptime = signed_exptime(exptime);
  if (exptime == 0) return -1;
  if (exptime < 0) return 0;
  int64_t ms;
  if (__builtin_mul_overflow(exptime, 1000, &ms)) return kMost;
  return exptime <= kMemcachedRelativeSeconds ? ctx.now_ms() + ms : ms;
}

int64_t seconds_left(const Context& ctx, int64_t expiry_ms) {
  if (expiry_ms < 0) return -1;
  const int64_t left = std::max<int64_t>(expiry_ms - ctx.now_ms(), 0);
  return left / 1000 + (left % 1000 != 0);
}

Entry* find_item(Context& ctx, std::string_view key) {
  Entry* entry = ctx.find_read(key);
  return is_item(entry) ? entry : nullptr;
}

protocol::MemcachedReply::Data data_of(Context& ctx, Entry* item, char* scratch) {
  const StringValue string(ctx.db(), item);
  if (item->encoding() == storage::Encoding::Shared) return {{}, string.shared()};
  return {string.view(scratch)};
}

uint64_t unique_number(Context& ctx, Entry*& item) {
  Note note = item->note();
  if (note.cas == 0) {
    note.cas = ctx.server.next_cas();
    ctx.db().set_note(item, note);
  }
  return note.cas;
}

void delete_entry(Context& ctx, std::string_view key, Entry* entry) {
  ctx.erase(entry);
  ctx.effect({"DEL", key});
}

void retime(Context& ctx, std::string_view key, Entry*& entry, int64_t expiry_ms) {
  if (expiry_ms == entry->expiry()) return;
  if (passed(ctx, expiry_ms)) return delete_entry(ctx, key, std::exchange(entry, nullptr));
  ctx.db().set_expiry(entry, expiry_ms);
  ctx.changed(key, EventClass::Generic, expiry_ms < 0 ? "persist" : "expire");
  if (expiry_ms < 0) return ctx.effect({"PERSIST", key});
  char ms[kNumberChars];
  ctx.effect({"PEXPIREAT", key, {ms, format_int(expiry_ms, ms)}});
}

StoreOutcome store_item(Context& ctx, const StoreRequest& request, Entry*& stored) {
  stored = nullptr;
  if (request.mode == StoreMode::Append || request.mode == StoreMode::Prepend) return extend(ctx, request, stored);
  Entry* old = ctx.find_replace(request.key);
  if (request.mode == StoreMode::Add && old) return StoreOutcome::NotStored;
  bool stale = false;
  if (request.cas && request.mode != StoreMode::Add) {
    if (const StoreOutcome outcome = compare_numbers(ctx, request, old, stale); outcome != StoreOutcome::Stored)
      return outcome;
  }
  if (request.mode == StoreMode::Replace && !old) return StoreOutcome::NotStored;

  ++memcached_stats(ctx).total_items;
  // What is out of date when it comes does not live longer than what it replaces.
  int64_t expiry_ms = stale ? old->expiry() : memcached_expiry(ctx, request.exptime);
  const bool by_default = expiry_ms < 0 && !stale;
  if (by_default) expiry_ms = ctx.default_expiry_ms();
  if (passed(ctx, expiry_ms)) {
    if (old) delete_entry(ctx, request.key, old);
    return StoreOutcome::Stored;
  }
  const Note note{.client_flags = request.client_flags, .stale = stale, .won = stale && old->note().won};
  stored = StringValue::assign(ctx.db(), old, request.key, request.data, expiry_ms, note);
  if (by_default && expiry_ms >= 0) ctx.db().set_default_expiry(stored, expiry_ms);
  ctx.changed(request.key, EventClass::String, "set");
  if (expiry_ms >= 0) ctx.notify(request.key, EventClass::Generic, "expire");
  carry_set(ctx, request.key, request.data, expiry_ms, note);
  return StoreOutcome::Stored;
}

Entry* make_stub(Context& ctx, std::string_view key, const Note& note) {
  ++memcached_stats(ctx).total_items;
  return StringValue::assign(ctx.db(), nullptr, key, "", -1, note);
}

void carry_item(Context& ctx, std::string_view key, Entry* item) {
  char scratch[kNumberChars];
  carry_set(ctx, key, StringValue(ctx.db(), item).view(scratch), item->expiry(), item->note());
}

CountOutcome count_item(Context& ctx, std::string_view key, uint64_t delta, bool up, uint64_t cas, uint64_t& result,
                        Entry*& counted) {
  MemcachedStatistics& stats = memcached_stats(ctx);
  counted = ctx.find_write(key);
  if (!counted) {
    ++(up ? stats.incr_misses : stats.decr_misses);
    return CountOutcome::NotFound;
  }
  if (!is_item(counted)) return CountOutcome::WrongType;
  char scratch[kNumberChars];
  StringValue string(ctx.db(), counted);
  const std::string_view text = string.view(scratch);
  const size_t length = text.size();
  if (text.empty()) return CountOutcome::NotNumeric;
  if (cas != 0 && cas != counted->note().cas) return CountOutcome::Exists;
  const auto number = protocol::parse_memcached_uint(text);
  if (!number) return CountOutcome::NotNumeric;
  ++(up ? stats.incr_hits : stats.decr_hits);
  result = up ? *number + delta : *number - std::min(*number, delta);

  std::string digits = std::to_string(result);
  if (digits.size() < length) digits.resize(length, ' ');
  string.set(digits);
  if (digits.size() > length) {
    // memcached makes a new item of it.
    ctx.db().set_note(string.entry, {.client_flags = string.entry->client_flags()});
    string.entry->set_fetched(false);
  }
  counted = string.entry;
  ctx.changed(key, EventClass::String, "incrby");
  carry_set(ctx, key, digits, counted->expiry(), counted->note());
  return CountOutcome::Done;
}

}  // namespace quartet::server
