#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/limits.h"
#include "protocol/memcached_reply.h"
#include "server/context.h"
#include "server/memcached.h"

namespace quartet::server {

/// Errors that several of the commands give, to the letter of memcached 1.6.
namespace errors::memcached {

inline constexpr std::string_view kWords = "ERROR";
inline constexpr std::string_view kFormat = "CLIENT_ERROR bad command line format";
inline constexpr std::string_view kNotNumeric = "CLIENT_ERROR cannot increment or decrement non-numeric value";

}  // namespace errors::memcached

/// What the declarations of the commands have in common.
inline constexpr std::string_view kMemcachedGroup = "memcached";
inline constexpr uint32_t kMemcachedStore = kMemcached | kWrite | kDenyOom | kFast;

/// Up to 30 days an exptime is counted from now; a larger one is a time of day.
inline constexpr int64_t kMemcachedRelativeSeconds = 60 * 60 * 24 * 30;

// What the classic and the meta commands of memcached's protocol do to strings, which are its items. A key of another
// type is no item: it is not found by what reads, and what would change it is an error; it can be replaced, deleted and
// touched.

inline MemcachedStatistics& memcached_stats(Context& ctx) { return ctx.session.memcached->service.stats; }

/// The reply of one classic command, which is taken back at its end where the request says noreply.
class TextReply : public protocol::MemcachedReply {
 public:
  explicit TextReply(Context& ctx) : MemcachedReply(ctx.reply), mark_(mark()), quiet_(ctx.session.memcached->quiet) {}
  TextReply(const TextReply&) = delete;
  ~TextReply() {
    if (quiet_) forget(mark_);
  }

 private:
  const size_t mark_;
  const bool quiet_;
};

/// An exptime, or the delay of a flush, as it was meant: libmemcached sends a negative one without its sign, as 32
/// bits. So the times from 2038-01-19 to 2106-02-07 cannot be said.
int64_t signed_exptime(int64_t exptime);

/// Whether a key may be so long.
inline bool memcached_key_fits(std::string_view key) { return key.size() <= limits::kMemcachedKeyBytes; }

/// When an item of this exptime expires, in ms since the epoch: -1 for never, and a time that has passed for a negative
/// one.
int64_t memcached_expiry(const Context& ctx, int64_t exptime);
/// The seconds that an item of this expiry has left, rounded up; -1 where it has none.
int64_t seconds_left(const Context& ctx, int64_t expiry_ms);

/// The item of a key for reading, or null.
storage::Entry* find_item(Context& ctx, std::string_view key);
/// The bytes of an item. `scratch`, at least kNumberChars long, lasts as long as they.
protocol::MemcachedReply::Data data_of(Context& ctx, storage::Entry* item, char* scratch);
/// The item's unique number, which it is given where it has none.
uint64_t unique_number(Context& ctx, storage::Entry*& item);

/// Deletes the entry of a key.
void delete_entry(Context& ctx, std::string_view key, storage::Entry* entry);
/// Gives an entry another expiry, or erases it, and sets the pointer to null, where that has passed.
void retime(Context& ctx, std::string_view key, storage::Entry*& entry, int64_t expiry_ms);

enum class StoreMode : uint8_t { Set, Add, Replace, Append, Prepend };
enum class StoreOutcome : uint8_t { Stored, NotStored, Exists, NotFound, WrongType };

struct StoreRequest {
  std::string_view key;
  std::string_view data;
  StoreMode mode = StoreMode::Set;
  uint32_t client_flags = 0;
  int64_t exptime = 0;
  std::optional<uint64_t> cas = {};  // only where the item has this number; for Append and Prepend 0 is as none
  // an older number than the item's is good too, and makes it stale; the expiry remains
  bool invalidate = false;
};
/// Stores; `stored` is the item then, null where it has expired at once.
StoreOutcome store_item(Context& ctx, const StoreRequest& request, storage::Entry*& stored);
/// Makes an item of no bytes that does not expire, with a note: the key is not there. Tells nobody yet.
storage::Entry* make_stub(Context& ctx, std::string_view key, const storage::Note& note);
/// What the feed carries of an item that is there: all of it.
void carry_item(Context& ctx, std::string_view key, storage::Entry* item);

enum class CountOutcome : uint8_t { Done, NotFound, NotNumeric, Exists, WrongType };
/// Adds to an item that is an unsigned number of 64 bits, and wraps around, or takes away from it, down to 0. A number
/// that has fewer digits than the item has bytes is filled up with spaces, as memcached does. `cas` as for
/// StoreRequest; 0 is as none.
CountOutcome count_item(Context& ctx, std::string_view key, uint64_t delta, bool up, uint64_t cas, uint64_t& result,
                        storage::Entry*& counted);

}  // namespace quartet::server
