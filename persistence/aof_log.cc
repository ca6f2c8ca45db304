#include "persistence/aof_log.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/limits.h"
#include "base/numbers.h"

namespace quartet::persistence {
namespace {

/// How long after a failure a job is tried again, and how far the beginnings of two syncs for everysec are apart.
constexpr int64_t kRetryUs = 100'000;
constexpr int64_t kEverysecUs = 1'000'000;

constexpr std::string_view kMulti[] = {"MULTI"};
constexpr std::string_view kExec[] = {"EXEC"};

}  // namespace

AofLog::AofLog(Disk& disk, std::string directory, std::string file_name, int databases)
    : disk_(disk),
      directory_(std::move(directory)),
      file_name_(std::move(file_name)),
      databases_(static_cast<size_t>(databases)) {}

void AofLog::resume(const Manifest& manifest, uint64_t size, uint64_t base_size, std::optional<uint64_t> last_end) {
  assert(!manifest.empty());
  supersede(manifest);
  base_size_ = base_size;
  earlier_size_ = size;
  state_ = State::Whole;
  AofPiece piece;
  piece.step = AofStep::Resume;
  if (last_end) {
    earlier_size_ -= *last_end;
    piece.resume_at = last_end;
    piece.name = manifest_.increments.back().name;
  } else {
    piece.name = next_increment();
    piece.sequence = increment_sequence_;
  }
  push(std::move(piece));
}

void AofLog::supersede(const Manifest& manifest) {
  assert(position_ == 0);
  manifest_ = manifest;
  base_sequence_ = manifest.last_base();
  increment_sequence_ = manifest.last_increment();
}

void AofLog::set_database(int database, bool logged, FsyncPolicy policy) {
  Database& of = databases_[static_cast<size_t>(database)];
  of.logged = logged;
  of.policy = policy;
}

void AofLog::append(const Effect& effect) {
  Database& database = databases_[static_cast<size_t>(effect.database)];
  if (!database.logged) return;
  uint64_t bytes = 0;
  if (in_unit_ && unit_effects_ == 0) {
    // Removed again where no second effect follows.
    unit_multi_bytes_ = open_.append(kMulti, true);
    unit_multi_ = open_.size() - unit_multi_bytes_;
  }
  if (selected_ != effect.database) {
    char digits[kNumberChars];
    const std::string_view select[] = {"SELECT", {digits, format_int(effect.database, digits)}};
    bytes += open_.append(select, !in_unit_);
    selected_ = effect.database;
  }
  position_ += bytes + open_.append(effect.arguments, !in_unit_ && bytes == 0, effect.note);
  if (in_unit_) ++unit_effects_;
  // A unit's end is not known yet, but written() and durable() never stand within one.
  if (database.policy == FsyncPolicy::Always) {
    database.last_always = last_always_ = position_;
    if (effect.other >= 0) databases_[static_cast<size_t>(effect.other)].last_always = position_;
  } else if (database.policy == FsyncPolicy::Everysec) {
    last_everysec_ = position_;
  }
  if (!in_unit_) effects_end();
}

void AofLog::end_unit() {
  if (unit_effects_ > 1) {
    position_ += open_.append(kExec, false);
  } else if (unit_effects_ == 1) {
    open_.erase(unit_multi_, unit_multi_bytes_);
  }
  in_unit_ = false;
  unit_effects_ = 0;
  effects_end();
}

void AofLog::abandon_unit() {
  if (unit_effects_ > 0) open_.erase(unit_multi_, open_.size() - unit_multi_);
  selected_ = -1;  // a SELECT may have gone with it
  in_unit_ = false;
  unit_effects_ = 0;
  effects_end();
}

size_t AofLog::memory() const {
  size_t bytes = open_.memory() + spare_.memory() + job_memory_;
  for (const AofPiece& piece : queue_) bytes += piece.effects.memory();
  return bytes;
}

void AofLog::effects_end() {
  if (state_ == State::Broken) {
    open_.clear();
    selected_ = -1;
  } else if (backlog() > limits::kAofBacklogBytes) {
    break_off(failure_ ? *failure_ : Error{"the disk takes changes more slowly than they come", 0});
  }
}

std::string AofLog::next_increment() { return increment_name(file_name_, ++increment_sequence_); }

void AofLog::push(AofPiece piece) {
  piece.effects.swap(open_);
  open_.swap(spare_);
  piece.end = position_;
  backlog_ += piece.effects.size();
  queue_.push_back(std::move(piece));
}

bool AofLog::must_sync(int64_t now_us) const {
  if (sync_requested_ > synced_ || last_always_ > synced_) return true;
  return !everysec_paused_ && last_everysec_ > synced_ && now_us - sync_began_us_ >= kEverysecUs;
}

std::unique_ptr<AofJob> AofLog::take_job(int64_t now_us) {
  assert(!in_unit_);
  if (job_under_way_ || state_ == State::Broken || now_us < retry_at_us_) return nullptr;
  const bool sync = must_sync(now_us);
  if (queue_.empty()) {
    if (open_.empty() && !sync) return nullptr;
    push({});
  }
  std::unique_ptr<AofJob> job(new AofJob(disk_, directory_, file_name_));
  job->piece_ = std::move(queue_.front());
  queue_.pop_front();
  prepare_step(job->piece_);
  job->increment_ = std::move(increment_);
  job->sync_ = sync;
  // One that leaves something behind does not put the next one off.
  if (sync && queue_.empty() && open_.empty()) sync_began_us_ = now_us;
  job_under_way_ = true;
  job_memory_ = job->piece_.effects.memory();
  return job;
}

void AofLog::prepare_step(AofPiece& piece) const {
  if (piece.step == AofStep::None || (piece.step == AofStep::Switch && state_ == State::Candidate)) return;
  Manifest next = manifest_;
  if (piece.step == AofStep::AdoptBase) {
    if (next.base) next.history.push_back(*next.base);
    next.base = {piece.name, base_sequence_};
    const auto kept = std::stable_partition(next.increments.begin(), next.increments.end(),
                                            [this](const auto& entry) { return entry.sequence < kept_from_; });
    next.history.insert(next.history.end(), next.increments.begin(), kept);
    next.increments.erase(next.increments.begin(), kept);
    // A candidate is named by the same line that names its base.
    if (next.increments.empty()) next.increments.push_back({increment_name(file_name_, kept_from_), kept_from_});
  } else if (!piece.resume_at) {
    next.increments.push_back({piece.name, piece.sequence});
  }
  piece.manifest = std::move(next);
}

void AofLog::completed(std::unique_ptr<AofJob> job, int64_t now_us) {
  assert(!in_unit_ && job_under_way_);
  job_under_way_ = false;
  job_memory_ = 0;
  AofPiece& piece = job->piece_;
  if (lost_) {
    // Nothing is added to these files any more; only which they are counts.
    lost_ = false;
    if (job->stepped_ && piece.manifest) manifest_ = std::move(*piece.manifest);
    return;
  }
  if (job->sync_ && !job->synced_) sync_began_us_ = kNever;
  increment_ = std::move(job->increment_);
  backlog_ -= piece.effects.size();
  if (!job->written_) {
    backlog_ += piece.effects.size();
    return retry(std::move(piece), std::move(*job->error_), now_us);
  }
  written_ = piece.end;
  if (job->synced_) synced_ = piece.end;
  piece.effects.clear();
  spare_.swap(piece.effects);
  if (job->sync_failed_) return break_off(std::move(*job->error_));
  if (job->stepped_) step_done(piece, job->base_size_);
  if (increment_) current_size_ = increment_->size();
  if (state_ == State::Whole) {
    durable_ = synced_;
    // Also where the step fails: there may be no later job to find out, because the failure keeps writes away.
    failure_.reset();
  }
  if (job->error_) step_failed(std::move(piece), std::move(*job->error_), now_us);
}

void AofLog::retry(AofPiece piece, Error error, int64_t now_us) {
  queue_.push_front(std::move(piece));
  failure_ = std::move(error);
  retry_at_us_ = now_us + kRetryUs;
}

void AofLog::step_done(AofPiece& piece, uint64_t base_size) {
  if (piece.manifest) manifest_ = std::move(*piece.manifest);
  if (piece.step == AofStep::AdoptBase) {
    state_ = State::Whole;
    failure_.reset();
    base_size_ = earlier_size_ = base_size;
    rewrite_.reset();
    rewrite_error_.reset();
    ++rewrites_done_;
    return;
  }
  if (increment_) earlier_size_ += increment_->size();
  increment_ = std::move(piece.opened);
  // What precedes a switch is on disk; what precedes a candidate will be in its base.
  synced_ = piece.end;
}

void AofLog::step_failed(AofPiece piece, Error error, int64_t now_us) {
  if (piece.step == AofStep::AdoptBase) {
    rewrite_.reset();
    rewrite_error_ = error;
    // The log stands on its old files, and the next rewrite leaves them behind; a candidate has none.
    if (state_ == State::Candidate) break_off(std::move(error));
  } else {
    retry(std::move(piece), std::move(error), now_us);
  }
}

void AofLog::break_off(std::optional<Error> failure) {
  state_ = State::Broken;
  lost_ = job_under_way_;
  queue_.clear();
  backlog_ = 0;
  open_.clear();
  selected_ = -1;
  increment_.reset();
  retry_at_us_ = 0;
  if (rewrite_) {
    rewrite_.reset();
    rewrite_error_ = failure;
  }
  failure_ = std::move(failure);
}

void AofLog::begin_anew() {
  assert(!in_unit_);
  break_off(failure_);
}

uint64_t AofLog::switch_file() {
  assert(!in_unit_ && !rewrite_);
  if (state_ == State::Broken) {
    state_ = State::Candidate;
    current_size_ = 0;
  }
  AofPiece piece;
  piece.step = AofStep::Switch;
  piece.name = next_increment();
  piece.sequence = kept_from_ = increment_sequence_;
  push(std::move(piece));
  selected_ = -1;
  rewrite_ = ++rewrites_begun_;
  return *rewrite_;
}

void AofLog::adopt_base(uint64_t rewrite, std::string path) {
  assert(!in_unit_);
  if (rewrite_ != rewrite) return;
  AofPiece piece;
  piece.step = AofStep::AdoptBase;
  piece.name = base_name(file_name_, ++base_sequence_);
  piece.base_path = std::move(path);
  push(std::move(piece));
}

void AofLog::abandon_rewrite(uint64_t rewrite, std::optional<Error> failure) {
  assert(!in_unit_);
  if (rewrite_ != rewrite) return;
  if (state_ == State::Candidate) {
    break_off(failure ? std::move(failure) : failure_);
  } else {
    rewrite_.reset();
  }
}

}  // namespace quartet::persistence
