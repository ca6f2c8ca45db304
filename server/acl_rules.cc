#include "server/acl_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "base/numbers.h"
#include "server/config_target.h"

namespace quartet::server {

namespace {

constexpr std::string_view kSyntaxError = "Syntax error";
constexpr std::string_view kMemcachedPrefix = "memcached|";
constexpr std::string_view kTooMany = "Too many rules of one kind";
constexpr std::string_view kBadHash = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
constexpr std::string_view kNoSuchPassword = "The password you are trying to remove from the user does not exist";
constexpr std::string_view kAfterAllKeys =
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to "
    "start with an empty list of patterns";
constexpr std::string_view kAfterAllChannels =
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try "
    "'resetchannels' to start with an empty list of channels";

Problem problem(std::string_view text) { return std::string(text); }

template <class T>
bool is_full(const std::vector<T>& rules) {
  return rules.size() >= limits::kAclRules;
}

// --- Commands ---------------------------------------------------------------------------------------------------------

void set_all_commands(Selector& selector, bool permitted) {
  selector.all_commands = permitted;
  selector.rules.clear();
  selector.first_arguments.clear();
  selector.commands = CommandSet(selector.command_count, permitted);
}

/// Adds a rule about whole commands. Rules are kept only as far as they have an effect: those that are about nothing else
/// than the new one go, and then all of which what stands before them says the same, the new one too.
Problem add_command_rule(Selector& selector, CommandRule rule) {
  if (is_full(selector.rules)) return problem(kTooMany);
  std::erase_if(selector.rules, [&](const CommandRule& earlier) { return rule.commands.includes(earlier.commands); });
  std::erase_if(selector.first_arguments, [&](const auto& item) { return rule.commands.contains(item.first); });
  selector.commands.change(rule.commands, rule.permits);
  selector.rules.push_back(std::move(rule));
  CommandSet before(selector.command_count, selector.all_commands);
  std::vector<CommandRule> effective;
  for (CommandRule& each : selector.rules)
    if (each.about_argument || before.change(each.commands, each.permits)) effective.push_back(std::move(each));
  selector.rules = std::move(effective);
  return {};
}

Problem add_category_rule(Selector& selector, bool permits, std::string_view name, const AclTerms& terms) {
  if (equals_ignoring_case(name, "all")) {
    set_all_commands(selector, permits);
    return {};
  }
  const uint32_t category = category_bit(name);
  if (!category) return problem(kUnknownCommand);
  CommandRule rule{permits, to_lower(fmt::format("@{}", name)), CommandSet(selector.command_count)};
  const auto add = [&](const auto& command) {
    if (command.categories & category) rule.commands.add(command.id);
  };
  terms.commands.for_each_acl_name(add);
  terms.commands.for_each_memcached(add);
  return add_command_rule(selector, std::move(rule));
}

/// A rule about a command with all its subcommands.
CommandRule whole_command(const Selector& selector, bool permits, const AclName& command, const AclTerms& terms) {
  CommandRule rule{permits, std::string(command.name), CommandSet(selector.command_count)};
  rule.commands.add(command.id);
  terms.commands.for_each_acl_name([&](const AclName& other) {
    if (other.is_subcommand_of(command.name)) rule.commands.add(other.id);
  });
  return rule;
}

/// `+select|0`: where only the first argument is permitted.
Problem add_first_argument(Selector& selector, const AclName& command, std::string_view argument) {
  if (argument.empty() || !fits_in_line(argument)) return problem(kSyntaxError);
  if (selector.commands.contains(command.id)) return {};
  std::vector<std::string>& arguments = selector.first_arguments[command.id];
  const auto same = [&](const std::string& other) { return equals_ignoring_case(other, argument); };
  if (std::any_of(arguments.begin(), arguments.end(), same)) return {};
  if (is_full(arguments) || is_full(selector.rules)) return problem(kTooMany);
  arguments.emplace_back(argument);
  selector.rules.push_back({true, fmt::format("{}|{}", command.name, argument), CommandSet(selector.command_count), true});
  selector.rules.back().commands.add(command.id);
  return {};
}

/// `+memcached|get`: the commands of memcached's protocol.
Problem add_memcached_command(Selector& selector, bool permits, std::string_view name, const AclTerms& terms) {
  const CommandEntry* command = terms.commands.find_memcached(to_lower(name));
  if (!command || (command->flags & kInternal)) return problem(kUnknownCommand);
  CommandRule rule{permits, command->full_name, CommandSet(selector.command_count)};
  rule.commands.add(command->id);
  for (const auto& sub : command->subcommands) rule.commands.add(sub->id);
  return add_command_rule(selector, std::move(rule));
}

/// What is no name of a command, but may be one with a first argument.
Problem add_with_argument(Selector& selector, std::string_view name, const AclTerms& terms) {
  const size_t bar = name.find('|');
  const auto command = terms.commands.find_acl_name(name.substr(0, bar));
  if (!command) return problem(kUnknownCommand);
  const std::string_view argument = name.substr(bar + 1);
  const size_t second_bar = argument.find('|');
  if (second_bar != std::string_view::npos)
    return problem(terms.commands.find_acl_name(name.substr(0, bar + 1 + second_bar)) ? "Allowing first-arg of a subcommand is not supported"
                                                                                      : kUnknownCommand);
  if (terms.commands.has_subcommands(command->name)) return problem(argument.empty() ? kSyntaxError : kUnknownCommand);
  return add_first_argument(selector, *command, argument);
}

Problem add_command(Selector& selector, bool permits, std::string_view name, const AclTerms& terms) {
  if (name.starts_with('@')) return add_category_rule(selector, permits, name.substr(1), terms);
  if (equals_ignoring_case(name.substr(0, kMemcachedPrefix.size()), kMemcachedPrefix))
    return add_memcached_command(selector, permits, name.substr(kMemcachedPrefix.size()), terms);
  if (const auto command = terms.commands.find_acl_name(name))
    return add_command_rule(selector, whole_command(selector, permits, *command, terms));
  if (permits && name.find('|') != std::string_view::npos) return add_with_argument(selector, name, terms);
  return problem(kUnknownCommand);
}

// --- Keys and channels ------------------------------------------------------------------------------------------------

/// `~glob`, `%R~glob`, `%RW~glob`.
Problem add_key_pattern(Selector& selector, std::string_view rule) {
  std::string_view glob = rule.substr(1);
  uint8_t permissions = kMayRead | kMayWrite;
  if (selector.all_keys) return rule == "~*" ? Problem() : problem(kAfterAllKeys);
  if (rule.front() == '%') {
    // Redis takes the tilde for given where nothing stands behind the letters.
    const size_t tilde = std::min(glob.find('~'), glob.size());
    permissions = 0;
    for (const char letter : glob.substr(0, tilde)) {
      const uint8_t permission = letter == 'R' || letter == 'r' ? kMayRead : letter == 'W' || letter == 'w' ? kMayWrite : 0;
      if (permission == 0 || (permissions & permission)) return problem(kSyntaxError);
      permissions |= permission;
    }
    if (permissions == 0) return problem(kSyntaxError);
    glob.remove_prefix(std::min(tilde + 1, glob.size()));
  }
  if (!fits_in_line(glob)) return problem(kSyntaxError);
  if (glob == "*" && permissions == (kMayRead | kMayWrite)) {
    selector.all_keys = true;
    selector.keys.clear();
    return {};
  }
  const auto same = std::find_if(selector.keys.begin(), selector.keys.end(), [&](const KeyPattern& pattern) { return pattern.glob == glob; });
  if (same != selector.keys.end()) {
    same->permissions |= permissions;
    return {};
  }
  if (is_full(selector.keys)) return problem(kTooMany);
  selector.keys.push_back({std::string(glob), permissions});
  return {};
}

Problem add_channel(Selector& selector, std::string_view glob) {
  if (selector.all_channels) return glob == "*" ? Problem() : problem(kAfterAllChannels);
  if (!fits_in_line(glob)) return problem(kSyntaxError);
  if (glob == "*") {
    selector.all_channels = true;
    selector.channels.clear();
    return {};
  }
  if (std::find(selector.channels.begin(), selector.channels.end(), glob) != selector.channels.end()) return {};
  if (is_full(selector.channels)) return problem(kTooMany);
  selector.channels.emplace_back(glob);
  return {};
}

// --- Selectors --------------------------------------------------------------------------------------------------------

void reset_channels(Selector& selector) {
  selector.all_channels = false;
  selector.channels.clear();
}

void reset_keys(Selector& selector) {
  selector.all_keys = false;
  selector.keys.clear();
}

// --- Databases --------------------------------------------------------------------------------------------------------

void reset_databases(Selector& selector, bool all) {
  selector.all_databases = all;
  selector.databases.assign(selector.databases.size(), false);
}

/// `db=cache,3`: these and no others.
Problem set_databases(Selector& selector, std::string_view list, const AclTerms& terms) {
  std::vector<bool> databases(selector.databases.size());
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string_view word = list.substr(begin, end - begin);
    if (word.empty()) return problem(kSyntaxError);
    const auto index = find_database(word, terms.config);
    if (!index) return parse_int(word) ? "The provided database ID is out of range" : "Unknown database in ACL";
    databases[*index] = true;
    begin = end + 1;
  }
  selector.all_databases = false;
  selector.databases = std::move(databases);
  return {};
}

Problem apply_rule(Selector& selector, std::string_view rule, const AclTerms& terms) {
  constexpr std::string_view kDatabases = "db=";
  if (equals_ignoring_case(rule, "allkeys") || rule == "~*") {
    reset_keys(selector);
    selector.all_keys = true;
  } else if (equals_ignoring_case(rule, "resetkeys")) {
    reset_keys(selector);
  } else if (equals_ignoring_case(rule, "allchannels") || rule == "&*") {
    reset_channels(selector);
    selector.all_channels = true;
  } else if (equals_ignoring_case(rule, "resetchannels")) {
    reset_channels(selector);
  } else if (equals_ignoring_case(rule, "allcommands")) {
    set_all_commands(selector, true);
  } else if (equals_ignoring_case(rule, "nocommands")) {
    set_all_commands(selector, false);
  } else if (equals_ignoring_case(rule, "alldbs")) {
    reset_databases(selector, true);
  } else if (equals_ignoring_case(rule, "resetdbs")) {
    reset_databases(selector, false);
  } else if (equals_ignoring_case(rule.substr(0, kDatabases.size()), kDatabases)) {
    return set_databases(selector, rule.substr(kDatabases.size()), terms);
  } else if (rule.starts_with('~') || rule.starts_with('%')) {
    return add_key_pattern(selector, rule);
  } else if (rule.starts_with('&')) {
    return add_channel(selector, rule.substr(1));
  } else if (rule.starts_with('+') || rule.starts_with('-')) {
    return add_command(selector, rule.front() == '+', rule.substr(1), terms);
  } else {
    return problem(kSyntaxError);
  }
  return {};
}

Selector make_selector(const AclTerms& terms) {
  Selector selector(terms.commands.id_count(), terms.config.database.size());
  selector.all_channels = terms.config.acl_pubsub_default == "allchannels";
  return selector;
}

/// The rules between the parentheses, which are separated by any number of spaces.
Problem add_selector(User& user, std::string_view inner, const AclTerms& terms) {
  if (is_full(user.selectors)) return problem(kTooMany);
  Selector selector = make_selector(terms);
  for (const std::string_view rule : split_words(inner)) {
    if (rule.empty()) continue;
    if (Problem found = apply_rule(selector, rule, terms); !found.empty()) return found;
  }
  user.selectors.push_back(std::move(selector));
  return {};
}

// --- Users ------------------------------------------------------------------------------------------------------------

Problem add_password(User& user, const PasswordHash& password) {
  user.nopass = false;
  if (user.has_password(password)) return {};
  if (is_full(user.passwords)) return problem(kTooMany);
  user.passwords.push_back(password);
  return {};
}

Problem remove_password(User& user, const PasswordHash& password) {
  const size_t removed = std::erase_if(user.passwords, [&](const PasswordHash& own) { return own.same_as(password); });
  return removed ? Problem() : problem(kNoSuchPassword);
}

Problem apply_password_rule(User& user, char sign, std::string_view secret) {
  const bool hashed = sign == '#' || sign == '!';
  if (hashed && !PasswordHash::is_digest(secret)) return problem(kBadHash);
  const PasswordHash password = hashed ? PasswordHash::from_digest(secret) : PasswordHash::of(secret);
  return sign == '>' || sign == '#' ? add_password(user, password) : remove_password(user, password);
}

void reset_passwords(User& user) {
  user.nopass = false;
  user.passwords.clear();
}

}  // namespace

