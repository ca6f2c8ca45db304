// Users and their clients: logging in, what is refused, and what happens to a client whose user is changed or removed.

#include <fmt/format.h>

#include <algorithm>

#include "base/numbers.h"
#include "server/client_info.h"
#include "server/config_file.h"
#include "server/denial_texts.h"
#include "server/server.h"

namespace quartet::server {

namespace {

AclLog::Reason log_reason(Denial::Reason reason) {
  switch (reason) {
    case Denial::Reason::Command: return AclLog::Reason::Command;
    case Denial::Reason::Key: return AclLog::Reason::Key;
    case Denial::Reason::Channel: return AclLog::Reason::Channel;
    case Denial::Reason::Database: break;
  }
  return AclLog::Reason::Database;
}

bool may_stay_subscribed(const Session& session) {
  const User& user = *session.user;
  const auto permitted = [&](const std::unordered_set<std::string>& names, bool patterns) {
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) { return user.permits_channel(name, patterns); });
  };
  return permitted(session.channels, false) && permitted(session.patterns, true) && permitted(session.shard_channels, false);
}

}  // namespace

std::optional<std::string> Server::load_users() {
  if (!config.users.empty() && !config.aclfile.empty())
    return "user and aclfile: users are either in the configuration or in an ACL file, not in both";
  std::vector<std::string_view> seen;
  for (const std::string& line : config.users) {
    const std::vector<std::string_view> words = split_words(line);
    const std::string_view name = words[0];
    if (std::find(seen.begin(), seen.end(), name) != seen.end())
      return fmt::format("user: {}: Duplicate user found. A user can only be defined once in config files", name);
    seen.push_back(name);
    // Whoever says what `default` may do says all of it: without this it would be laid over the user that may do everything.
    std::vector<std::string_view> rules(words.begin() + 1, words.end());
    if (name == acl.default_user().name) rules.insert(rules.begin(), "reset");
    const User* user;
    // The rule that is wrong may be a secret.
    if (const auto error = acl.set(name, rules, user))
      return fmt::format("user: {}: {}", name, error->substr(error->starts_with("ERR Error in") ? error->rfind("': ") + 3 : 4));
  }
  if (config.aclfile.empty()) return {};
  std::string text;
  if (const Problem problem = read_file(config.aclfile, text, limits::kAclFileBytes); !problem.empty())
    return fmt::format("aclfile: {}: {}", config.aclfile, problem);
  std::vector<std::unique_ptr<User>> replaced;
  if (const auto errors = acl.load(text, config.aclfile, replaced)) return fmt::format("aclfile: {}", *errors);
  return {};
}

std::unique_ptr<Session> Server::make_session() {
  auto session = std::make_unique<Session>(0, pool_);
  session->user = &acl.internal();
  return session;
}

// --- Logging in -------------------------------------------------------------------------------------------------------

bool Server::must_wait_to_log_in(Session& session, Args args, const Time& now) {
  if (std::exchange(session.login_due, false)) return false;
  // Who is known already does so with AUTH by its name, and with HELLO by an option.
  const auto says_auth = [](std::string_view word) { return equals_ignoring_case(word, "AUTH"); };
  if (!must_log_in(session) && (session.memcached || std::none_of(args.begin(), args.end(), says_auth))) return false;
  const int64_t delay_ms = login_throttle_.delay_ms(session.address, now);
  if (delay_ms == 0) return false;
  login_throttle_.hold(session.id, now.mono_us + delay_ms * 1000);
  return true;
}

bool Server::log_in(Context& ctx, std::string_view name, std::string_view password, std::string_view& error) {
  Session& session = ctx.session;
  // Within a transaction nothing can wait, and so nothing is tried.
  error = "ERR Too many failed logins from this address: nobody can log in within a transaction";
  if (ctx.deny_blocking && login_throttle_.delay_ms(session.address, ctx.now) > 0) return false;
  if (const User* user = acl.authenticate(name, password)) {
    session.user = user;
    session.authenticated = true;
    return true;
  }
  acl.log.add(AclLog::Reason::Auth, ctx.deny_blocking ? AclLog::Source::Multi : AclLog::Source::TopLevel, ctx.arg(0), name,
              client_info(session, ctx.now), ctx.now, static_cast<size_t>(config.acllog_max_len));
  login_throttle_.failed(session.address, ctx.now);
  // A name that does not exist may be a password in the wrong place.
  about_clients_.write(log, LogLevel::Notice, ctx.now, "Failed login of client id={} addr={} as {}", session.id, session.address,
                       acl.find(name) ? quoted_form(name) : "an unknown user");
  error = "WRONGPASS invalid username-password pair or user is disabled.";
  return false;
}

// --- Permissions ------------------------------------------------------------------------------------------------------

bool Server::permitted(Session& session, const CommandEntry& command, Args args) {
  const auto denied = denial(*session.user, session.database_of(command), command, args);
  if (!denied) return true;
  log_denial(session, session.in_multi ? AclLog::Source::Multi : AclLog::Source::TopLevel, *denied, command, args);
  reject(session, command, noperm_reply(*denied, command, config));
  return false;
}

void Server::log_denial(const Session& session, AclLog::Source source, const Denial& denial, const CommandEntry& command, Args args) {
  const Time now = clock.now();
  acl.log.add(log_reason(denial.reason), source, denied_object(denial, command, args, config), session.user->name,
              client_info(session, now), now, static_cast<size_t>(config.acllog_max_len));
}

void Server::user_changed(const User& user) {
  for (const auto& [id, session] : sessions_) {
    if (session->user != &user || session->closing) continue;
    if (!may_stay_subscribed(*session)) {
      disconnect(*session, session->executing);
      continue;
    }
    if (!session->blocked) continue;
    const BlockedCommand& blocked = *session->blocked;
    const std::vector<std::string_view> args(blocked.arguments.begin(), blocked.arguments.end());
    const CommandEntry& command = *blocked.command;
    const auto denied = denial(user, blocked.database, command, args);
    if (!denied) continue;
    log_denial(*session, AclLog::Source::TopLevel, *denied, command, args);
    blocking.unblock(*session, noperm_reply(*denied, command, config));
  }
}

void Server::users_removed(std::span<const std::unique_ptr<User>> users) {
  std::unordered_set<const User*> removed;
  for (const auto& user : users) removed.insert(user.get());
  for (const auto& [id, session] : sessions_) {
    if (!removed.contains(session->user)) continue;
    session->user = &acl.nobody();
    session->authenticated = false;
    if (!session->closing) disconnect(*session, session->executing);
  }
  // Those whose clients have gone away, but whose commands go on.
  for (Session* session : long_commands.left_sessions())
    if (removed.contains(session->user)) session->user = &acl.nobody();
}

}  // namespace quartet::server
