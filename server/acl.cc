#include "server/acl.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"

namespace quartet::server {

namespace {

constexpr std::string_view kDefaultName = "default";
constexpr std::string_view kNoChange = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const size_t begin = line.find_first_not_of(kSpaces);
  return begin == std::string_view::npos ? std::string_view() : line.substr(begin, line.find_last_not_of(kSpaces) - begin + 1);
}

void permit_all(User& user) {
  user.enabled = true;
  user.root.all_commands = user.root.all_keys = user.root.all_channels = true;
  user.root.commands = CommandSet(user.root.command_count, true);
  user.settle();
}

/// This password and no other; none where it is empty.
void give_password(User& user, std::string_view password) {
  user.passwords.clear();
  user.nopass = password.empty();
  if (!password.empty()) user.passwords.push_back(PasswordHash::of(password));
}

/// Reads a line of an ACL file into `users`; appends what is wrong with it to `errors`, as Redis words it.
void read_line(std::string_view line, std::string_view where, const AclTerms& terms, Acl::Users& users, std::string& errors) {
  const std::vector<std::string_view> words = split_words(line);
  if (words[0] != "user" || words.size() < 2) {
    errors += fmt::format("{} should start with user keyword followed by the username. ", where);
    return;
  }
  const std::string_view name = words[1];
  if (!fits_in_line(name)) {
    errors += fmt::format("'{}: username '{}' contains invalid characters. ", where, name);
    return;
  }
  if (users.contains(name)) {
    errors += fmt::format("WARNING: Duplicate user '{}' found on line {}. ", name, where.substr(where.rfind(':') + 1));
    return;
  }
  std::vector<std::string> rules;
  std::string_view unmatched;
  if (line.size() > limits::kAclUserBytes) {
    errors += fmt::format("{}: Too many rules. ", where);
    return;
  }
  if (!join_selectors(Args(words).subspan(2), rules, unmatched)) {
    errors += fmt::format("{}: Unmatched parenthesis in selector definition.", where);
    return;
  }
  auto user = std::make_unique<User>(make_user(name, terms));
  // Every unknown command is told, and of all else what is wrong first.
  bool other_told = false;
  for (const std::string& rule : rules) {
    const Problem problem = apply_rule(*user, rule, terms);
    if (problem == kUnknownCommand) {
      errors += fmt::format("{}: Error in applying operation '{}': {}. ", where, rule, problem);
    } else if (!problem.empty() && !std::exchange(other_told, true)) {
      errors += fmt::format("{}: {}. ", where, problem);
    }
  }
  user->settle();
  users.emplace(name, std::move(user));
}

}  // namespace

Acl::Acl(const CommandTable& commands, const Config& config)
    : commands_(commands), config_(config), nobody_("", commands.id_count(), config.database.size()),
      internal_("", commands.id_count(), config.database.size()) {
  permit_all(internal_);
  auto user = std::make_unique<User>(initial_default(config.requirepass));
  default_ = user.get();
  users_.emplace(kDefaultName, std::move(user));
}

User Acl::initial_default(std::string_view password) const {
  User user = make_user(kDefaultName, terms());
  permit_all(user);
  give_password(user, password);
  return user;
}

void Acl::set_default_password(std::string_view password) { give_password(*default_, password); }

const User* Acl::find(std::string_view name) const {
  const auto found = users_.find(name);
  return found == users_.end() ? nullptr : found->second.get();
}

const User* Acl::authenticate(std::string_view name, std::string_view password) const {
  const PasswordHash hash = PasswordHash::of(password);
  const User* user = find(name);
  const bool known = (user ? *user : nobody_).has_password(hash);
  return user && user->enabled && (user->nopass || known) ? user : nullptr;
}

std::optional<std::string> Acl::set(std::string_view name, Args words, const User*& user) {
  if (!fits_in_line(name)) return "ERR Usernames can't contain spaces or null characters";
  size_t bytes = 0;
  for (const std::string_view word : words) bytes += word.size() + 1;
  if (bytes > limits::kAclUserBytes) return fmt::format("ERR The rules of one ACL SETUSER are longer than {} bytes", limits::kAclUserBytes);
  std::vector<std::string> rules;
  std::string_view unmatched;
  if (!join_selectors(words, rules, unmatched)) return fmt::format("ERR Unmatched parenthesis in acl selector starting at '{}'.", unmatched);
  const User* old = find(name);
  User changed = old ? *old : make_user(name, terms());
  for (const std::string& rule : rules)
    if (const Problem problem = apply_rule(changed, rule, terms()); !problem.empty())
      return fmt::format("ERR Error in ACL SETUSER modifier '{}': {}", rule.substr(0, rule.find('\0')), problem);
  changed.settle();
  std::unique_ptr<User>& place = users_[std::string(name)];
  if (place) *place = std::move(changed);
  else place = std::make_unique<User>(std::move(changed));
  user = place.get();
  return {};
}

std::unique_ptr<User> Acl::remove(std::string_view name) {
  const auto found = users_.find(name);
  if (found == users_.end()) return nullptr;
  std::unique_ptr<User> user = std::move(found->second);
  users_.erase(found);
  return user;
}

std::optional<std::string> Acl::load(std::string_view text, std::string_view path, std::vector<std::unique_ptr<User>>& replaced) {
  Users users;
  std::string errors;
  size_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    ++number;
    begin = end + 1;
    if (!line.empty()) read_line(line, fmt::format("{}:{}", path, number), terms(), users, errors);
    if (errors.size() > limits::kAclUserBytes) break;
  }
  if (!errors.empty()) return errors + std::string(kNoChange);

  std::unique_ptr<User>& fresh = users[std::string(kDefaultName)];
  *default_ = fresh ? std::move(*fresh) : initial_default(config_.requirepass);
  fresh = std::move(users_.find(kDefaultName)->second);
  users_.swap(users);
  for (auto& [name, user] : users)
    if (user) replaced.push_back(std::move(user));
  return {};
}

std::vector<std::string> Acl::lines() const {
  std::vector<std::string> lines;
  for (const auto& [name, user] : users_) lines.push_back(describe(*user, config_));
  return lines;
}

std::vector<std::string> Acl::configured_lines() const {
  constexpr std::string_view kWord = "user ";
  std::vector<std::string> lines;
  const std::string usual = describe(initial_default(config_.requirepass), config_);
  for (const std::string& line : this->lines())
    if (line != usual) lines.push_back(line.substr(kWord.size()));
  return lines;
}

}  // namespace quartet::server
