#include "base/numbers.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/bits.h"
#include "server/commands/families.h"
#include "server/server.h"
#include "storage/string.h"

#include <algorithm>
#include <span>
#include <vector>

namespace quartet::server {

namespace {

using storage::Encoding;
using storage::Entry;
using storage::StringValue;
using storage::Type;

/// Reads the position of a bit that a string may have.
uint64_t bit_offset(Arguments& in, const Context& ctx) {
  const int64_t offset = in.integer(errors::kBitOffset);
  if (offset < 0 || offset / 8 >= ctx.server.config.proto_max_bulk_len) in.fail(errors::kBitOffset);
  return static_cast<uint64_t>(offset);
}

/// Write access to the first `bytes` bytes of a string, which is created or lengthened where need be.
char* writable(Context& ctx, Entry* entry, std::string_view key, size_t bytes) {
  return StringValue::writable_or_new(ctx.db(), entry, key, bytes, ctx.pauses);
}
/// How much work that is.
size_t work_to_write(Context& ctx, Entry* entry, size_t bytes) {
  return work_of_bytes(entry ? StringValue(ctx.db(), entry).bytes_to_write(bytes) : bytes);
}

// --- SETBIT, GETBIT --------------------------------------------------------------------------------------------------

void setbit_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  const uint64_t offset = bit_offset(in, ctx);
  const int64_t bit = in.integer_in(0, 1, "ERR bit is not an integer or out of range");
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_write(key, Type::String, entry)) return;
  const size_t old_size = entry ? StringValue(ctx.db(), entry).size() : 0;
  const size_t at = offset / 8;
  if (ctx.takes_long(work_to_write(ctx, entry, at + 1))) return;
  char* bytes = writable(ctx, entry, key, at + 1);
  const int shift = 7 - static_cast<int>(offset % 8);
  const int old = bytes[at] >> shift & 1;
  if (old != bit) bytes[at] = static_cast<char>(bytes[at] ^ 1 << shift);
  if (old != bit || at >= old_size) ctx.changed(key, EventClass::String, "setbit");
  ctx.reply.integer(old);
}

void getbit_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  const uint64_t offset = bit_offset(in, ctx);
  if (!in.ok()) return;
  Entry* entry;
  if (!ctx.find_read(key, Type::String, entry)) return;
  char scratch[kNumberChars];
  const std::string_view bytes = entry ? StringValue(ctx.db(), entry).view(scratch) : std::string_view();
  ctx.reply.integer(offset / 8 < bytes.size() ? bytes[offset / 8] >> (7 - offset % 8) & 1 : 0);
}

// --- BITCOUNT, BITPOS ------------------------------------------------------------------------------------------------

enum class Unit { Byte, Bit };

Unit read_unit(Arguments& in) {
  if (in.option("BIT")) return Unit::Bit;
  if (!in.option("BYTE")) in.fail(errors::kSyntax);
  return Unit::Byte;
}

/// A range of bits, both ends included; empty where first > last.
struct BitRange {
  int64_t first, last;
};

/// Start and end as a client gives them, negative ones from the end, as bits of a string of `bytes` bytes.
BitRange bit_range(int64_t start, int64_t end, Unit unit, size_t bytes) {
  const auto length = static_cast<int64_t>(unit == Unit::Bit ? bytes * 8 : bytes);
  if (start < 0) start = std::max<int64_t>(start + length, 0);
  if (end < 0) end = std::max<int64_t>(end + length, 0);
  end = std::min(end, length - 1);
  if (start > end) return {1, 0};
  return unit == Unit::Bit ? BitRange{start, end} : BitRange{start * 8, end * 8 + 7};
}

size_t work_of_bits(BitRange range) {
  return range.first > range.last ? 0 : work_of_bytes(static_cast<size_t>(range.last - range.first) / 8);
}

