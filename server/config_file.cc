#include "server/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/numbers.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace quartet::server {

namespace {

/// Where the lines of a text begin, so that the parser's positions can be turned into bytes.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {
    for (size_t at = 0; (at = text.find('\n', at)) != std::string_view::npos;) starts_.push_back(++at);
  }
  size_t start(size_t line) const { return line <= starts_.size() ? starts_[line - 1] : text_.size(); }
  size_t number_of_line_at(size_t offset) const {
    return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), offset) - starts_.begin());
  }
  /// The parser counts columns in characters, not in bytes.
  size_t offset(toml::source_position position) const {
    size_t at = start(position.line);
    for (toml::source_index column = 1; column < position.column && at < text_.size(); ++column)
      do ++at;
      while (at < text_.size() && (static_cast<unsigned char>(text_[at]) & 0xC0) == 0x80);
    return at;
  }

 private:
  std::string_view text_;
  std::vector<size_t> starts_ = {0};
};

/// The text that CONFIG SET would be given for a value of the file, where the setting's kind has such values.
std::optional<std::string> value_text(const Directive& directive, const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* flag = node.as_boolean()) {
    if (directive.kind != Kind::Bool && directive.kind != Kind::Enum) return {};
    return flag->get() ? "yes" : "no";
  }
  if (const auto* number = node.as_integer()) {
    if (directive.kind == Kind::Octal) return fmt::format("{:o}", number->get());
    const bool numeric = directive.kind == Kind::Integer || directive.kind == Kind::Memory ||
                         directive.kind == Kind::MemoryOrPercent || directive.is_list();
    return numeric ? std::optional(fmt::format("{}", number->get())) : std::nullopt;
  }
  if (const auto* number = node.as_floating_point())
    return directive.kind == Kind::Percentiles ? std::optional(format_double(number->get())) : std::nullopt;
  if (const auto* array = node.as_array(); array && directive.is_list()) {
    std::vector<std::string> words;
    for (const toml::node& element : *array) {
      auto word = value_text(directive, element);
      if (!word) return {};
      words.push_back(std::move(*word));
    }
    return directive.kind == Kind::Lines ? join_lines(words) : join_words(words);
  }
  return {};
}

