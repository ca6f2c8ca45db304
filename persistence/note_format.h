#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "storage/entry.h"

namespace quartet::persistence {

/// What a string has beside its value (storage::Note), where files of Redis have no place for it:
///
///     note:  <client flags: decimal> ':' [ 's' where it is stale ] [ 'w' where somebody makes it anew ]
///
/// In an increment of the append-only file it stands in a line of its own before the command after which the first key
/// has it, `#QN:<note>\r\n`, which redis-server passes over as a comment; only within batches, whose checksums vouch
/// for it. In an RDB file it is a fact (kAux) of the name kNoteFact before the entry, which redis-server passes over as
/// one it does not know. The unique number is not kept: one that was given out before the end of the process fits no
/// value after it.
std::string note_text(const storage::Note& note);
std::optional<storage::Note> parse_note(std::string_view text);

inline constexpr std::string_view kNoteMark = "#QN:";
inline constexpr std::string_view kNoteFact = "quartet-note";
/// The longest `note_text`, in bytes.
inline constexpr size_t kNoteTextBytes = 10 + 1 + 2;

}  // namespace quartet::persistence