bool fits_in_line(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c == ' ' || c == '\0' || (c >= '\t' && c <= '\r'); });
}

User make_user(std::string_view name, const AclTerms& terms) {
  User user(name, terms.commands.id_count(), terms.config.database.size());
  user.root = make_selector(terms);
  return user;
}

Problem apply_rule(User& user, std::string_view rule, const AclTerms& terms) {
  if (rule.empty()) return {};
  if (rule.find_first_of("><#!") == 0) return apply_password_rule(user, rule.front(), rule.substr(1));
  // As in Redis, a NUL ends what is no secret and no pattern.
  if (rule.find_first_of("~%&(") != 0) rule = rule.substr(0, rule.find('\0'));
  if (rule.front() == '(' && rule.back() == ')') return add_selector(user, rule.substr(1, rule.size() - 2), terms);
  if (equals_ignoring_case(rule, "on")) {
    user.enabled = true;
  } else if (equals_ignoring_case(rule, "off")) {
    user.enabled = false;
  } else if (equals_ignoring_case(rule, "nopass")) {
    reset_passwords(user);
    user.nopass = true;
  } else if (equals_ignoring_case(rule, "resetpass")) {
    reset_passwords(user);
  } else if (equals_ignoring_case(rule, "sanitize-payload")) {
    user.payloads = User::Payloads::Sanitized;
  } else if (equals_ignoring_case(rule, "skip-sanitize-payload")) {
    user.payloads = User::Payloads::Trusted;
  } else if (equals_ignoring_case(rule, "clearselectors")) {
    user.selectors.clear();
  } else if (equals_ignoring_case(rule, "reset")) {
    user = make_user(std::string(user.name), terms);
    user.payloads = User::Payloads::Sanitized;
  } else {
    return apply_rule(user.root, rule, terms);
  }
  return {};
}

