#include "server/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/glob.h"
#include "base/numbers.h"
#include "server/config_file.h"
#include "server/config_target.h"

namespace quartet::server {

namespace {

constexpr std::string_view kWrongArguments = "wrong number of arguments";

/// One `--name value ...` of the command line.
struct Option {
  std::string_view name;
  std::vector<std::string> words;

  std::string text() const { return fmt::format("--{}{}{}", name, words.empty() ? "" : " ", join_words(words)); }
};

bool is_option(std::string_view word) { return word.starts_with("--") && word.size() > 2; }

/// All words up to the next option belong to an option, as with redis-server. REQUIRES: arguments[first], if there, is an option.
std::vector<Option> split_options(const std::vector<std::string>& arguments, size_t first) {
  std::vector<Option> options;
  for (size_t i = first; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (is_option(word)) options.push_back({word.substr(2), {}});
    else options.back().words.push_back(arguments[i]);
  }
  return options;
}

Problem apply(const Option& option, Config& config) {
  const auto target = find_target(option.name, config);
  if (!target) return fmt::format("command line: --{}: unknown setting; conf/quartet.toml lists all", option.name);
  const Directive& directive = *target->directive;
  // Lines are added to those before, of the file too: what one says of a user must not undo what another says of the next.
  const bool adds = directive.kind == Kind::Lines;
  Problem problem;
  if (adds ? option.words.empty() : !directive.is_list() && option.words.size() != 1) problem = kWrongArguments;
  else if (adds) problem = assign(*target, config, fmt::format("{}\n{}", format(*target, config), join_words(option.words)));
  else problem = assign(*target, config, join_words(option.words));
  if (problem.empty()) return {};
  return fmt::format("command line: {}: {}; allowed: {}", option.text(), problem, describe_allowed(directive));
}

/// A name without any of these is no pattern, and is shown as the client wrote it.
bool is_pattern(std::string_view text) { return text.find_first_of("[*?") != std::string_view::npos; }

std::optional<std::string> shown_name(std::string_view name, const std::vector<std::string_view>& patterns) {
  for (const std::string_view pattern : patterns) {
    if (is_pattern(pattern)) {
      if (glob_match(pattern, name, true)) return std::string(name);
    } else if (equals_ignoring_case(pattern, name)) {
      return std::string(pattern);
    }
  }
  return {};
}

/// Only to those who ask for databases, and not to `*`: who reads all settings and sets them again, as tools do that move
/// a server, would give every database values of its own, and the defaults would be without effect.
void append_databases(const std::vector<std::string_view>& patterns, const Config& config,
                      const std::function<bool(int)>& shown, std::vector<std::pair<std::string, std::string>>& found) {
  std::vector<std::string_view> names, asked;
  for (const std::string_view pattern : patterns)
    if (names_database(pattern)) (is_pattern(pattern) ? asked : names).push_back(pattern);
  std::set<Target> seen;
  const auto show = [&](std::string_view name, const Target& target) {
    if (shown && !shown(static_cast<int>(*target.database))) return;
    if (seen.insert(target).second) found.emplace_back(name, format(target, config));
  };
  if (!asked.empty())
    for (const auto& [name, target] : shown_database_targets(config))
      if (std::any_of(asked.begin(), asked.end(), [&](std::string_view pattern) { return glob_match(pattern, name, true); }))
        show(name, target);
  for (const std::string_view name : names)
    if (const auto target = find_target(name, config)) show(name, *target);
}

std::string set_failed(std::string_view name, std::string_view problem) {
  return fmt::format("ERR CONFIG SET failed (possibly related to argument '{}') - {}", name, problem);
}

/// What an error calls a setting: of a database, and by an alias, as the client wrote it.
std::string blamed_name(const Target& target, std::string_view name) {
  const bool as_written = target.database || equals_ignoring_case(name, target.directive->alias);
  return std::string(as_written ? name : target.directive->name);
}

/// Which of the changed settings a fault is about; the first where it is about none of them.
size_t position_at_fault(const ConfigFault& fault, const std::vector<std::string_view>& changed) {
  for (const std::string_view setting : fault.settings)
    for (size_t i = 0; i < changed.size(); ++i)
      if (changed[i] == setting || (names_database(changed[i]) && changed[i].substr(changed[i].rfind('.') + 1) == setting)) return i;
  return 0;
}

bool differs(const Target& target, const Config& one, const Config& other) {
  if (format(target, one) != format(target, other)) return true;
  if (!target.database) return false;
  const auto own = [&](const Config& config) { return config.database[*target.database].overrides(target.directive->name); };
  return own(one) != own(other);
}

bool permitted(std::string_view permission, bool local_client) {
  return permission == "yes" || (permission == "local" && local_client);
}

}  // namespace

ConfigStore::ConfigStore() : config_(default_config()) {}

std::optional<std::string> ConfigStore::load(const std::vector<std::string>& arguments) {
  Config config = config_;
  ConfigFile file;
  const bool has_file = !arguments.empty() && !arguments[0].starts_with("--");
  if (has_file) {
    file.path = arguments[0];
    Problem problem = read_file(file.path, file.text);
    if (!problem.empty()) return fmt::format("{}: {}", file.path, problem);
    problem = parse(file);
    if (problem.empty()) problem = server::apply(file, config);
    if (!problem.empty()) return problem;
    config.file = std::filesystem::absolute(file.path).lexically_normal().string();
  }
  if (arguments.size() > has_file && !is_option(arguments[has_file]))
    return fmt::format("command line: {}: not an option; usage: quartet [FILE.toml] [--name value ...]", arguments[has_file]);
  // What is said of one database comes last: how many there are, and their names and defaults, must be known.
  const auto options = split_options(arguments, has_file);
  for (const bool of_database : {false, true}) {
    if (of_database)
      if (Problem problem = apply_databases(file, config); !problem.empty()) return problem;
    for (const Option& option : options) {
      if (names_database(option.name) != of_database) continue;
      if (Problem problem = apply(option, config); !problem.empty()) return problem;
    }
  }
  config_ = std::move(config);
  return {};
}

std::vector<std::pair<std::string, std::string>> ConfigStore::get(const std::vector<std::string_view>& patterns,
                                                                  const std::function<bool(int)>& shown) const {
  std::vector<std::pair<std::string, std::string>> found;
  for (const Directive& directive : directives()) {
    if (directive.flags & Directive::Hidden) continue;
    for (const std::string_view name : {directive.name, directive.alias}) {
      if (name.empty()) continue;
      auto as_asked = shown_name(name, patterns);
      if (as_asked) found.emplace_back(std::move(*as_asked), format(directive, config_));
    }
  }
  append_databases(patterns, config_, shown, found);
  return found;
}

std::optional<std::string> ConfigStore::set(const std::vector<std::pair<std::string_view, std::string_view>>& pairs, bool local_client) {
  // All names are looked at before any value, as Redis does.
  std::vector<Target> targets;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const std::string_view name = pairs[i].first;
    const auto target = find_target(name, config_);
    if (!target || (target->directive->flags & Directive::Hidden)) return fmt::format("ERR Unknown option or number of arguments for CONFIG SET - '{}'", name);
    const uint8_t flags = target->directive->flags;
    if (flags & Directive::Immutable) return set_failed(name, "can't set immutable config");
    if ((flags & Directive::Protected) && !permitted(config_.enable_protected_configs, local_client))
      return set_failed(name, "can't set protected config");
    // A setting and its alias are two names, of which the later one wins; so are a database's number and name.
    if (std::any_of(pairs.begin(), pairs.begin() + static_cast<ptrdiff_t>(i),
                    [&](const auto& pair) { return equals_ignoring_case(pair.first, name); }))
      return set_failed(name, "duplicate parameter");
    targets.push_back(*target);
  }