/// Calls `visit` for pieces of the range in their order until it returns false.
template <class Visit>
void for_each_piece(Context& ctx, BitRange range, Visit visit) {
  constexpr int64_t kPieceBits = static_cast<int64_t>(kPieceBytes) * 8;
  while (range.first <= range.last) {
    ctx.breathe(work_of_bytes(kPieceBytes));
    const int64_t last = std::min(range.last, range.first / kPieceBits * kPieceBits + kPieceBits - 1);
    if (!visit({range.first, last})) return;
    range.first = last + 1;
  }
}

void bitcount_command(Context& ctx) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::String, entry)) return;
  if (!entry) return ctx.reply.integer(0);
  int64_t start = 0, end = -1;
  Unit unit = Unit::Byte;
  if (ctx.args.size() > 2) {
    Arguments in(ctx, 2);
    if (in.left() == 1 || in.left() > 3) in.fail(errors::kSyntax);
    start = in.integer();
    end = in.integer();
    // A range that is empty in any string is answered before the unit is looked at.
    if (!in.failed() && start < 0 && end < 0 && start > end) return ctx.reply.integer(0);
    if (in.more()) unit = read_unit(in);
    if (!in.ok()) return;
  }
  char scratch[kNumberChars];
  const std::string_view bytes = StringValue(ctx.db(), entry).view(scratch);
  const BitRange range = bit_range(start, end, unit, bytes.size());
  if (ctx.takes_long(work_of_bits(range))) return;
  int64_t total = 0;
  for_each_piece(ctx, range, [&](BitRange piece) {
    total += bits::count(bytes, piece.first, piece.last);
    return true;
  });
  ctx.reply.integer(total);
}

void bitpos_command(Context& ctx) {
  Arguments in(ctx);
  const std::string_view key = in.next();
  const int64_t bit = in.integer();
  if (!in.failed() && bit != 0 && bit != 1) in.fail("ERR The bit argument must be 1 or 0.");
  if (in.failed()) return static_cast<void>(in.ok());
  Entry* entry;
  if (!ctx.find_read(key, Type::String, entry)) return;
  // A key that is not there is a string of zeros without end.
  if (!entry) return ctx.reply.integer(bit ? -1 : 0);

  int64_t start = 0, end = -1;
  Unit unit = Unit::Byte;
  const bool has_end = in.left() >= 2;
  if (in.left() > 3) in.fail(errors::kSyntax);
  if (in.more()) start = in.integer();
  if (has_end && !in.failed()) {
    // A wrong unit is told before a wrong end.
    Arguments behind(ctx, in.position() + 1);
    if (behind.more()) unit = read_unit(behind);
    if (!behind.ok()) return;
    end = in.integer();
  }
  if (!in.ok()) return;

  char scratch[kNumberChars];
  const std::string_view bytes = StringValue(ctx.db(), entry).view(scratch);
  const BitRange range = bit_range(start, end, unit, bytes.size());
  if (range.first > range.last) return ctx.reply.integer(-1);
  if (ctx.takes_long(work_of_bits(range))) return;
  int64_t found = -1;
  for_each_piece(ctx, range, [&](BitRange piece) {
    found = bits::find(bytes, bit != 0, piece.first, piece.last);
    return found < 0;
  });
  // Zeros follow the string unless the client said where to stop.
  if (found < 0 && bit == 0 && !has_end) return ctx.reply.integer(static_cast<int64_t>(bytes.size() * 8));
  ctx.reply.integer(found);
}

// --- BITOP -----------------------------------------------------------------------------------------------------------

/// Stores a string that counts as changed in place, whatever was under the key before; without an expiry.
void store_raw(Context& ctx, std::string_view key, SharedBytes value) {
  Entry* entry = ctx.find_replace(key);
  if (entry) {
    ctx.db().reset(entry, Type::String, Encoding::Bytes);
    ctx.db().set_expiry(entry, -1);
    ctx.written_anew(key);
  } else {
    entry = ctx.db().create(key, Type::String, Encoding::Bytes);
  }
  StringValue(ctx.db(), entry).take(std::move(value));
  ctx.changed(key, EventClass::String, "set");
}

