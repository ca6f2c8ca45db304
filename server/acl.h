#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/acl_log.h"
#include "server/acl_rules.h"

namespace quartet::server {

/// The users of the server, and what they were refused. There is always `default`, as whom every connection begins.
/// A user that is changed stays where it is in memory; those that are removed are handed to the caller, because
/// connections still refer to them.
class Acl {
 public:
  using Users = std::map<std::string, std::unique_ptr<User>, std::less<>>;

  /// `default` may do everything and has the password of `requirepass`.
  Acl(const CommandTable& commands, const Config& config);

  const Users& users() const { return users_; }
  const User* find(std::string_view name) const;
  const User& default_user() const { return *default_; }
  /// May do nothing: the user of a connection whose own has been removed, until it is closed.
  const User& nobody() const { return nobody_; }
  /// May do everything: the user of what the server does by itself.
  const User& internal() const { return internal_; }

  /// The user that name and password let in; null where they do not. The time it takes does not tell whether there is such a user.
  const User* authenticate(std::string_view name, std::string_view password) const;

  /// Makes or changes a user by rules, all or none. On failure the text of the error reply; else `user` is the one.
  [[nodiscard]] std::optional<std::string> set(std::string_view name, Args rules, const User*& user);
  /// Null where there is no such user. REQUIRES: not `default`.
  std::unique_ptr<User> remove(std::string_view name);
  /// Gives `default` this password, and no other; none where it is empty (`requirepass`).
  void set_default_password(std::string_view password);

  /// Replaces all users by those of an ACL file, all or none; `default`, which stays where it is, is as at the beginning where the
  /// file does not have it. On failure what is wrong with which lines; else `replaced` are those that were there.
  [[nodiscard]] std::optional<std::string> load(std::string_view text, std::string_view path, std::vector<std::unique_ptr<User>>& replaced);
  /// The lines of ACL LIST, by name.
  std::vector<std::string> lines() const;
  /// The same as the setting `user` has them, without the word: `default` is left out where `requirepass` says it all.
  std::vector<std::string> configured_lines() const;

  AclTerms terms() const { return {commands_, config_}; }
  AclLog log;

 private:
  /// `default` as it is at the start, but with this password.
  User initial_default(std::string_view password) const;

  const CommandTable& commands_;
  const Config& config_;
  Users users_;
  User* default_;
  User nobody_, internal_;
};

}  // namespace quartet::server
