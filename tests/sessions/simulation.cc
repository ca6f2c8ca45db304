#include "simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contents.h"
#include "reply.h"
#include "server/commands/families.h"
#include "server/blocking.h"

namespace quartet::test {

using server::Wait;

namespace {

const std::string kDirectory = "/tmp";
/// Steps of the clock with each look while a script may run long; three of them make it busy.
constexpr int64_t kBusyStepUs = 2000;
constexpr std::string_view kBusy = "BUSY Redis is busy running a script";
constexpr std::string_view kScriptKilled = "Script killed by user";

/// Whether a blocking command has ended without a key.
bool says_unserved(std::string_view reply) {
  static constexpr std::string_view kReplies[] = {"*-1\r\n", "_\r\n", "$-1\r\n", "-UNBLOCKED", "-NOPERM"};
  return std::any_of(std::begin(kReplies), std::end(kReplies),
                     [&](std::string_view each) { return reply.starts_with(each); });
}

std::string shown(std::string_view bytes) { return quoted(bytes.substr(0, 160)); }

}  // namespace

Simulation::Core::Core(Simulation& of)
    : log(of.clock_),
      config_error(config.load(of.arguments_)),
      background(of.disk_, of.random_.next(), of.chance(300) ? 40'000 : 500),
      server(of.clock_, log, config, of.disk_, background, of, server::all_families()) {
  if (!of.verbose_) static_cast<void>(log.open("/dev/null"));
}

Simulation::Simulation(uint64_t seed, bool verbose)
    : verbose_(verbose), random_(seed), requests_(random_.next()), disk_(random_.next()) {}

Simulation::~Simulation() {
  running_ = false;
  if (core_) core_->server.observer = nullptr;
  peers_.clear();
}

void Simulation::choose_settings() {
  shared_arguments_ = {"--dir", kDirectory, "--save", "", "--databases", std::to_string(Requests::kDatabases),
                       "--db.0.notify-keyspace-events", "KEg$lshz", "--db.1.default-ttl", "1"};
  if (chance(150)) shared_arguments_.insert(shared_arguments_.end(), {"--requirepass", "right"});
  arguments_ = shared_arguments_;
  const auto add = [&](std::initializer_list<std::string> more) { arguments_.insert(arguments_.end(), more); };
  add({"--busy-reply-threshold", "5"});
  if (chance(400)) add({"--appendonly", "yes", "--appendfsync", chance(800) ? "always" : "everysec"});
  if (chance(300)) add({"--client-output-buffer-limit", "normal 60000 0 0 pubsub 30000 20000 1"});
  if (chance(150)) add({"--timeout", "2"});
  most_clients_ = 2 + random_.below(11);
  eagerness_ = chance(500) ? 300 : 60;
}

std::string Simulation::run(uint64_t turns) {
  if (!disk_.make_directory(kDirectory) || !disk_.sync_directory("")) return "no directory";
  choose_settings();
  core_ = std::make_unique<Core>(*this);
  if (core_->config_error) return *core_->config_error;
  oracle_ = std::make_unique<Oracle>(shared_arguments_, core_->server.started);
  if (const auto error = core_->server.durability.open()) return *error;
  while (core_->server.durability.loading()) core_->server.tick();
  disk_.set_sync_us(chance(500) ? 20'000 : 200);
  const size_t works[] = {10, 40, 4096};
  core_->server.long_commands.set_bounds({.work = works[random_.below(3)], .slice_us = 0});
  core_->server.observer = this;
  running_ = true;
  while (counts_.turns < turns && !failed()) {
    acting_ = true;
    for (uint64_t left = 1 + random_.below(200); left > 0 && !failed(); --left) turn();
    if (!failed()) come_to_rest();
  }
  running_ = false;
  core_->server.observer = nullptr;
  peers_.clear();
  core_.reset();
  return problem_;
}

Simulation::Counts& Simulation::Counts::operator+=(const Counts& other) {
  turns += other.turns, clients += other.clients, requests += other.requests;
  served += other.served, unserved += other.unserved, paused += other.paused, locked += other.locked;
  snapshots += other.snapshots, logins += other.logins, held += other.held;
  busy += other.busy, killed_scripts += other.killed_scripts, disconnected += other.disconnected, late += other.late;
  return *this;
}

std::string Simulation::Counts::text() const {
  return fmt::format("{} turns, {} clients, {} requests, {} waits served and {} not, {} paused, {} locked out, "
                     "{} for a snapshot, {} for the login throttle, {} for the disk, {} polls of busy scripts, "
                     "{} of them killed, {} disconnected, {} late",
                     turns, clients, requests, served, unserved, paused, locked, snapshots, logins, held, busy,
                     killed_scripts, disconnected, late);
}

// --- A turn of the loop
// -----------------------------------------------------------------------------------------------

template <class Work>
void Simulation::in_server(Work work) {
  if (failed()) return;
  clock_.step_us = busy_requests_ > 0 ? kBusyStepUs : 0;
  turn_began_us_ = clock_.time.mono_us;
  in_server_ = true;
  work();
  in_server_ = false;
  clock_.step_us = 0;
  for (const auto& peer : peers_) peer->end_twin();
}

void Simulation::turn() {
  ++counts_.turns;
  if (acting_) act();
  pass();
  in_server([&] { core_->background.advance(clock_.time.mono_us, [] {}); });
  if (clock_.time.mono_us >= next_tick_us_)
    in_server([&] { next_tick_us_ = clock_.time.mono_us + server().tick() * 1000; });
  if (server().next_timeout_ms() == 0) in_server([&] { server().run_timeouts(); });
  in_server([&] { server().end_turn(); });
  in_server([&] { settle(); });
  // What is left at rest is to come to its end soon.
  for (uint64_t left = acting_ ? 1 + random_.below(6) : 300; left > 0 && !failed(); --left)
    in_server([&] { if (!server().slice()) left = 1; });
  in_server([&] { settle(); });
  count_waits();
  in_server([&] { read_some(); });
  in_server([&] { server().input.execute_received(); });
}

void Simulation::pass() {
  const uint64_t kind = random_.below(100);
  const uint64_t most = kind < 50 ? 1 : kind < 90 ? 3'000 : kind < 99 ? 60'000 : 1'200'000;
  clock_.advance(static_cast<int64_t>(random_.below(most)));
}

/// Sockets are ready in any order, and a read brings any part of what was sent. Now and then one is read more than
/// once.
void Simulation::read_some() {
  std::vector<Peer*> order;
  for (const auto& peer : peers_)
    if (peer->ready() && (!acting_ || !chance(200))) order.push_back(peer.get());
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_.below(i)]);
  if (acting_ && !order.empty() && chance(100)) order.push_back(order[random_.below(order.size())]);
  for (Peer* peer : order)
    if (peer->ready() && !failed()) peer->receive(chance(600) ? SIZE_MAX : 1 + random_.below(chance(500) ? 20 : 400));
}

void Simulation::settle_later(Peer& peer) {
  if (peer.listed) return;
  peer.listed = true;
  turn_list_.push_back(&peer);
}

void Simulation::settle() {
  // Sent and closed is one after the other; who is closed may make others have something to send.
  for (size_t i = 0; i < turn_list_.size() && !failed(); ++i) {
    Peer* peer = std::exchange(turn_list_[i], nullptr);
    if (!peer) continue;
    peer->listed = false;
    peer->settle();
  }
  turn_list_.clear();
}

void Simulation::destroy(Peer& peer) {
  ++counts_.disconnected;
  if (peer.session->wait == Wait::OwnSlices && !peer.requests.empty())
    gone_[peer.id] = {peer.session->database, peer.requests.front(), nullptr};
  for (const Request& request : peer.requests) busy_requests_ -= request.kind == Request::Kind::Busy;
  std::replace(turn_list_.begin(), turn_list_.end(), &peer, static_cast<Peer*>(nullptr));
  by_id_.erase(peer.id);
  std::erase_if(peers_, [&](const auto& each) { return each.get() == &peer; });
}

bool Simulation::keep_twin(Peer& peer) {
  // Of what goes in slices this alone changes something.
  const auto gone = gone_.find(peer.id);
  if (!running_ || gone == gone_.end() || !peer.memcached) return false;
  if (!gone->second.request.bytes.starts_with("gat")) return false;
  gone->second.twin = std::move(peer.twin);
  return true;
}

void Simulation::poll_input() {
  if (nested_ || failed()) return;
  nested_ = true;
  ++counts_.busy;
  server().input.execute_received();
  for (const auto& peer : peers_)
    if (peer->receptive()) peer->flush();
  for (size_t i = 0; i < peers_.size() && !failed(); ++i) {
    if (!peers_[i]->ready()) continue;
    peers_[i]->receive(chance(800) ? SIZE_MAX : 1 + random_.below(30));
    peers_[i]->flush();
  }
  if (chance(100)) connect();
  nested_ = false;
}

// --- What clients do
// --------------------------------------------------------------------------------------------------

void Simulation::connect() {
  // Those of memcached's protocol have no password to tell.
  const bool open = server().acl.default_user().open_to_all();
  const std::optional<int> memcached = open && chance(150) ? std::optional(Requests::kMemcached) : std::nullopt;
  auto peer = std::make_unique<Peer>(*this, ++ports_, memcached);
  ++counts_.clients;
  if (verbose_) fmt::print("{} connects{}\n", peer->id, memcached ? " to memcached" : "");
  by_id_[peer->id] = peer.get();
  if (!open && chance(900))
    for (Request& request : requests_.log_in()) peer->send(std::move(request));
  peers_.push_back(std::move(peer));
}

void Simulation::act() {
  if (peers_.size() < 2 || (peers_.size() < most_clients_ && chance(100))) connect();
  // A burst of all of them at once, now and then.
  const uint64_t eager = chance(30) ? 900 : eagerness_;
  for (const auto& peer : peers_)
    if (chance(eager)) act(*peer);
}

void Simulation::act(Peer& peer) {
  if (chance(100)) {
    peer.read(chance(400) ? random_.below(300) : SIZE_MAX);
  }
  if (peer.ended() || peer.requests.size() > 200) return;
  if (chance(6)) {
    const bool orderly = chance(500);
    if (verbose_) fmt::print("{} ends{}\n", peer.id, orderly ? "" : " by a reset");
    return peer.end(orderly ? Peer::End::Orderly : Peer::End::Reset);
  }
  const uint64_t last = peers_.back()->id;
  for (uint64_t i = chance(700) ? 1 : 1 + random_.below(chance(900) ? 6 : 80); i > 0 && !peer.ended(); --i) {
    for (Request& request : requests_.next(peer.memcached.has_value(), last)) {
      busy_requests_ += request.kind == Request::Kind::Busy;
      const bool malformed = request.kind == Request::Kind::Malformed;
      if (verbose_) fmt::print("{} sends {}\n", peer.id, shown(request.bytes));
      peer.send(std::move(request));
      // It waits for the end that its mistake makes.
      if (malformed) return peer.end(Peer::End::Orderly);
    }
  }
}

void Simulation::count_waits() {
  for (const auto& peer : peers_) {
    const server::Session& session = *peer->session;
    counts_.paused += session.wait == Wait::Pause;
    counts_.snapshots += session.wait == Wait::Snapshot;
    counts_.locked += session.wait == Wait::Database;
    counts_.logins += session.wait == Wait::Login;
    counts_.held += !session.held.empty();
  }
}

// --- The oracle
// -------------------------------------------------------------------------------------------------------

bool Simulation::events_are_early() { return running_ && core_->server.databases[Requests::kEvents]->locked(); }

void Simulation::executed(server::Session& session, const Time& now) {
  if (failed()) return;
  if (events_are_early()) {
    for (const auto& peer : peers_) {
      peer->hear_early();
      if (peer->session == &session) peer->acted_in_slices = true;
    }
  }
  const bool tells_late = session.wait == Wait::OwnSlices && session.database == Requests::kEvents;
  // One that a transaction has made go on to its end tells of its events in the middle of those of the transaction.
  const bool within = std::any_of(peers_.begin(), peers_.end(), [&](const auto& peer) {
    return peer->session->executing && peer->session != &session;
  });
  for (const auto& peer : peers_)
    if (tells_late && within && peer->session->subscribed()) peer->loose = true;
  std::vector<uint64_t> before;
  for (const auto& peer : peers_) before.push_back(peer->twin->total);
  replay_executed(session, now);
  for (size_t i = 0; i < peers_.size() && !failed(); ++i) {
    if (tells_late) peers_[i]->heard_all(before[i], peers_[i]->session == &session);
    peers_[i]->end_twin();
  }
}

void Simulation::replay_executed(server::Session& session, const Time& now) {
  ++counts_.requests;
  const auto found = by_id_.find(session.id);
  if (found == by_id_.end()) {
    const auto gone = gone_.find(session.id);
    if (gone == gone_.end())
      return demand(false, fmt::format("a request of client {} is executed, which is gone", session.id));
    ++counts_.late;
    const Gone& left = gone->second;
    if (left.twin) {
      oracle_->execute_late(*left.twin, left.request.bytes, now);
      oracle_->close(*left.twin);
    } else {
      oracle_->execute_late(nullptr, left.database, left.request.arguments, now);
    }
    gone_.erase(gone);
    return;
  }
  Peer& peer = *found->second;
  if (peer.requests.empty())
    return demand(false, fmt::format("client {} has a request executed that it did not send, or one twice", peer.id));
  const Request request = std::move(peer.requests.front());
  peer.requests.pop_front();
  busy_requests_ -= request.kind == Request::Kind::Busy;
  if (session.out.overrun()) peer.loose = true;
  if (verbose_)
    fmt::print("{} at {}: {}{} is told {}\n", peer.id, now.mono_us, shown(request.bytes),
               session.wait == Wait::OwnSlices ? " (in slices)" : nested_ ? " (nested)" : "", shown(peer.tail()));
  demand(peer.may_execute(),
         fmt::format("client {} is being disconnected, and {} is executed", peer.id, shown(request.bytes)));
  demand(session.wait == Wait::OwnSlices || now.mono_us >= turn_began_us_,
         fmt::format("{} of client {} is executed with a clock that is {} us late", shown(request.bytes), peer.id,
                     turn_began_us_ - now.mono_us));
  if (!failed()) replay(peer, request, session.blocked != nullptr, now);
}

void Simulation::replay(Peer& peer, const Request& request, bool waited, const Time& now) {
  Oracle::Twin& twin = *peer.twin;
  server::Session& session = *twin.session;
  const bool asks = nested_ || waited || peer.local_queued || request.kind != Request::Kind::Plain;
  const std::string tail = asks ? peer.tail() : std::string();
  if (nested_ && replay_busy(peer, tail)) return;
  const bool replies = session.reply_mode == server::ReplyMode::On;
  const bool kills = request.arguments.size() == 2 && request.arguments[1] == "KILL";
  const bool local = request.kind == Request::Kind::Local || (nested_ && kills);
  if (local && !session.in_multi) {
    if (session.reply_mode == server::ReplyMode::SkipNext) session.reply_mode = server::ReplyMode::On;
    if (replies) oracle_->believe(twin, tail);
    return;
  }
  if (session.closing) {
    ++counts_.late;
    demand(peer.closing(), fmt::format("client {} goes on after its end", peer.id));
    if (failed()) return;
    if (peer.memcached) return oracle_->execute_late(twin, request.bytes, now);
    demand(!request.arguments.empty(), fmt::format("client {} has no request after its end", peer.id));
    return failed() ? void() : oracle_->execute_late(&twin, session.database, request.arguments, now);
  }
  const bool killable = request.kind == Request::Kind::Busy;
  if (session.in_multi && (local || killable)) peer.local_queued = true;
  const uint64_t before = twin.total;
  counts_.served += waited;
  const std::string problem = oracle_->execute(twin, waited ? with_one_key(request, tail) : request.bytes, now);
  demand(problem.empty(), fmt::format("{}: {}", problem, shown(request.bytes)));
  // The key may have got another type, which does not end the wait.
  const std::string_view told = std::string_view(twin.told).substr(twin.told.size() - (twin.total - before));
  const bool blocking = request.kind == Request::Kind::Blocking;
  if (blocking && !session.blocked && told.starts_with("-WRONGTYPE") && says_unserved(tail)) {
    oracle_->take_back(twin, before);
    return replay_unserved(peer, tail, replies);
  }
  // Its user may have lost the permission since the command has begun.
  if (peer.session->wait == Wait::OwnSlices && told.starts_with("-NOPERM")) {
    oracle_->take_back(twin, before);
    return oracle_->execute_late(&twin, session.database, request.arguments, now);
  }
  if (session.blocked) {
    oracle_->server().blocking.forget(session);
    return replay_unserved(peer, tail, replies);
  }
  if (session.monitor) peer.loose = true;
  if (session.in_multi) return;
  const bool killed = killable && tail.find(kScriptKilled) != std::string::npos;
  counts_.killed_scripts += killed;
  const bool believed = std::exchange(peer.local_queued, false) || killed;
  if (!believed || !replies) return;
  oracle_->take_back(twin, before);
  oracle_->believe(twin, tail);
}

/// What is refused because a script is busy; false where it is not.
bool Simulation::replay_busy(Peer& peer, const std::string& tail) {
  server::Session& session = *peer.twin->session;
  // A quiet request of memcached's protocol that is refused is not answered.
  if (tail.find(kBusy) == std::string::npos && !(peer.memcached && tail.empty())) return false;
  if (tail.starts_with("-EXECABORT")) {
    oracle_->server().discard_transaction(session);
  } else if (session.in_multi) {
    session.multi_failed = true;
  }
  if (session.reply_mode == server::ReplyMode::On) oracle_->believe(*peer.twin, tail);
  if (session.reply_mode == server::ReplyMode::SkipNext) session.reply_mode = server::ReplyMode::On;
  return true;
}

/// Its wait has ended without a key, and there was none that it could have been served from.
void Simulation::replay_unserved(Peer& peer, const std::string& tail, bool replies) {
  ++counts_.unserved;
  server::ReplyMode& mode = peer.twin->session->reply_mode;
  if (mode == server::ReplyMode::Skipping) mode = server::ReplyMode::On;
  if (!replies) return;
  demand(peer.loose || says_unserved(tail),
         fmt::format("client {} waits, has no key to be served from and is told {}", peer.id, shown(tail)));
  oracle_->believe(*peer.twin, tail);
}

/// Of several keys that become ready at once, the first that did so serves, and not the first that the request names.
std::string Simulation::with_one_key(const Request& request, const std::string& tail) {
  const std::vector<std::string>& arguments = request.arguments;
  if (request.kind != Request::Kind::Blocking) return request.bytes;
  if (arguments[0] == "BLMOVE" || arguments[0] == "BRPOPLPUSH") return request.bytes;
  const bool counts = arguments[0] == "BLMPOP" || arguments[0] == "BZMPOP";
  const auto first = arguments.begin() + (counts ? 3 : 1);
  // Messages, and what a monitor is shown, may come before the reply.
  size_t latest = 0;
  std::string key;
  for (const std::string& each : std::vector(first, counts ? first + std::stoi(arguments[2]) : arguments.end() - 1)) {
    for (const char count : {'2', '3'}) {
      const size_t at = tail.rfind(fmt::format("*{}\r\n${}\r\n{}\r\n", count, each.size(), each));
      if (at == std::string::npos || at < latest) continue;
      latest = at;
      key = each;
    }
  }
  if (key.empty()) return request.bytes;
  if (counts) {
    std::vector<std::string> one = {arguments[0], arguments[1], "1", key};
    one.insert(one.end(), arguments.begin() + 3 + std::stoi(arguments[2]), arguments.end());
    return encode_command(one);
  }
  return encode_command({arguments[0], key, arguments.back()});
}

// --- At rest
// ----------------------------------------------------------------------------------------------------------

bool Simulation::at_rest() {
  if (!turn_list_.empty() || server().long_commands.running()) return false;
  return std::all_of(peers_.begin(), peers_.end(), [](const auto& peer) {
    return !peer->closing() && !peer->ended() && peer->unread() == 0 && peer->session->out.empty() &&
           (peer->requests.empty() || peer->session->blocked);
  });
}

/// Nobody says anything any more, everybody listens, and time goes by: in the end everybody has been answered.
void Simulation::come_to_rest() {
  acting_ = false;
  for (int turns = 0; turns < 5000 && !failed(); ++turns) {
    for (const auto& peer : peers_) peer->read(SIZE_MAX);
    turn();
    if (!failed() && at_rest()) break;
  }
  if (failed()) return;
  for (const auto& peer : peers_) {
    const server::Session& session = *peer->session;
    if (!peer->requests.empty() && session.blocked) check_waiting(*peer);
    demand(peer->requests.empty() || session.blocked,
           fmt::format("client {} is not answered: {} ({} unread, {} kept, wait {}, closing {})", peer->id,
                       peer->requests.empty() ? "" : shown(peer->requests.front().bytes), peer->unread(),
                       session.input.size(),
                       static_cast<int>(session.wait), session.closing));
    demand(session.out.empty(), fmt::format("{} bytes for client {} are not sent, of which {} may be",
                                            session.out.size(), peer->id, session.sendable()));
    demand(session.blocked || session.input.empty(),
           fmt::format("{} bytes of client {} stay", session.input.size(), peer->id));
    demand(peer->loose || peer->twin->told.empty(),
           fmt::format("client {} is not told {}", peer->id, shown(peer->twin->told)));
  }
  demand(at_rest(), "it does not come to rest");
  if (!failed()) compare_contents();
}

/// Whoever waits waits for keys that hold nothing.
void Simulation::check_waiting(Peer& peer) {
  server::Session& session = *peer.twin->session;
  const uint64_t before = peer.twin->total;
  const server::ReplyMode mode = std::exchange(session.reply_mode, server::ReplyMode::On);
  const std::string& bytes = peer.requests.front().bytes;
  demand(oracle_->execute(*peer.twin, bytes, clock_.time).empty(), "a waiting request is no request");
  const std::string told = peer.twin->told.substr(peer.twin->told.size() - (peer.twin->total - before));
  // Behind a key of another type it waits on.
  demand(session.blocked || told.starts_with('-'),
         fmt::format("client {} waits in vain: {} could be {}", peer.id, shown(bytes), shown(told)));
  oracle_->take_back(*peer.twin, before);
  if (session.blocked) oracle_->server().blocking.forget(session);
  session.reply_mode = mode;
}

void Simulation::compare_contents() {
  const int64_t now_ms = clock_.time.wall_us / 1000;
  const Contents ours = without_expired(contents_of(server()), now_ms);
  const Contents theirs = without_expired(contents_of(oracle_->server()), now_ms);
  for (size_t i = 0; i < ours.size(); ++i) {
    for (const auto& [key, text] : ours[i]) {
      const auto found = theirs[i].find(key);
      demand(found != theirs[i].end() && found->second == text,
             fmt::format("database {} holds {} with {} instead of {}", i, key, shown(text),
                         found == theirs[i].end() ? "nothing" : shown(found->second)));
    }
    for (const auto& [key, text] : theirs[i])
      demand(ours[i].contains(key), fmt::format("database {} does not hold {}, which is {}", i, key, shown(text)));
  }
}

}  // namespace quartet::test