std::string names_of_settings() {
  std::vector<std::string_view> names;
  for (const Directive& directive : directives()) names.push_back(directive.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string names_of_database_settings() {
  std::vector<std::string_view> names;
  for (const Directive* directive : database_directives()) names.push_back(directive->name);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string at(const ConfigFile& file, size_t line) { return fmt::format("{}:{}", file.path, line); }

bool is_database_name(std::string_view name) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= limits::kDatabaseNameBytes && letter(name[0]) && std::all_of(name.begin(), name.end(), inner);
}

Problem parse_setting(const ConfigFile& file, const Lines& lines, std::string_view table, const Directive& directive,
                      const toml::key& key, const toml::node& node, std::vector<ConfigFile::Setting>& settings) {
  const std::string where = fmt::format("{}: {}{}", at(file, key.source().begin.line), table, key.str());
  for (const auto& other : settings)
    if (other.directive == &directive) return fmt::format("{}: was given at line {} already", where, other.line);
  auto value = value_text(directive, node);
  if (!value) return fmt::format("{}: wrong type; allowed: {}", where, describe_allowed(directive));
  settings.push_back({&directive, std::move(*value), key.source().begin.line, lines.offset(node.source().begin),
                      lines.offset(node.source().end)});
  return {};
}

Problem parse_database(ConfigFile& file, const Lines& lines, const toml::node& node) {
  const toml::table* table = node.as_table();
  if (!table) return fmt::format("{}: database: wrong type; allowed: [[database]] tables", at(file, node.source().begin.line));
  ConfigFile::Database database{.line = node.source().begin.line, .settings = {}, .is_inline = table->is_inline()};
  bool indexed = false;
  for (const auto& [key, value] : *table) {
    const std::string where = at(file, key.source().begin.line);
    const size_t value_end = lines.offset(value.source().end);
    database.end = std::max(database.end, database.is_inline ? value_end : lines.start(lines.number_of_line_at(value_end) + 1));
    if (key == "index") {
      const auto index = value.value_exact<int64_t>();
      if (!index || *index < 0) return fmt::format("{}: database.index: wrong value; allowed: an integer from 0 to databases - 1", where);
      database.index = *index;
      indexed = true;
    } else if (key == "name") {
      const auto name = value.value_exact<std::string>();
      if (!name || !is_database_name(*name))
        return fmt::format("{}: database.name: wrong value; allowed: a lower-case letter, then up to {} of a-z, 0-9, _ and -",
                           where, limits::kDatabaseNameBytes - 1);
      database.name = *name;
    } else if (const Directive* directive = find_database_directive(key.str())) {
      Problem problem = parse_setting(file, lines, "database.", *directive, key, value, database.settings);
      if (!problem.empty()) return problem;
    } else {
      return fmt::format("{}: database.{}: unknown key; allowed: index, name, {}", where, key.str(),
                         names_of_database_settings());
    }
  }
  if (!indexed) return fmt::format("{}: database.index: missing", at(file, database.line));
  for (const auto& other : file.databases) {
    if (other.index == database.index)
      return fmt::format("{}: database.index: {} was given at line {} already", at(file, database.line), database.index, other.line);
    if (!database.name.empty() && other.name == database.name)
      return fmt::format("{}: database.name: \"{}\" was given at line {} already", at(file, database.line), database.name, other.line);
  }
  file.databases.push_back(std::move(database));
  return {};
}

/// The end of the top-level part: what stands above the first table's header as its comment belongs to the table.
size_t find_top_level_end(std::string_view text, const Lines& lines, size_t first_table_line) {
  size_t line = first_table_line;
  const auto previous = [&] { return text.substr(lines.start(line - 1), lines.start(line) - lines.start(line - 1)); };
  while (line > 1 && previous().starts_with('#')) --line;
  while (line > 1 && previous().find_first_not_of(" \t\r\n") == std::string_view::npos) --line;
  return lines.start(line);
}

std::string toml_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// A value as it is written in the file.
std::string toml_value(const Target& target, const Config& config) {
  const std::string text = format(target, config);
  switch (target.directive->kind) {
    case Kind::Bool: return text == "yes" ? "true" : "false";
    case Kind::Integer:
    case Kind::Memory: return text;
    case Kind::MemoryOrPercent: return text.ends_with('%') ? toml_string(text) : text;
    case Kind::Percentiles: return fmt::format("[{}]", fmt::join(split_words(text), ", "));
    case Kind::Words:
    case Kind::Lines: {
      std::vector<std::string> words;
      for (const std::string_view word : target.directive->kind == Kind::Words ? split_words(text) : split_lines(text))
        words.push_back(toml_string(word));
      return fmt::format("[{}]", fmt::join(words, ", "));
    }
    default: return toml_string(text);
  }
}

/// Another text in the place of a part of the file.
struct Edit {
  size_t begin, end;
  std::string text;
};

std::string edited(std::string text, std::vector<Edit> edits) {
  // From the last to the first, so that the places of those before remain.
  std::sort(edits.begin(), edits.end(), [](const Edit& a, const Edit& b) { return a.begin < b.begin; });
  for (auto edit = edits.rbegin(); edit != edits.rend(); ++edit) text.replace(edit->begin, edit->end - edit->begin, edit->text);
  return text;
}

void add_lines(std::string_view text, size_t place, std::string_view lines, std::vector<Edit>& edits) {
  const bool open_line = place > 0 && text[place - 1] != '\n';
  if (!lines.empty()) edits.push_back({place, place, fmt::format("{}{}", open_line ? "\n" : "", lines)});
}

/// Replaces what differs from what the file says.
void edit_values(const std::vector<ConfigFile::Setting>& settings, std::optional<size_t> database, const Config& config,
                 std::vector<Edit>& edits) {
  for (const auto& setting : settings) {
    // What the file says was good when it was read; should a value no longer be (a directory is gone), it is written anew.
    Config said = default_config();
    std::ignore = assign(*setting.directive, said, setting.value);
    const Target target{setting.directive, database};
    if (format(*setting.directive, said) != format(target, config))
      edits.push_back({setting.begin, setting.end, toml_value(target, config)});
  }
}

bool has(const std::vector<ConfigFile::Setting>& settings, const Directive& directive) {
  return std::any_of(settings.begin(), settings.end(), [&](const auto& setting) { return setting.directive == &directive; });
}

/// The values that a database has of its own and that its table does not have.
std::string missing_values(size_t database, const std::vector<ConfigFile::Setting>& settings, const Config& config,
                           std::string_view before, std::string_view after) {
  std::string text;
  for (const Directive* directive : database_directives())
    if (config.database[database].overrides(directive->name) && !has(settings, *directive))
      text += fmt::format("{}{} = {}{}", before, directive->name, toml_value({directive, database}, config), after);
  return text;
}

Problem apply(const ConfigFile& file, const ConfigFile::Setting& setting, std::optional<size_t> database, Config& config) {
  const Problem problem = assign({setting.directive, database}, config, setting.value);
  if (problem.empty()) return {};
  return fmt::format("{}: {}{} = \"{}\": {}; allowed: {}", at(file, setting.line), database ? "database." : "",
                     setting.directive->name, setting.value, problem, describe_allowed(*setting.directive));
}

struct Descriptor {
  int number;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

Problem last_error() { return std::strerror(errno); }

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

Problem read_file(const std::string& path, std::string& text, size_t most) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return last_error();
  if (S_ISDIR(status.st_mode)) return std::strerror(EISDIR);
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return last_error();
  text.resize(most + 1);
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (stream.bad()) return last_error();
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.size() > most) return fmt::format("longer than {} bytes", most);
  return {};
}

Problem parse(ConfigFile& file) {
  const toml::parse_result parsed = toml::parse(std::string_view(file.text));
  if (!parsed)
    return fmt::format("{}: {}", at(file, parsed.error().source().begin.line), parsed.error().description());

  const Lines lines(file.text);
  file.settings.clear();
  file.databases.clear();
  size_t first_table_line = lines.number_of_line_at(file.text.size()) + 1;
  for (const auto& [key, node] : parsed.table()) {
    if (key != "database") {
      const Directive* directive = find_directive(key.str());
      if (!directive)
        return fmt::format("{}: {}: unknown key; allowed: {}, [[database]]", at(file, key.source().begin.line), key.str(), names_of_settings());
      if (Problem problem = parse_setting(file, lines, "", *directive, key, node, file.settings); !problem.empty()) return problem;
      continue;
    }
    const toml::array* databases = node.as_array();
    if (!databases) return fmt::format("{}: database: wrong type; allowed: [[database]] tables", at(file, key.source().begin.line));
    for (const toml::node& database : *databases) {
      if (Problem problem = parse_database(file, lines, database); !problem.empty()) return problem;
      first_table_line = std::min<size_t>(first_table_line, database.source().begin.line);
    }
  }
  std::sort(file.settings.begin(), file.settings.end(), [](const auto& a, const auto& b) { return a.begin < b.begin; });
  file.top_level_end = find_top_level_end(file.text, lines, first_table_line);
  return {};
}

Problem apply(const ConfigFile& file, Config& config) {
  for (const auto& setting : file.settings)
    if (Problem problem = apply(file, setting, {}, config); !problem.empty()) return problem;
  return {};
}

Problem apply_databases(const ConfigFile& file, Config& config) {
  make_databases(config);
  for (const auto& database : file.databases) {
    if (database.index >= config.databases)
      return fmt::format("{}: database.index: {} is not below databases = {}", at(file, database.line), database.index, config.databases);
    const auto index = static_cast<size_t>(database.index);
    config.database[index].name = database.name;
    for (const auto& setting : database.settings)
      if (Problem problem = apply(file, setting, index, config); !problem.empty()) return problem;
  }
  return {};
}

std::string rewritten(const ConfigFile& file, const Config& config) {
  std::vector<Edit> edits;
  edit_values(file.settings, {}, config, edits);
  const Config defaults = default_config();
  std::string added;
  for (const Directive& directive : directives())
    if (!has(file.settings, directive) && format(directive, config) != format(directive, defaults))
      added += fmt::format("{} = {}\n", directive.name, toml_value({&directive, {}}, config));
  add_lines(file.text, file.top_level_end, added, edits);

  std::string tables;
  for (size_t i = 0; i < config.database.size(); ++i) {
    const auto table = std::find_if(file.databases.begin(), file.databases.end(),
                                    [&](const auto& database) { return database.index == static_cast<int64_t>(i); });
    if (table == file.databases.end()) {
      if (!config.database[i].overridden.empty())
        tables += fmt::format("\n[[database]]\nindex = {}\n{}", i, missing_values(i, {}, config, "", "\n"));
      continue;
    }
    edit_values(table->settings, i, config, edits);
    if (table->is_inline) edits.push_back({table->end, table->end, missing_values(i, table->settings, config, ", ", "")});
    else add_lines(file.text, table->end, missing_values(i, table->settings, config, "", "\n"), edits);
  }
  std::string text = edited(file.text, std::move(edits));
  if (!tables.empty() && !text.empty() && text.back() != '\n') text += '\n';
  return text + tables;
}

Problem replace_file(const std::string& path, std::string_view text) {
  struct stat status;
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) return last_error();
  const mode_t mode = exists ? status.st_mode & 07777 : S_IRUSR | S_IWUSR;
  std::string temporary = path + ".XXXXXX";
  const Descriptor file{::mkostemp(temporary.data(), O_CLOEXEC)};
  if (file.number < 0) return last_error();
  const bool written = ::fchmod(file.number, mode) == 0 && write_all(file.number, text) &&
                       ::fsync(file.number) == 0 && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (!written) {
    const Problem problem = last_error();
    ::unlink(temporary.c_str());
    return problem;
  }
  // The new name is durable only when its directory is.
  const size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor parent{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (parent.number < 0 || ::fsync(parent.number) != 0) return last_error();
  return {};
}

}  // namespace quartet::server
