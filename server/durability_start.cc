// The start: what there is to load, taken over from other servers or not, and the log that goes on with it.

#include <fmt/format.h>

#include <algorithm>

#include "server/durability.h"
#include "server/server.h"

namespace quartet::server {

namespace {

/// A slice of loading takes about so long; clients are told LOADING in between.
constexpr int64_t kLoadSliceUs = 10'000;

}  // namespace

/// Redis before 7.0 had one file, which 7.0 makes the base of its own, without reading it. That it has been moved is known by the
/// manifest; where the process ended in between, it is in the new place without one.
std::optional<std::string> Durability::take_over_old_log() {
  const Config& config = server_.config;
  const auto has = [&](const std::string& directory) -> Result<bool> {
    const Result<std::vector<std::string>> names = disk_.list(directory);
    if (!names) return names.error();
    return std::find(names->begin(), names->end(), config.appendfilename) != names->end();
  };
  const Result<bool> old = has(config.dir), moved = has(begins_in_);
  if (!old) return old.error().text;
  if (!moved) return moved.error().text;
  const std::string from = config.dir + "/" + config.appendfilename, to = begins_in_ + "/" + config.appendfilename;
  if (!manifest_.empty()) {
    if (*old) server_.log.warning("{} is not loaded, because {} holds an append-only file that is newer", from, begins_in_);
    return {};
  }
  if (!*old && !*moved) return {};
  if (*old && *moved) return fmt::format("there are {} and {}, and no manifest says which of them counts: move one away", from, to);
  if (*old) {
    if (Result<void> done = disk_.rename(from, to); !done) return done.error().text;
    if (Result<void> done = disk_.sync_directory(begins_in_); !done) return done.error().text;
    if (Result<void> done = disk_.sync_directory(config.dir); !done) return done.error().text;
  }
  manifest_.base = {config.appendfilename, 1};
  if (Result<void> done = persistence::write_manifest(disk_, begins_in_, config.appendfilename, manifest_); !done) return done.error().text;
  server_.log.notice("{}, as Redis before 7.0 wrote it, is taken over into {}", from, begins_in_);
  return {};
}

/// Increments without a manifest may be what is left of somebody's data. Our own that the manifest did not come to name begin with
/// an annotation, and nobody was told of what is in them.
std::optional<std::string> Durability::check_unnamed_files() {
  if (!manifest_.empty()) return {};
  const Result<std::vector<std::string>> names = disk_.list(begins_in_);
  if (!names) return names.error().text;
  for (const std::string& name : *names) {
    if (!persistence::is_base_or_increment(server_.config.appendfilename, name) || !name.ends_with(".aof")) continue;
    const std::string path = begins_in_ + "/" + name;
    Result<std::unique_ptr<persistence::File>> file = disk_.open_read(path);
    if (!file) return file.error().text;
    char first = '#';
    if (const Result<size_t> read = (*file)->read(0, {&first, 1}); !read) return read.error().text;
    if (first != '#' && first != '\0')
      return fmt::format("{} is there, but no manifest ({}): restore that, or move the file away", path,
                         persistence::manifest_name(server_.config.appendfilename));
  }
  return {};
}

std::optional<std::string> Durability::open() {
  const Config& config = server_.config;
  std::vector<Loading::Part> parts;
  std::string from = config.dir;
  if (auto error = lock()) return error;
  if (any_logged()) {
    begins_in_ = log_directory();
    if (Result<void> made = disk_.make_directory(begins_in_); !made) return made.error().text;
    if (Result<void> synced = disk_.sync_directory(config.dir); !synced) return synced.error().text;
    Result<persistence::Manifest> manifest = persistence::read_manifest(disk_, begins_in_, config.appendfilename);
    if (!manifest) return manifest.error().text;
    manifest_ = std::move(*manifest);
    if (auto error = take_over_old_log()) return error;
    if (auto error = check_unnamed_files()) return error;
    remove_leftovers(begins_in_, is_temporary_name);
  }
  if (!locks_.empty()) remove_leftovers(config.dir, is_temporary_name);
  if (!manifest_.empty()) {
    from = begins_in_;
    using Kind = Loading::Part::Kind;
    if (manifest_.base) parts.push_back({manifest_.base->name, Kind::AppendOnly});
    for (const persistence::Manifest::Entry& increment : manifest_.increments) parts.push_back({increment.name, Kind::AppendOnly});
  } else {
    const Result<std::vector<std::string>> names = disk_.list(config.dir);
    if (!names) return names.error().text;
    if (std::find(names->begin(), names->end(), config.dbfilename) != names->end())
      parts.push_back({config.dbfilename, Loading::Part::Kind::Snapshot});
  }
  loading_ = std::make_unique<Loading>(server_, disk_, std::move(from), std::move(parts));
  // Where there is nothing to load, nobody is to be told of a load.
  if (loading_->empty()) loaded();
  return {};
}

bool Durability::load_slice() {
  const int64_t now_us = server_.clock.now().mono_us;
  switch (loading_->run(now_us + kLoadSliceUs)) {
    case Loading::Status::More: return true;
    case Loading::Status::Done: loaded(); return false;
    case Loading::Status::Failed: break;
  }
  server_.log.warning("The data cannot be loaded: {}", loading_->error());
  server_.stop(1);
  return false;
}

void Durability::loaded() {
  const double seconds = static_cast<double>(server_.clock.now().mono_us - loading_->began_us()) / 1e6;
  if (!loading_->empty())
    say_loaded(seconds);
  outcomes_.keys_loaded = loading_->keys_loaded();
  outcomes_.keys_expired = loading_->keys_expired();
  const std::unique_ptr<Loading> finished = std::move(loading_);
  if (any_logged() && !begins_in_.empty()) {
    // Of rewrites that were not adopted. Without a manifest nobody knows whether files are not somebody's only ones.
    if (!manifest_.empty())
      remove_leftovers(begins_in_, [this](std::string_view name) {
        return persistence::is_base_or_increment(server_.config.appendfilename, name) && !manifest_.names(name);
      });
    begin_log(make_log(begins_in_));
    if (!manifest_.empty())
      log_->resume(manifest_, finished->total_bytes(), manifest_.base ? finished->first_size() : 0, finished->last_end());
    // A database that was logged once and is not to be any more leaves the files soon, and does not come back with an old state.
    rewrite_scheduled_ = std::any_of(server_.databases.begin(), server_.databases.end(), [this](const auto& database) {
      return database->size() > 0 && !log_->logs(database->index());
    });
  }
  // What CONFIG SET has said meanwhile.
  if (const auto error = configure()) server_.log.warning("The settings of the time of loading cannot be followed: {}", *error);
  server_.data_loaded();
}

void Durability::say_loaded(double seconds) const {
  uint64_t keys = 0;
  for (const auto& database : server_.databases) keys += database->size();
  std::string more;
  if (loading_->keys_expired() > 0) more += fmt::format("; {} more had expired", loading_->keys_expired());
  if (loading_->keys_empty() > 0) more += fmt::format("; {} empty collections were passed over", loading_->keys_empty());
  server_.log.notice("Loaded {} keys, {} bytes from {} in {:.3f} seconds: {} entries of snapshots and {} commands{}", keys, loading_->total_bytes(),
                     loading_->directory(), seconds, loading_->keys_loaded(), loading_->commands(), more);
  if (loading_->failed_commands() > 0)
    server_.log.warning("{} commands of the files have replied errors, which is no reason not to start", loading_->failed_commands());
}

}  // namespace quartet::server
