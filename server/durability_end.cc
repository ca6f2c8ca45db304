// The end: SHUTDOWN, which may be refused, and SIGTERM, which may not.

#include <fmt/format.h>

#include "server/durability.h"
#include "server/server.h"

namespace quartet::server {

void Durability::shut_down(Save save_wanted, bool force, std::function<void(bool)> ended) {
  if (loading_) return ended(true);  // nothing has changed
  server_.long_commands.finish_writers();
  if (saving_.running() && !rewriting()) saving_.abort("the server is shutting down");
  if (save_wanted == Save::Yes || (save_wanted == Save::AsConfigured && saves_by_rule())) {
    if (const Result<void> saved = save(); !saved && !force) return ended(false);
  }
  begin_shutdown(force, false, std::move(ended));
}

void Durability::terminate(std::function<void(bool)> ended, std::function<void()> aborted) {
  if (loading_) return ended(true);
  server_.long_commands.finish_writers();
  if (saving_.running() && !rewriting()) saving_.abort("the server is shutting down");
  const bool lost = saves_by_rule() && !save() && say_not_saved();
  begin_shutdown(true, true, [this, lost, ended = std::move(ended), aborted = std::move(aborted)](bool ends) {
    ends ? ended(!lost && (!log_ || all_durable())) : aborted();
  });
}

void Durability::begin_shutdown(bool force, bool patient, std::function<void(bool)> ended) {
  if (!log_) return ended(true);
  log_->request_sync();
  shutdown_ = {force, patient, server_.clock.now().mono_us + server_.config.shutdown_timeout * 1'000'000, std::move(ended)};
  shutdown_step();
}

void Durability::shutdown_step() {
  const bool durable = all_durable();
  const bool late = server_.clock.now().mono_us >= shutdown_->deadline_us;
  if (!durable && !late && (!log_->failure() || shutdown_->patient)) return;
  const Shutdown shutdown = std::move(*shutdown_);
  shutdown_.reset();
  if (!durable) say_not_durable();
  shutdown.ended(durable || shutdown.force);
}

bool Durability::all_durable() const { return log_->whole() && log_->durable() == log_->position(); }

void Durability::say_not_durable() const {
  std::string names;
  for (const auto& database : server_.databases)
    if (log_->logs(database->index()) && (database->size() > 0 || server_.stats.database(database->index()).dirty > 0))
      names += (names.empty() ? "" : ", ") + server_.database_name(database->index());
  std::string since = "it takes longer than shutdown-timeout";
  if (const std::optional<Error>& failure = log_->failure())
    since = fmt::format("{}, for {} seconds", failure->text, (server_.clock.now().mono_us - log_failing_since_us_) / 1'000'000);
  server_.log.warning("Not everything is on disk: {} bytes of changes are missing in the append-only file in {} (databases {}): {}",
                      log_->position() - log_->durable(), log_->directory(), names.empty() ? "-" : names, since);
}

/// Whether changes are lost by that: not those that the append-only file has.
bool Durability::say_not_saved() const {
  const int64_t age_s = server_.clock.now().wall_us / 1'000'000 - outcomes_.last_save_s;
  bool lost = false;
  for (const auto& database : server_.databases) {
    const uint64_t changes = server_.stats.database(database->index()).dirty;
    if (changes == 0 || !is_kept(database->index()) || (log_ && log_->logs(database->index()))) continue;
    server_.log.warning("{} changes of database {} since the last snapshot, {} seconds ago, are missing in {}/{}", changes,
                        server_.database_name(database->index()), age_s, server_.config.dir, server_.config.dbfilename);
    lost = true;
  }
  return lost;
}

bool Durability::abort_shutdown() {
  // Where half a unit was abandoned, memory holds what the files do not, and there is no way back.
  if (!shutdown_ || server_.feed.abandoned()) return false;
  const Shutdown shutdown = std::move(*shutdown_);
  shutdown_.reset();
  shutdown.ended(false);
  return true;
}

}  // namespace quartet::server
