#include "server/long_commands.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "server/server.h"

namespace quartet::server {

namespace {

/// Work between two looks at the clock: some microseconds.
constexpr size_t kWorkBetweenLooks = 64;
/// A slice is as long as the rest of the loop's turn was, so that long commands take half of the time where clients of other
/// databases are busy; but never shorter than this, in microseconds, so that the turns themselves do not take the time.
constexpr int64_t kShortestSliceUs = 100;
/// Stacks that are kept for the next commands.
constexpr size_t kKeptStacks = 2;

/// What unwinds the stack of a command that is given up, or whose reply is more than its client may leave unread.
struct GivenUp {};

/// What the effects take, in bytes, about.
size_t bytes_of(const std::vector<SaidEffect>& effects) {
  size_t bytes = 0;
  for (const SaidEffect& effect : effects)
    for (const std::string& argument : effect.arguments) bytes += sizeof argument + argument.capacity();
  return bytes;
}

}  // namespace

/// A command in slices. Its own copy of the arguments outlives the buffer that the request came in.
struct LongCommands::Run final : Pauses {
  Run(const Context& called, size_t lookups)
      : server(called.server),
        session(&called.session),
        out(called.reply.buffer().pool()),
        reply(out, called.reply.version()),
        arguments(copy(called.args)),
        ctx{server, *session, called.command, arguments, reply, called.now, called.database} {
    out.set_bound(session->out.bound());
    ctx.pauses = this;
    ctx.in_slices = true;
    ctx.repeated_lookups = lookups;
  }
  bool writes() const { return ctx.command.flags & kWrite; }
  /// Throws std::bad_alloc.
  void make_fiber(FiberStack stack) {
    fiber = std::make_unique<Fiber>(std::move(stack), [this] {
      began = true;
      try {
        server.run_handler(ctx);
      } catch (const GivenUp&) {
      }
    });
  }

  size_t look() override {
    // There is no use in the rest of a reply that is not sent.
    if (out.overrun() && !writes()) throw GivenUp{};
    const bool always = server.long_commands.bounds().slice_us == 0;
    if (!to_its_end && (always || server.clock.now().mono_us >= end_us)) {
      fiber->pause();
      if (given_up) throw GivenUp{};
    }
    return always ? 1 : kWorkBetweenLooks;
  }

  /// The views are into `text`.
  std::vector<std::string_view> copy(Args args) {
    size_t bytes = 0;
    for (const std::string_view argument : args) bytes += argument.size();
    text.reserve(bytes);
    std::vector<std::string_view> copies;
    copies.reserve(args.size());
    for (const std::string_view argument : args) {
      text.append(argument);
      copies.push_back(std::string_view(text).substr(text.size() - argument.size()));
    }
    return copies;
  }

  /// What the process holds beside the databases and garbage: what it grows by while the run works is the run's. All of them, as COPY and
  /// MOVE write to another one than that of the session.
  int64_t balance() const {
    size_t data = server.garbage_bytes();
    for (const auto& db : server.databases) data += db->memory();
    return static_cast<int64_t>(server.used_memory()) - static_cast<int64_t>(data);
  }

  Server& server;
  Session* session;
  std::unique_ptr<Session> left;  // the session, where its client has gone away
  protocol::OutputBuffer out;
  protocol::Reply reply;
  std::string text;
  std::vector<std::string_view> arguments;
  Context ctx;
  std::unique_ptr<Fiber> fiber;
  int64_t worked_us = 0;
  int64_t memory = 0;            // bytes
  int64_t memory_at_start = 0;  // of it, before the first slice
  int64_t end_us = 0;
  bool began = false;       // it has had its first slice
  bool running = false;     // it is on the stack now
  bool to_its_end = false;  // without a pause
  bool given_up = false;
};

LongCommands::LongCommands(Server& server) : server_(server) { stacks_.reserve(kKeptStacks); }
LongCommands::~LongCommands() = default;

bool LongCommands::writing() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& run) { return run->writes(); });
}

size_t LongCommands::memory() const {
  int64_t bytes = 0;
  for (const auto& run : runs_) bytes += std::max<int64_t>(run->memory, 0);
  return static_cast<size_t>(bytes);
}

bool LongCommands::reserve(size_t bytes) {
  if (reserved_ > 0 && (reserved_ > limits::kWorkingBytes || bytes > limits::kWorkingBytes - reserved_)) return false;
  reserved_ += bytes;
  return true;
}

void LongCommands::hold_writers_back(bool hold) {
  if (hold == writers_held_back_) return;
  writers_held_back_ = hold;
  if (!hold) wake();
}

// --- Beginning and waiting --------------------------------------------------------------------------------------------

bool LongCommands::may_begin(const Context& ctx) const {
  if (runs_.size() >= limits::kLongCommands) return false;
  if (writers_held_back_ && (ctx.command.flags & kWrite)) return false;
  return std::none_of(waiting_.begin(), waiting_.end(), [](const Waiting& each) { return each.several; });
}

void LongCommands::begin(const Context& ctx, size_t lookups) {
  assert(!ctx.database->locked());
  const size_t before = server_.used_memory();
  auto run = std::make_unique<Run>(ctx, lookups);
  // Where memory is wanting, it has not begun.
  run->make_fiber(take_stack());
  run->memory = run->memory_at_start = static_cast<int64_t>(server_.used_memory()) - static_cast<int64_t>(before);
  runs_.push_back(std::move(run));
  ctx.database->set_locked(true);
  server_.input.wait(ctx.session, Wait::OwnSlices);
  // Where others are in slices already it waits for its turn, so that they do not add up within one turn of the loop.
  if (runs_.size() == 1) resume(std::prev(runs_.end()), ctx.now.mono_us + bounds_.slice_us);
}

