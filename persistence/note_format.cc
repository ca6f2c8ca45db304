#include "persistence/note_format.h"

#include <cstdint>

#include "base/numbers.h"

namespace quartet::persistence {

std::string note_text(const storage::Note& note) {
  std::string text = std::to_string(note.client_flags);
  text += ':';
  if (note.stale) text += 's';
  if (note.won) text += 'w';
  return text;
}

std::optional<storage::Note> parse_note(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == text.npos) return {};
  const std::optional<uint64_t> client_flags = parse_uint(text.substr(0, colon));
  if (!client_flags || *client_flags > UINT32_MAX) return {};
  storage::Note note{.client_flags = static_cast<uint32_t>(*client_flags)};
  std::string_view state = text.substr(colon + 1);
  note.stale = state.starts_with('s');
  if (note.stale) state.remove_prefix(1);
  note.won = state.starts_with('w');
  if (note.won) state.remove_prefix(1);
  if (!state.empty()) return {};
  return note;
}

}  // namespace quartet::persistence
