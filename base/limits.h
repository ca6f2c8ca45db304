#pragma once

#include <cstddef>
#include <cstdint>

/// Every bound that a client, a file or a configuration can meet stands here, with its unit.
namespace quartet::limits {

/// Longest inline request line, and longest line of a multibulk or bulk header, in bytes.
inline constexpr size_t kInlineBytes = 64 * 1024;
/// Most arguments in one request; the unfinished input of a client (below) bounds what they take before that.
inline constexpr int64_t kArguments = 2147483647;
/// The same two for a client that has not authenticated yet.
inline constexpr int64_t kUnauthenticatedArguments = 10;
inline constexpr int64_t kUnauthenticatedBulkBytes = 16 * 1024;
/// Replies that a client which has not authenticated may leave unread, in bytes of memory.
inline constexpr size_t kUnauthenticatedOutputBytes = 64 * 1024;
/// Default of `proto-max-bulk-len`: longest single argument and longest string value, in bytes.
inline constexpr int64_t kBulkBytes = 512LL * 1024 * 1024;

/// The buffer that all connections of a loop read into, in bytes.
inline constexpr size_t kReadBufferBytes = 64 * 1024;
/// Requests that are parsed ahead of execution, so that their look-ups can be prefetched together.
inline constexpr size_t kBatchCommands = 64;
/// Arguments of which room is kept for the next requests: what a larger one needed is given back when it has been
/// executed.
inline constexpr size_t kKeptArguments = 4096;
/// Default of `client-query-buffer-limit`, in bytes: the unfinished input of one client.
inline constexpr int64_t kQueryBufferBytes = 1024LL * 1024 * 1024;

/// memcached's protocol: the longest key and the longest line of a command that takes many keys, in bytes (other lines
/// are at most kInlineBytes long), most words in a line of a meta command, the longest opaque token, and the largest
/// value of `memcached-item-size-max`.
inline constexpr size_t kMemcachedKeyBytes = 250;
inline constexpr size_t kMemcachedKeysLineBytes = 4 * 1024 * 1024;
inline constexpr size_t kMemcachedMetaWords = 19;
inline constexpr size_t kMemcachedOpaqueBytes = 31;
inline constexpr int64_t kMemcachedItemBytes = 1024LL * 1024 * 1024;
/// While memory is short, a transaction that has queued this many bytes is refused more, whatever its commands do.
inline constexpr size_t kQueueBytesWhenFull = 1024 * 1024;

/// `maxmemory-clients` is never less than this, in bytes, so that somebody can still connect and change it.
inline constexpr size_t kLeastClientsBytes = 128 * 1024;

/// Strings up to this length live inside their entry; longer ones in a block of their own, which replies can refer to.
inline constexpr size_t kInlineStringBytes = 16 * 1024;

/// A value that takes more bytes of memory than this is saved in slices by a snapshot; another one in one piece, which
/// takes half a millisecond at most.
inline constexpr size_t kSnapshotLargeBytes = 128 * 1024;
/// A snapshot leaves in chunks of about so many bytes, and its walk pauses while so many of them wait to be written.
inline constexpr size_t kSnapshotChunkBytes = 512 * 1024;
inline constexpr size_t kSnapshotChunks = 8;

/// Longest string that is taken from a file, in bytes: lengths in storage are 32 bits wide, with their own overhead.
inline constexpr size_t kStringBytes = 0xffffffff - 64;
/// What is read of a file at a time while it is loaded, in bytes.
inline constexpr size_t kRdbChunkBytes = 256 * 1024;
/// Room in tables is made for as many entries as a file of RDB says there are, if so many of about these bytes could be
/// in it (the room takes less than those), and for so many at a time at most: that takes some 100 ms, and the table
/// grows from there.
inline constexpr size_t kRdbEntryBytes = 16;
inline constexpr size_t kRdbReservedEntries = 16 * 1024 * 1024;

/// Most databases that may be configured.
inline constexpr int64_t kDatabases = 16384;
/// Longest name of a database, and longest configuration file, in bytes.
inline constexpr size_t kDatabaseNameBytes = 64;
inline constexpr size_t kConfigFileBytes = 1024 * 1024;

/// Lists of one database that DB STATS and INFO show by name, the longest ones, and the longest name that they show, in
/// bytes.
inline constexpr size_t kShownQueues = 32;
inline constexpr size_t kQueueNameBytes = 256;

/// Most elements that one SRANDMEMBER, HRANDFIELD or ZRANDMEMBER with a negative count repeats.
inline constexpr int64_t kRandomElements = 16 * 1024 * 1024;

/// A command that has so much work before it (see Pauses) is done in slices, between which other databases get their
/// turn; so many commands at most at a time, each of which has a stack.
inline constexpr size_t kLongWork = 4096;
inline constexpr size_t kLongCommands = 16;
/// What commands that need much memory for their work (LCS) may hold together, in bytes; each is bounded by
/// `proto-max-bulk-len` besides.
inline constexpr size_t kWorkingBytes = 512 * 1024 * 1024;

/// Deepest nesting of values between Lua and replies, and of cjson and cmsgpack documents.
inline constexpr int kNesting = 1000;

/// Memory that the interpreter of scripts may hold, and as much again for one reply to a command that a script calls,
/// in bytes.
inline constexpr size_t kScriptMemoryBytes = 1024 * 1024 * 1024;
/// Longest JSON document that a script may write, in bytes, every byte of a string counted as an escape of six.
inline constexpr size_t kJsonBytes = 512 * 1024 * 1024;

/// Most rules of one kind (patterns of keys, selectors, passwords, ...) that a user of the ACL can have.
inline constexpr size_t kAclRules = 10'000;
/// Longest rules of one ACL SETUSER or one line of an ACL file, and longest ACL file, in bytes.
inline constexpr size_t kAclUserBytes = 256 * 1024;
inline constexpr size_t kAclFileBytes = 16 * 1024 * 1024;
/// What ACL LOG keeps of a key, a channel or a user's name, in bytes.
inline constexpr size_t kAclLogObjectBytes = 1024;
/// Addresses whose failed logins are counted, and the longest that an attempt from one of them has to wait, in ms.
inline constexpr size_t kLoginAddresses = 4096;
inline constexpr int64_t kLoginDelayMs = 2000;

/// The append-only file. From this size on a batch is complete, and the next effect begins a new one; only one unit or
/// command that is longer makes a longer batch.
inline constexpr size_t kAofBatchBytes = 1024 * 1024;
/// What is kept in memory while the disk does not take it; beyond, the log breaks off and needs a new base.
inline constexpr size_t kAofBacklogBytes = 256 * 1024 * 1024;
/// Memory of a written buffer that is kept for the next one.
inline constexpr size_t kAofKeptBufferBytes = 4 * 1024 * 1024;
/// Longest line of a comment in an append-only file (as in redis-server), and of its manifest, in bytes.
inline constexpr size_t kAofCommentBytes = 1024;
inline constexpr size_t kManifestBytes = 1024 * 1024;

}  // namespace quartet::limits
