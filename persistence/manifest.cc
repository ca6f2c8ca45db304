#include "persistence/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/limits.h"
#include "base/numbers.h"
#include "protocol/request_parser.h"

namespace quartet::persistence {
namespace {

constexpr size_t kLineBytes = 1024;

bool needs_quotes(std::string_view name) {
  for (const char c : name) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\') return true;
  }
  return name.empty();
}

/// One line; an error text without its number, or nothing.
std::string_view parse_line(std::string_view line, Manifest& manifest) {
  std::vector<std::string> words;
  if (!protocol::split_arguments(line, words)) return "quotes are not balanced";
  if (words.size() < 6 || words.size() % 2 != 0) return "not pairs of key and value";
  Manifest::Entry entry;
  std::string type;
  for (size_t i = 0; i < words.size(); i += 2) {
    if (equals_ignoring_case(words[i], "file")) {
      entry.name = words[i + 1];
    } else if (equals_ignoring_case(words[i], "seq")) {
      entry.sequence = std::strtoll(words[i + 1].c_str(), nullptr, 10);  // which ignores what follows the number
      if (entry.sequence <= 0) return "the sequence number is not one";
    } else if (equals_ignoring_case(words[i], "type")) {
      type = words[i + 1];
    }
    // Other keys are for versions to come.
  }
  if (entry.name.empty() || entry.sequence == 0 || type.empty()) return "file, seq or type is missing";
  if (entry.name.find('/') != std::string::npos) return "the file is not in the manifest's directory";
  // redis-server looks at the first letter only.
  if (type[0] == 'b') {
    if (manifest.base) return "a second base";
    manifest.base = std::move(entry);
  } else if (type[0] == 'i') {
    if (entry.sequence <= manifest.last_increment()) return "increments are not in rising order";
    manifest.increments.push_back(std::move(entry));
  } else if (type[0] == 'h') {
    manifest.history.push_back(std::move(entry));
  } else {
    return "the type is not one of b, i, h";
  }
  return {};
}

void append_line(std::string& text, const Manifest::Entry& entry, char type) {
  text += fmt::format("file {} seq {} type {}\n", needs_quotes(entry.name) ? quoted_form(entry.name) : entry.name,
                      entry.sequence, type);
}

}  // namespace

int64_t Manifest::last_base() const { return base ? base->sequence : 0; }
int64_t Manifest::last_increment() const { return increments.empty() ? 0 : increments.back().sequence; }

bool Manifest::names(std::string_view name) const {
  const auto is_it = [name](const Entry& entry) { return entry.name == name; };
  return (base && is_it(*base)) || std::any_of(increments.begin(), increments.end(), is_it) ||
         std::any_of(history.begin(), history.end(), is_it);
}

Result<Manifest> Manifest::parse(std::string_view text) {
  Manifest manifest;
  if (text.empty()) return Error{"the manifest is empty"};
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    std::string_view problem;
    if (end == std::string_view::npos) {
      problem = "the last line has no end";
    } else if (end > kLineBytes) {
      problem = "the line is too long";
    } else if (!line.starts_with('#')) {
      problem = parse_line(line, manifest);
    }
    if (!problem.empty()) return Error{fmt::format("line {} of the manifest: {}", number, problem)};
    text.remove_prefix(end + 1);
  }
  return manifest;
}

std::string Manifest::format() const {
  std::string text;
  if (base) append_line(text, *base, 'b');
  for (const Entry& entry : history) append_line(text, entry, 'h');
  for (const Entry& entry : increments) append_line(text, entry, 'i');
  return text;
}

std::string manifest_name(std::string_view file_name) { return fmt::format("{}.manifest", file_name); }

std::string base_name(std::string_view file_name, int64_t sequence) {
  return fmt::format("{}.{}.base.rdb", file_name, sequence);
}

std::string increment_name(std::string_view file_name, int64_t sequence) {
  return fmt::format("{}.{}.incr.aof", file_name, sequence);
}

bool is_base_or_increment(std::string_view file_name, std::string_view name) {
  if (!name.starts_with(file_name)) return false;
  name.remove_prefix(file_name.size());
  if (!name.starts_with('.')) return false;
  name.remove_prefix(1);
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  return digits > 0 && (name.substr(digits) == ".base.rdb" || name.substr(digits) == ".incr.aof");
}

Result<Manifest> read_manifest(Disk& disk, const std::string& directory, std::string_view file_name) {
  const std::string path = directory + "/" + manifest_name(file_name);
  const Result<std::string> text = read_whole(disk, path, limits::kManifestBytes);
  if (!text && text.error().code == ENOENT) return Manifest{};
  if (!text) return text.error();
  Result<Manifest> manifest = Manifest::parse(*text);
  if (!manifest) return Error{fmt::format("{} is damaged: {}", path, manifest.error().text)};
  return manifest;
}

Result<void> write_manifest(Disk& disk, const std::string& directory, std::string_view file_name,
                            const Manifest& manifest) {
  return replace_file(disk, directory, manifest_name(file_name), manifest.format());
}

}  // namespace quartet::persistence