bool join_selectors(Args words, std::vector<std::string>& rules, std::string_view& unmatched) {
  bool open = false;
  for (const std::string_view word : words) {
    if (open) {
      rules.back() += ' ';
      rules.back() += word;
    } else {
      rules.emplace_back(word);
      unmatched = word;
      open = word.starts_with('(');
    }
    if (open && word.ends_with(')')) open = false;
  }
  return !open;
}

// --- Descriptions -----------------------------------------------------------------------------------------------------

std::string describe_commands(const Selector& selector) {
  std::string text = selector.all_commands ? "+@all" : "-@all";
  for (const CommandRule& rule : selector.rules) text += fmt::format(" {}{}", rule.permits ? '+' : '-', rule.name);
  return text;
}

std::string describe_keys(const Selector& selector) {
  if (selector.all_keys) return "~*";
  std::string text;
  for (const KeyPattern& pattern : selector.keys) {
    const std::string_view sign = pattern.permissions == kMayRead ? "%R~" : pattern.permissions == kMayWrite ? "%W~" : "~";
    text += fmt::format("{}{}{}", text.empty() ? "" : " ", sign, pattern.glob);
  }
  return text;
}

std::string describe_channels(const Selector& selector) {
  if (selector.all_channels) return "&*";
  std::string text;
  for (const std::string& channel : selector.channels) text += fmt::format("{}&{}", text.empty() ? "" : " ", channel);
  return text;
}