void bitop_command(Context& ctx) {
  Arguments in(ctx);
  bits::Operation operation = bits::Operation::And;
  if (in.option("AND")) {
    operation = bits::Operation::And;
  } else if (in.option("OR")) {
    operation = bits::Operation::Or;
  } else if (in.option("XOR")) {
    operation = bits::Operation::Xor;
  } else if (in.option("NOT")) {
    operation = bits::Operation::Not;
  } else {
    in.fail(errors::kSyntax);
  }
  const std::string_view destination = in.next();
  const Args keys = in.rest();
  if (operation == bits::Operation::Not && keys.size() != 1)
    in.fail("ERR BITOP NOT must be called with a single source key.");
  if (!in.ok()) return;

  struct Source {
    std::string_view bytes;
    char scratch[kNumberChars];
  };
  std::vector<Source> sources(keys.size());
  size_t longest = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    Entry* entry;
    if (!ctx.find_read(keys[i], Type::String, entry)) return;
    if (entry) sources[i].bytes = StringValue(ctx.db(), entry).view(sources[i].scratch);
    longest = std::max(longest, sources[i].bytes.size());
  }
  if (longest == 0) {
    if (Entry* old = ctx.find_replace(destination)) ctx.erase(old);
    return ctx.reply.integer(0);
  }
  if (ctx.takes_long(work_of_bytes(longest) * sources.size())) return;
  SharedBytes result = SharedBytes::allocate(longest, longest);
  for (size_t at = 0; at < longest; at += kPieceBytes) {
    ctx.breathe(work_of_bytes(kPieceBytes) * sources.size());
    const std::span<char> piece(result.data() + at, std::min(kPieceBytes, longest - at));
    const auto piece_of = [&](std::string_view bytes) {
      return bytes.substr(std::min(at, bytes.size()), piece.size());
    };
    const std::string_view first = piece_of(sources[0].bytes);
    std::copy(first.begin(), first.end(), piece.begin());
    std::fill(piece.begin() + static_cast<ptrdiff_t>(first.size()), piece.end(), '\0');
    if (operation == bits::Operation::Not) bits::invert(piece);
    for (size_t i = 1; i < sources.size(); ++i) bits::combine(operation, piece, piece_of(sources[i].bytes));
  }
  store_raw(ctx, destination, std::move(result));
  ctx.reply.integer(static_cast<int64_t>(longest));
}

// --- BITFIELD --------------------------------------------------------------------------------------------------------

struct FieldOperation {
  enum Kind { Get, Set, Increment } kind;
  bits::Field field;
  bits::Overflow overflow;
  int64_t value;
};

/// "i1" to "i64" and "u1" to "u63".
bool parse_field_type(std::string_view text, bits::Field& field) {
  if (text.empty() || (text[0] != 'i' && text[0] != 'u')) return false;
  field.is_signed = text[0] == 'i';
  const auto width = parse_int(text.substr(1));
  if (!width || *width < 1 || *width > (field.is_signed ? 64 : 63)) return false;
  field.width = static_cast<int>(*width);
  return true;
}

/// The offset of a field in bits: a number, or `#` and how many fields of this width lie before it.
bool parse_field_offset(const Context& ctx, std::string_view text, bits::Field& field) {
  const bool counted = !text.empty() && text[0] == '#';
  const auto number = parse_int(counted ? text.substr(1) : text);
  int64_t offset;
  if (!number || *number < 0 || __builtin_mul_overflow(*number, counted ? field.width : 1, &offset)) return false;
  if (offset / 8 >= ctx.server.config.proto_max_bulk_len) return false;
  field.offset = static_cast<uint64_t>(offset);
  return true;
}

