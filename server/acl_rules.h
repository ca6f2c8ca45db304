#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config_values.h"
#include "server/user.h"

/// The language of the ACL: what rules do to a user, and the rules that describe one. As in Redis 7.0, and beyond it the rules
/// for databases of Valkey 9.1, `db=0,3`, `alldbs` and `resetdbs`, that take names too: `db=cache,3`.
namespace quartet::server {

/// What rules name and depend on.
struct AclTerms {
  const CommandTable& commands;
  const Config& config;
};

/// The text of the problem with a command or a category that does not exist.
inline constexpr std::string_view kUnknownCommand = "Unknown command or category name in ACL";

/// Applies one rule. On failure the reason, as Redis words it; the user may then be anything.
[[nodiscard]] Problem apply_rule(User& user, std::string_view rule, const AclTerms& terms);

/// A new user, before any rule.
User make_user(std::string_view name, const AclTerms& terms);

/// Whether rules, and their likes, can be told apart again where the text stands between spaces in a line.
bool fits_in_line(std::string_view text);

/// Puts together what was separated by spaces within parentheses: `(+get` and `~x)` is one rule. False where a parenthesis is
/// left open, with the argument where that begins in `unmatched`.
[[nodiscard]] bool join_selectors(Args words, std::vector<std::string>& rules, std::string_view& unmatched);

// Descriptions are rules that make the same user again.
std::string describe_commands(const Selector& selector);
std::string describe_keys(const Selector& selector);
std::string describe_channels(const Selector& selector);
/// "alldbs", "db=cache,3", or nothing where there are none, which as a rule is `resetdbs`.
std::string describe_databases(const Selector& selector, const Config& config);
/// The words that `flags` of ACL GETUSER has, and with which a line of ACL LIST begins.
std::vector<std::string_view> describe_flags(const User& user);
/// A line of ACL LIST and of ACL files: "user alice on #... ~* resetchannels -@all +get".
std::string describe(const User& user, const Config& config);

}  // namespace quartet::server