  Config wanted = config_;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const Problem problem = assign(targets[i], wanted, pairs[i].second);
    if (problem.empty()) continue;
    return set_failed(blamed_name(targets[i], pairs[i].first), problem);
  }
  std::vector<std::string> names, blamed;
  std::set<Target> seen;
  for (size_t i = 0; i < targets.size(); ++i) {
    const bool applied = differs(targets[i], config_, wanted) || targets[i].directive->flags & Directive::Reload;
    if (!applied || !seen.insert(targets[i]).second) continue;
    names.push_back(indexed_name(targets[i]));
    blamed.push_back(blamed_name(targets[i], pairs[i].first));
  }
  const std::vector<std::string_view> changed(names.begin(), names.end());
  if (changed.empty()) return {};

  std::swap(config_, wanted);
  size_t notified = 0;
  const auto fault = notify(changed, notified);
  if (!fault) return {};
  std::swap(config_, wanted);
  // The old values were accepted before; a listener that cannot return to them has logged it.
  for (size_t i = 0; i < notified; ++i) std::ignore = listeners_[i](changed);
  return set_failed(blamed[position_at_fault(*fault, changed)], fault->problem);
}

std::optional<ConfigFault> ConfigStore::notify(const std::vector<std::string_view>& names, size_t& notified) const {
  for (const Listener& listener : listeners_) {
    ++notified;
    if (auto fault = listener(names)) return fault;
  }
  return {};
}

std::optional<std::string> ConfigStore::rewrite() {
  if (config_.file.empty()) return "ERR The server is running without a config file";
  const auto failed = [](const Problem& problem) { return fmt::format("ERR Rewriting config file: {}", problem); };
  std::error_code error;
  ConfigFile file;
  // Where the file is a link, its target is what is replaced.
  file.path = std::filesystem::canonical(config_.file, error).string();
  if (error) return failed(error.message());
  if (Problem problem = read_file(file.path, file.text); !problem.empty()) return failed(problem);
  if (Problem problem = parse(file); !problem.empty()) return failed(problem);

  std::string text = rewritten(file, config_);
  if (text == file.text) return {};
  // What is written is read back first: a value that TOML cannot hold (bytes that are not UTF-8) must not spoil the file.
  file.text = text;
  if (Problem problem = parse(file); !problem.empty()) return failed(problem);
  if (Problem problem = replace_file(file.path, text); !problem.empty()) return failed(problem);
  return {};
}

}  // namespace quartet::server