std::string describe_databases(const Selector& selector, const Config& config) {
  if (selector.all_databases) return "alldbs";
  std::string text;
  for (size_t i = 0; i < selector.databases.size(); ++i)
    if (selector.databases[i]) text += fmt::format("{}{}", text.empty() ? "db=" : ",", database_name(static_cast<int>(i), config));
  return text;
}

std::vector<std::string_view> describe_flags(const User& user) {
  std::vector<std::string_view> flags = {user.enabled ? "on" : "off"};
  if (user.nopass) flags.push_back("nopass");
  if (user.payloads == User::Payloads::Trusted) flags.push_back("skip-sanitize-payload");
  if (user.payloads == User::Payloads::Sanitized) flags.push_back("sanitize-payload");
  return flags;
}

namespace {

/// Keys, channels, databases and commands, in the order in which a line has them.
std::string describe(const Selector& selector, const Config& config) {
  std::string text;
  const auto add = [&](std::string_view rules) {
    if (!rules.empty()) text += fmt::format("{}{}", text.empty() ? "" : " ", rules);
  };
  add(describe_keys(selector));
  if (!selector.all_channels) add("resetchannels");
  add(describe_channels(selector));
  if (!selector.all_databases) {
    const std::string databases = describe_databases(selector, config);
    add(databases.empty() ? "resetdbs" : databases);
  }
  add(describe_commands(selector));
  return text;
}

}  // namespace

std::string describe(const User& user, const Config& config) {
  std::string line = "user " + user.name;
  for (const std::string_view flag : describe_flags(user)) line += fmt::format(" {}", flag);
  for (const PasswordHash& password : user.passwords) line += fmt::format(" #{}", password.digits());
  line += fmt::format(" {}", describe(user.root, config));
  for (const Selector& selector : user.selectors) line += fmt::format(" ({})", describe(selector, config));
  return line;
}

}  // namespace quartet::server