void LongCommands::wait_in_line(Session& session, bool several) { waiting_.push_back({session.id, several}); }

void LongCommands::forget(Session& session) {
  if (session.wait == Wait::Database)
    std::erase_if(waiting_, [&](const Waiting& each) { return each.session == session.id; });
}

void LongCommands::leave(std::unique_ptr<Session> session) {
  const auto at = std::find_if(runs_.begin(), runs_.end(), [&](const auto& run) { return run->session == session.get(); });
  Run& run = **at;
  assert(!run.running);
  session->connection = nullptr;
  // It is in no database's count of clients any more, but what it did is still told of this one.
  session->database = run.ctx.database->index();
  run.left = std::move(session);
  if (!run.writes()) give_up(at);
}

std::vector<Session*> LongCommands::left_sessions() const {
  std::vector<Session*> sessions;
  for (const auto& run : runs_)
    if (run->left) sessions.push_back(run->left.get());
  return sessions;
}

/// All ask again, in the order in which they came; those who have to wait on are behind one another as before.
void LongCommands::wake() {
  for (const Waiting& each : std::exchange(waiting_, {})) server_.input.end_wait(*server_.find_session(each.session));
}

// --- Slices -----------------------------------------------------------------------------------------------------------

FiberStack LongCommands::take_stack() {
  if (stacks_.empty()) return {};
  FiberStack stack = std::move(stacks_.back());
  stacks_.pop_back();
  return stack;
}

bool LongCommands::slice() {
  const bool resumes = server_.input.has_resumed();
  if (resumes) server_.input.run_resumed();
  if (runs_.empty() || server_.durability.shutting_down()) return resumes;
  const int64_t now_us = server_.clock.now().mono_us;
  const int64_t longest = std::max(bounds_.slice_us, kShortestSliceUs);
  const int64_t length = std::clamp(now_us - slice_ended_us_, kShortestSliceUs, longest);
  // In turn.
  runs_.splice(runs_.end(), runs_, runs_.begin());
  const bool ended = resume(std::prev(runs_.end()), now_us + length);
  slice_ended_us_ = server_.clock.now().mono_us;
  if (ended) server_.input.run_resumed();
  return true;
}

bool LongCommands::resume(Runs::iterator at, int64_t end_us) {
  Run& run = **at;
  assert(!run.running);
  storage::Keyspace& db = *run.ctx.database;
  run.end_us = end_us;
  const int64_t began_us = server_.clock.now().mono_us;
  db.set_locked(false);
  run.running = true;
  bool more;
  size_t effect_bytes = 0;  // which the feed takes
  {
    const Server::Running running(server_, run.ctx);
    const int64_t before = run.balance();
    more = run.fiber->resume();
    run.memory += run.balance() - before;
    run.worked_us += server_.clock.now().mono_us - began_us;
    if (!more) effect_bytes = bytes_of(run.ctx.execution.effects);
    if (!more && !run.given_up) server_.finish(run.ctx, run.worked_us, server_.clock.now());
  }
  run.running = false;
  if (more) {
    db.set_locked(true);
    return false;
  }
  const int64_t left = run.memory - run.memory_at_start - static_cast<int64_t>(run.out.memory() + effect_bytes);
  if (left > 0) server_.left_over(static_cast<size_t>(left));
  if (!run.given_up && !run.left) {
    const size_t mark = run.session->out.size();
    run.session->out.take(run.out);
    server_.finish_reply(*run.session, mark, run.ctx.execution.awaited);
  }
  remove(at);
  return true;
}

/// What is left of it when it has ended: its clients, and who has waited for it.
void LongCommands::remove(Runs::iterator at) {
  const std::unique_ptr<Run> run = std::move(*at);
  runs_.erase(at);
  run->ctx.database->set_locked(false);
  if (stacks_.size() < kKeptStacks) stacks_.push_back(run->fiber->take_stack());
  if (!run->left) server_.output_added(*run->session);
  if (server_.depth_ == 0 && server_.blocking.ready()) server_.blocking.serve();
  wake();
  // Its own further input comes after that of those who have waited for it.
  if (!run->left) server_.input.end_wait(*run->session);
}

void LongCommands::give_up(Runs::iterator at) {
  Run& run = **at;
  run.given_up = true;
  if (run.began) {
    resume(at, 0);
  } else {
    remove(at);
  }
}

// --- Going on to the end ----------------------------------------------------------------------------------------------

LongCommands::Runs::iterator LongCommands::in(const storage::Keyspace& db) {
  return std::find_if(runs_.begin(), runs_.end(), [&](const auto& run) { return run->ctx.database == &db && !run->running; });
}

void LongCommands::finish(const storage::Keyspace& db) {
  const auto at = in(db);
  if (at == runs_.end()) return;
  (*at)->to_its_end = true;
  resume(at, 0);
}

void LongCommands::finish_all() {
  for (const auto& db : server_.databases) finish(*db);
}

void LongCommands::finish_writers() {
  for (const auto& db : server_.databases)
    if (const auto at = in(*db); at != runs_.end() && (*at)->writes()) finish(*db);
}

void LongCommands::end() {
  finish_writers();
  while (!runs_.empty()) give_up(runs_.begin());
}

}  // namespace quartet::server