/// Reads the operations behind the key; false, with the error written, where one of them is wrong.
bool read_operations(Context& ctx, std::vector<FieldOperation>& operations) {
  Arguments in(ctx, 2);
  bits::Overflow overflow = bits::Overflow::Wrap;
  while (in.more()) {
    FieldOperation operation{FieldOperation::Get, {}, overflow, 0};
    if (in.option("OVERFLOW", 1)) {
      if (in.option("WRAP")) {
        overflow = bits::Overflow::Wrap;
      } else if (in.option("SAT")) {
        overflow = bits::Overflow::Saturate;
      } else if (in.option("FAIL")) {
        overflow = bits::Overflow::Fail;
      } else {
        in.fail("ERR Invalid OVERFLOW type specified");
      }
      continue;
    }
    if (in.option("SET", 3)) {
      operation.kind = FieldOperation::Set;
    } else if (in.option("INCRBY", 3)) {
      operation.kind = FieldOperation::Increment;
    } else if (!in.option("GET", 2)) {
      in.fail(errors::kSyntax);
    }
    if (in.more() && !parse_field_type(in.next(), operation.field))
      in.fail("ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
    if (in.more() && !parse_field_offset(ctx, in.next(), operation.field)) in.fail(errors::kBitOffset);
    if (operation.kind != FieldOperation::Get) operation.value = in.integer();
    operations.push_back(operation);
  }
  return in.ok();
}

/// Runs one writing operation on the bytes and replies to it. True where it wrote, and `differs` where that changed the
/// field.
bool write_field(Context& ctx, const FieldOperation& operation, char* bytes, size_t size, bool& differs) {
  const bits::Field& field = operation.field;
  const int64_t old = field.get({bytes, size});
  const bool increments = operation.kind == FieldOperation::Increment;
  const auto fresh = field.fit(increments ? static_cast<__int128>(old) + operation.value : field.whole(operation.value),
                               operation.overflow);
  if (!fresh) {
    ctx.reply.null();
    return false;
  }
  if (*fresh != old) {
    field.set(bytes, *fresh);
    differs = true;
  }
  ctx.reply.integer(increments ? *fresh : old);
  return true;
}

void get_fields(Context& ctx, const std::vector<FieldOperation>& operations) {
  Entry* entry;
  if (!ctx.find_read(ctx.arg(1), Type::String, entry)) return;
  char scratch[kNumberChars];
  const std::string_view bytes = entry ? StringValue(ctx.db(), entry).view(scratch) : std::string_view();
  if (ctx.takes_long(operations.size())) return;
  ctx.reply.array(operations.size());
  for (const FieldOperation& operation : operations) {
    ctx.breathe();
    ctx.reply.integer(operation.field.get(bytes));
  }
}

void change_fields(Context& ctx, const std::vector<FieldOperation>& operations, size_t end_byte) {
  const std::string_view key = ctx.arg(1);
  Entry* entry;
  if (!ctx.find_write(key, Type::String, entry)) return;
  const size_t old_size = entry ? StringValue(ctx.db(), entry).size() : 0;
  const size_t size = std::max(old_size, end_byte);
  if (ctx.takes_long(work_to_write(ctx, entry, size) + operations.size())) return;
  char* bytes = writable(ctx, entry, key, size);
  bool wrote = false, differs = false;
  ctx.reply.array(operations.size());
  for (const FieldOperation& operation : operations) {
    ctx.breathe();
    if (operation.kind == FieldOperation::Get) {
      ctx.reply.integer(operation.field.get({bytes, size}));
    } else if (write_field(ctx, operation, bytes, size, differs)) {
      wrote = true;
    }
  }
  if (differs || (wrote && size > old_size)) {
    ctx.changed(key, EventClass::String, "setbit");
  } else if (size > old_size) {
    // Every write failed, but the string has grown all the same: a change without an event, as in Redis.
    ctx.server.key_changed(ctx.db(), key);
    ctx.dirty = true;
  }
}

void bitfield_command(Context& ctx) {
  std::vector<FieldOperation> operations;
  if (!read_operations(ctx, operations)) return;
  size_t end_byte = 0;
  for (const FieldOperation& operation : operations)
    if (operation.kind != FieldOperation::Get) end_byte = std::max(end_byte, operation.field.end_byte());
  if (end_byte == 0) {
    get_fields(ctx, operations);
  } else {
    change_fields(ctx, operations, end_byte);
  }
}

void bitfield_ro_command(Context& ctx) {
  std::vector<FieldOperation> operations;
  if (!read_operations(ctx, operations)) return;
  for (const FieldOperation& operation : operations)
    if (operation.kind != FieldOperation::Get)
      return ctx.reply.error("ERR BITFIELD_RO only supports the GET subcommand");
  get_fields(ctx, operations);
}

/// A BITFIELD that only gets changes nothing.
uint32_t bitfield_key_flags(Args args) {
  for (const std::string_view argument : args.subspan(2))
    if (equals_ignoring_case(argument, "SET") || equals_ignoring_case(argument, "INCRBY"))
      return kKeyRW | kKeyAccess | kKeyUpdate;
  return kKeyRO | kKeyAccess;
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "bitcount", .arity = -2, .flags = kReadOnly,
     .categories = kBitmap, .group = "bitmap", .since = "2.6.0", .complexity = "O(N)",
     .summary = "Counts the bits that are set in a string or a part of it.",
     .syntax = "key [start end [BYTE | BIT]]",
     .handler = bitcount_command, .keys = keys::kRead},
    {.name = "bitfield", .arity = -2, .flags = kWrite | kDenyOom,
     .categories = kBitmap, .group = "bitmap", .since = "3.2.0", .complexity = "O(1)",
     .summary = "Reads and changes integers of any width at any bit of a string.",
     .syntax = "key [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] <SET encoding offset value | "
               "INCRBY encoding offset increment> [GET encoding offset | [OVERFLOW WRAP | SAT | FAIL] "
               "<SET encoding offset value | INCRBY encoding offset increment> ...]]",
     .handler = bitfield_command, .keys = keys::kVariable, .key_flags = bitfield_key_flags},
    {.name = "bitfield_ro", .arity = -2, .flags = kReadOnly | kFast,
     .categories = kBitmap, .group = "bitmap", .since = "6.0.0", .complexity = "O(1)",
     .summary = "Reads integers of any width at any bit of a string.",
     .syntax = "key [GET encoding offset [GET encoding offset ...]]",
     .handler = bitfield_ro_command, .keys = keys::kRead},
    {.name = "bitop", .arity = -4, .flags = kWrite | kDenyOom,
     .categories = kBitmap, .group = "bitmap", .since = "2.6.0", .complexity = "O(N)",
     .summary = "Combines strings bit by bit and stores the result.",
     .syntax = "operation destkey key [key ...]",
     .handler = bitop_command, .keys = keys::kOverwriteSecondReadAll},
    {.name = "bitpos", .arity = -3, .flags = kReadOnly,
     .categories = kBitmap, .group = "bitmap", .since = "2.8.7", .complexity = "O(N)",
     .summary = "Finds the first bit of a value in a string or a part of it.",
     .syntax = "key bit [start [end [BYTE | BIT]]]",
     .handler = bitpos_command, .keys = keys::kRead},
    {.name = "getbit", .arity = 3, .flags = kReadOnly | kFast,
     .categories = kBitmap, .group = "bitmap", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Gives one bit of a string.",
     .syntax = "key offset",
     .handler = getbit_command, .keys = keys::kRead},
    {.name = "setbit", .arity = 4, .flags = kWrite | kDenyOom,
     .categories = kBitmap, .group = "bitmap", .since = "2.2.0", .complexity = "O(1)",
     .summary = "Sets one bit of a string and gives its old value.",
     .syntax = "key offset value",
     .handler = setbit_command, .keys = keys::kModify},
};

}  // namespace

std::span<const Command> bitmap_commands() { return kCommands; }

}  // namespace quartet::server
