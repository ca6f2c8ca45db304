#include "simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "server/commands/families.h"

namespace quartet::test {

namespace {

constexpr int kDatabases = 5;
constexpr int64_t kTickUs = 100'000;
constexpr std::string_view kPolicies[] = {"always", "everysec", "no"};
// The settings want directories that there are; nothing is written to them.
const std::string kDirectory = "/tmp", kElsewhere = "/var";

}  // namespace

/// Time goes on a little with each look at it, so that what works in slices has several.
class RunningClock final : public Clock {
 public:
  RunningClock(int64_t& wall_us, int64_t& mono_us, int64_t step_us) : wall_us_(wall_us), mono_us_(mono_us), step_us_(step_us) {}
  Time now() override {
    wall_us_ += step_us_;
    mono_us_ += step_us_;
    return {wall_us_, mono_us_};
  }

 private:
  int64_t &wall_us_, &mono_us_;
  const int64_t step_us_;
};

/// A process.
struct Simulation::Core {
  Core(Simulation& of)
      : clock(of.wall_us_, of.mono_us_, of.step_us_),
        log(clock),
        background(of.disk_, of.random_.next(), of.delay_us_),
        config_error(config.load(of.arguments())),
        server(clock, log, config, of.disk_, background, host, server::all_families()) {
    if (!of.verbose_) static_cast<void>(log.open("/dev/null"));
  }
  ~Core();

  RunningClock clock;
  Log log;
  LateBackground background;
  EndingHost host;
  server::ConfigStore config;
  std::optional<std::string> config_error;
  server::Server server;
  std::unique_ptr<Recorder> recorder;
  std::vector<std::unique_ptr<Client>> clients;
};

/// Writes the history down.
class Simulation::Recorder final : public persistence::Sink {
 public:
  explicit Recorder(Simulation& of) : of_(of) {}
  void append(const persistence::Effect& effect) override {
    const persistence::AofLog* log = of_.core_->server.durability.log();
    const Setting& setting = of_.setting_[static_cast<size_t>(effect.database)];
    const bool logged = setting.role == Role::Logged;
    of_.history_.push_back({effect.database, {effect.arguments.begin(), effect.arguments.end()}, of_.mono_us_,
                            logged && setting.policy == Policy::Always, logged && setting.policy == Policy::Everysec, of_.eras_.size() - 1, !in_unit_,
                            log ? log->position() : 0});
  }
  void begin_unit() override {
    in_unit_ = true;
    begin_ = of_.history_.size();
  }
  void end_unit() override {
    in_unit_ = false;
    const persistence::AofLog* log = of_.core_->server.durability.log();
    for (size_t i = begin_; i < of_.history_.size(); ++i) of_.history_[i].position = log ? log->position() : 0;
    of_.history_.back().ends_unit = true;
  }
  void abandon_unit() override {}

 private:
  Simulation& of_;
  bool in_unit_ = false;
  size_t begin_ = 0;
};

/// The history ends with the process: what a command in slices does while the server is taken down is no part of it.
Simulation::Core::~Core() {
  if (recorder) server.feed.remove(*recorder);
  clients.clear();
}

Simulation::Simulation(uint64_t seed, bool verbose) : verbose_(verbose), random_(seed), disk_(random_.next()) {}
Simulation::~Simulation() = default;

bool Simulation::any_logged() const {
  return std::any_of(setting_.begin(), setting_.end(), [](const Setting& setting) { return setting.role == Role::Logged; });
}
bool Simulation::ended() const { return !problem_.empty() || !disk_.has_power() || core_->host.ended; }

std::string Simulation::run() {
  if (!disk_.make_directory(kDirectory) || !disk_.make_directory(kElsewhere) || !disk_.sync_directory("")) return "no directory";
  choose_settings();
  model_ = std::make_unique<Model>(kDatabases);
  const uint64_t lives = 1 + random_.below(4);
  for (uint64_t life = 0; life < lives && problem_.empty(); ++life) live();
  if (problem_.empty() && start()) match();
  if (core_) counts_.rewrites += core_->server.durability.outcomes().rewrites;
  core_.reset();
  return problem_;
}

// --- What a run is like -----------------------------------------------------------------------------------------------

void Simulation::choose_settings() {
  const auto policy = [&] { return static_cast<Policy>(random_.below(3)); };
  setting_ = {{Role::Logged, Policy::Always}, {Role::Private, policy()}, {Role::Logged, Policy::Everysec}, {Role::Logged, Policy::No},
              {Role::Logged, policy()}};
  const uint64_t kind = random_.below(10);
  if (kind < 2) setting_[4].role = Role::Plain;
  if (kind == 2) setting_[4].role = Role::Private;
  if (kind == 3)
    for (size_t i : {0, 2, 3, 4}) setting_[i].role = Role::Plain;
  if (kind == 4)
    for (Setting& setting : setting_) setting = {Role::Logged, Policy::Always};
  std::rotate(setting_.begin(), setting_.begin() + static_cast<int64_t>(random_.below(kDatabases)), setting_.end());
  toggles_ = chance(25);
  for (int i = 0; i < kDatabases; ++i)
    if (setting_[static_cast<size_t>(i)].role == Role::Private) secret_ = i;
  if (kind == 3 || chance(25)) save_rules_ = "1 5";
  workload_ = std::make_unique<Workload>(random_.next(), kDatabases, secret_, chance(4));
}

void Simulation::choose_faults() {
  SimulatedDisk::Rates rates;
  faults_ = chance(40);
  if (faults_) {
    had_faults_ = true;
    rates.append = static_cast<int>(random_.below(300));
    rates.short_append = static_cast<int>(random_.below(500));
    rates.sync = chance(50) ? static_cast<int>(random_.below(150)) : 0;
    rates.names = static_cast<int>(random_.below(150));
    rates.sync_directory = static_cast<int>(random_.below(150));
    rates.read = static_cast<int>(random_.below(100));
    // A file that could neither be synced nor cut shows more to the next process than is on disk.
    rates.truncate = may_kill_ ? 0 : static_cast<int>(random_.below(300));
  }
  disk_.set_rates(rates);
  const bool full = chance(8);
  had_faults_ = had_faults_ || full;
  faults_ = faults_ || full;
  disk_.set_capacity(full ? random_.below(20'000) : UINT64_MAX);
}

std::vector<std::string> Simulation::arguments() const {
  std::vector<std::string> arguments = {"--dir", kDirectory, "--databases", std::to_string(kDatabases), "--appendonly", "no",
                                        "--save", save_rules_, "--auto-aof-rewrite-percentage", "60", "--auto-aof-rewrite-min-size", "3000",
                                        "--no-appendfsync-on-rewrite", pauses_everysec_ ? "yes" : "no",
                                        "--enable-protected-configs", "yes"};
  for (int i = 0; i < kDatabases; ++i) {
    const Setting& setting = setting_[static_cast<size_t>(i)];
    const std::string prefix = "--db." + std::to_string(i) + ".";
    if (setting.role != Role::Plain) arguments.insert(arguments.end(), {prefix + "appendonly", setting.role == Role::Logged ? "yes" : "no"});
    arguments.insert(arguments.end(), {prefix + "appendfsync", std::string(kPolicies[static_cast<int>(setting.policy)])});
  }
  return arguments;
}

// --- A life -----------------------------------------------------------------------------------------------------------

void Simulation::live() {
  if (!start()) return;
  match();
  if (!problem_.empty()) return;
  begin_life();
  may_kill_ = chance(40);
  had_faults_ = false;
  const int64_t syncs[] = {0, 5'000, 20'000, 1'500'000};
  sync_us_ = syncs[random_.below(4)];
  disk_.set_sync_us(sync_us_);
  if (chance(60)) choose_faults();
  if (!may_kill_ || chance(50)) disk_.cut_power_at_call(1 + random_.below(chance(50) ? 60 : 600));
  const uint64_t turns = 1 + random_.below(chance(80) ? 150 : 700);
  for (uint64_t at = 0; at < turns && !ended(); ++at) turn();
  if (!ended() && chance(30)) heal();
  if (!ended()) check_model();
  expect_after_end();
}

void Simulation::begin_life() {
  ++counts_.lives;
  core_->server.random = Random(random_.next());
  model_->become(core_->server);
  model_at_ = 0;
  history_.clear();
  Era era{0, {}, any_logged(), loaded_from_files_, 0, false, contents_of(core_->server)};
  for (int i = 0; i < kDatabases; ++i) era.logged.push_back(logged(i));
  eras_ = {std::move(era)};
  promised_ = 0;
  everysec_since_ = SIZE_MAX;
  saves_seen_ = core_->server.durability.outcomes().saves;
  saving_seen_us_ = core_->server.durability.saving_since_us();
  forced_ = elsewhere_ = false;
  next_tick_us_ = mono_us_;
  core_->recorder = std::make_unique<Recorder>(*this);
  core_->server.feed.add(*core_->recorder);
  const uint64_t clients = 1 + random_.below(5);
  for (uint64_t i = 0; i < clients; ++i) core_->clients.push_back(std::make_unique<Client>(core_->server, ++ports_));
  observe();
}

/// Starts a process, with disturbances on the way; false where the power is to blame for that there is none.
bool Simulation::start() {
  core_.reset();
  disk_.restart();
  disk_.set_rates({});
  disk_.set_capacity(UINT64_MAX);
  disk_.set_sync_us(0);
  const int64_t steps[] = {1, 20, 150};
  step_us_ = steps[random_.below(3)];
  const int64_t delays[] = {0, 3'000, 200'000};
  delay_us_ = delays[random_.below(3)];
  pauses_everysec_ = chance(15);
  for (int cuts = 0; cuts < 3 && chance(15); ++cuts) {
    disk_.cut_power_at_call(1 + random_.below(25));
    start_once(true);
    core_.reset();
    if (!problem_.empty()) return false;
    if (chance(70)) disk_.cut_power();
    disk_.restart();
  }
  if (chance(10)) {
    SimulatedDisk::Rates rates;
    rates.read = rates.names = rates.truncate = 60;
    disk_.set_rates(rates);
    // It may refuse to start, and must not find anything else than a start without faults.
    if (start_once(true)) match();
    core_.reset();
    disk_.restart();
    disk_.set_rates({});
    if (!problem_.empty()) return false;
  }
  if (!start_once(false)) return false;
  if (!chance(30)) return true;
  const int64_t now_ms = wall_us_ / 1000 + 1'000'000;
  const Contents once = without_expired(contents_of(core_->server), now_ms);
  core_.reset();
  // The name of a snapshot whose writer was killed may not be on disk, and nobody was told that it is.
  if (any_logged() && chance(50)) disk_.cut_power();
  disk_.restart();
  if (!start_once(false)) return false;
  demand(without_expired(contents_of(core_->server), now_ms) == once, "a second start finds something else than the first");
  return problem_.empty();
}

bool Simulation::start_once(bool may_fail) {
  core_ = std::make_unique<Core>(*this);
  demand(!core_->config_error, core_->config_error.value_or(""));
  if (!problem_.empty()) return false;
  server::Durability& durability = core_->server.durability;
  const std::optional<std::string> error = durability.open();
  if (error) {
    demand(may_fail, "does not start: " + *error);
    return false;
  }
  loaded_from_files_ = any_logged() && disk_.content(kDirectory + "/appendonlydir/appendonly.aof.manifest");
  while (durability.loading() && !core_->host.ended) core_->server.tick();
  if (!core_->host.ended) return true;
  demand(may_fail, "does not start: " + (durability.load() ? durability.load()->error() : std::string("no reason")));
  return false;
}

void Simulation::turn() {
  server::Server& server = core_->server;
  if (chance(2)) choose_faults();
  pass(static_cast<int64_t>(random_.below(chance(85) ? 5'000 : chance(80) ? 100'000 : 1'500'000)));
  if (ended()) return;
  // The recorder stays behind a log that begins, so that positions are those behind each effect.
  server.feed.remove(*core_->recorder);
  server.feed.add(*core_->recorder);
  if (chance(6)) {
    administer();
  } else if (chance(1)) {
    Client* gone = core_->clients[random_.below(core_->clients.size())].get();
    std::erase_if(core_->clients, [&](const auto& client) { return client.get() == gone; });
    core_->clients.push_back(std::make_unique<Client>(server, ++ports_));
  } else {
    act(*core_->clients[random_.below(core_->clients.size())]);
  }
  receive();
  if (chance(3) && !ended()) check_model();
}

void Simulation::act(Client& client) {
  if (client.waits()) return;
  const int64_t now_ms = wall_us_ / 1000;
  const int database = client.session().database;
  const uint64_t choice = random_.below(100);
  if (choice < 12) return send(client, {{"SELECT", std::to_string(random_.below(kDatabases))}});
  if (choice < 20) return send(client, workload_->transaction(database, now_ms));
  if (choice < 25) return send(client, {workload_->blocking(database, now_ms)});
  std::vector<Workload::Command> commands;
  for (uint64_t i = choice < 80 ? 1 : 1 + random_.below(12); i > 0; --i) commands.push_back(workload_->command(database, now_ms));
  send(client, commands);
}

void Simulation::send(Client& client, const std::vector<Workload::Command>& commands) {
  const size_t before = history_.size();
  const int database = client.session().database;
  std::string bytes;
  for (const Workload::Command& command : commands) bytes += encode_command(command);
  if (verbose_)
    for (const Workload::Command& command : commands)
      fmt::print("{} db{} effect {}: {}\n", client.session().address, client.session().database, before, fmt::format("{}", fmt::join(command, " ")).substr(0, 200));
  client.send(bytes);
  note_snapshot(before);
  settle(&client, database, before, commands.size() == 1);
  core_->server.end_turn();
}

/// What the replies that were made since then promise, once they are received. The sender had selected `database`.
void Simulation::settle(Client* sender, int database, size_t before, bool one_command) {
  observe();
  if (!disk_.has_power()) return;
  const auto last_in = [&](int database, size_t end) {
    while (end > 0 && !(history_[end - 1].always && tells_of(history_[end - 1], database))) --end;
    return end;
  };
  std::vector<Client*> others;
  std::vector<Reply> said;
  for (const auto& client : core_->clients) {
    std::vector<Reply> made = client->take_made();
    for (const Reply& reply : made)
      if (reply.kind == Kind::error && reply.text.starts_with("MISCONF")) {
        ++counts_.refusals;
        demand(faults_ || had_faults_, "a write is refused on a disk without faults: " + reply.text);
      }
    if (client.get() == sender) {
      said = std::move(made);
    } else if (!made.empty()) {
      others.push_back(client.get());
    }
  }
  if (!sender) return;
  size_t end = history_.size();
  if (!others.empty()) {
    // The sender's own effects come first.
    end = before;
    while (one_command && end < history_.size() && !history_[end].ends_unit) ++end;
    if (one_command && end < history_.size()) ++end;
  }
  if (!said.empty() && said.back().kind != Kind::error && said.back().text != "QUEUED") {
    size_t bound = 0;
    for (size_t i = before; i < end; ++i)
      if (history_[i].always) bound = i + 1;
    bound = std::max(bound, last_in(database, end));
    sender->promise(bound);
  }
  if (others.size() == 1 && one_command)
    others[0]->promise(last_in(others[0]->session().database, history_.size()));
}

void Simulation::receive() {
  if (!disk_.has_power()) return;
  for (const auto& client : core_->clients) {
    const size_t bound = client->receive();
    if (bound == 0) continue;
    ++counts_.promises;
    check_durable(bound);
    if (bound > promised_) {
      promised_ = bound;
      promised_by_ = "a reply was received";
    }
  }
}

void Simulation::check_durable(size_t bound) {
  const Happened& last = history_[bound - 1];
  const persistence::AofLog* log = core_->server.durability.log();
  if (!log || !eras_[last.era].has_log || !logged(last.database)) return;
  demand(log->durable() >= last.position,
         fmt::format("a reply left that tells of effect {} ({}), at {} of the log, which is durable up to {}", bound - 1,
                     last.arguments[0], last.position, log->durable()));
}

void Simulation::tick() {
  core_->server.run_timeouts();
  const size_t before = history_.size();
  next_tick_us_ = mono_us_ + core_->server.tick() * 1000;
  note_snapshot(before);
  settle(nullptr, 0, before, false);
  core_->server.end_turn();
}

/// Lets time go by, with what happens in it.
void Simulation::pass(int64_t us) {
  const int64_t end = mono_us_ + us;
  while (!ended()) {
    const int64_t step = std::min<int64_t>({end - mono_us_, std::max<int64_t>(next_tick_us_ - mono_us_, 0), 20'000});
    if (step > 0) wall_us_ += step, mono_us_ += step;
    core_->background.advance(mono_us_, [&] {
      observe();
      note_snapshot(history_.size());
      core_->server.end_turn();
    });
    if (ended()) return;
    if (mono_us_ >= next_tick_us_) tick();
    core_->server.slice();
    core_->server.end_turn();
    settle(nullptr, 0, history_.size(), false);
    receive();
    if (mono_us_ >= end) return;
  }
}

/// Follows what the server has done by itself: logs that begin, bases that are adopted, snapshots.
void Simulation::observe() {
  const server::Durability& durability = core_->server.durability;
  const persistence::AofLog* log = durability.log();
  demand(any_logged() == (log != nullptr), "there is no log, though a database is to be logged, or the other way round");
  Era& era = eras_.back();
  if (log && !era.adopted && log->rewrites_done() > era.rewrites_before) {
    era.adopted = true;
  }
  if (log && (era.adopted || loaded_from_files_) && everysec_since_ == SIZE_MAX) everysec_since_ = history_.size();
  const uint64_t saves = durability.outcomes().saves;
  if (saves > saves_seen_) {
    counts_.saves += saves - saves_seen_;
    saves_seen_ = saves;
    // Only the last that began has been going on.
    if (!dumps_.empty() && dumps_.back().elsewhere) {
      dumps_.pop_back();
    } else {
      if (!dumps_.empty()) dumps_.erase(dumps_.begin(), dumps_.end() - 1);
      may_have_no_dump_ = dumps_.empty();
    }
  }
}

void Simulation::check_model() {
  if (core_->server.long_commands.writing()) return;  // half of a change is there, of which nobody is told yet
  const auto problem_of = [&] {
    size_t at = model_at_;
    std::string problem;
    while (problem.empty() && at < history_.size()) problem = step_model(at);
    model_at_ = at;
    return problem;
  };
  if (const std::string problem = problem_of(); !problem.empty()) return demand(false, problem);
  const Contents live = contents_of(core_->server);
  for (int i = 0; i < kDatabases; ++i) {
    if (model_->holds(i, live[static_cast<size_t>(i)])) continue;
    const Contents expected = model_->contents();
    for (const auto& [key, text] : live[static_cast<size_t>(i)]) {
      const auto found = expected[static_cast<size_t>(i)].find(key);
      if (found != expected[static_cast<size_t>(i)].end() && found->second == text) continue;
      return demand(false, fmt::format("the effects do not lead to what database {} holds: {} is {}, not {}", i, key, text.substr(0, 300),
                                       found == expected[static_cast<size_t>(i)].end() ? "missing" : found->second.substr(0, 300)));
    }
    return demand(false, fmt::format("the effects do not lead to what database {} holds: {} keys instead of {}", i,
                                     live[static_cast<size_t>(i)].size(), expected[static_cast<size_t>(i)].size()));
  }
}

std::string Simulation::step_model(size_t& at) {
  for (bool unit_ends = false; !unit_ends; ++at) {
    const Happened& happened = history_[at];
    unit_ends = happened.ends_unit;
    const std::string problem = model_->apply(happened.database, happened.arguments);
    if (!problem.empty()) return fmt::format("effect {}: {}", at, problem);
  }
  return {};
}

/// Whether somebody who looks at the database sees something of the effect.
bool Simulation::tells_of(const Happened& happened, int database) {
  if (happened.database == database) return true;
  const std::vector<std::string>& arguments = happened.arguments;
  const std::string number = std::to_string(database);
  if (arguments[0] == "FLUSHALL") return true;
  if (arguments[0] == "SWAPDB") return arguments[1] == number || arguments[2] == number;
  if (arguments[0] == "MOVE") return arguments[2] == number;
  return arguments[0] == "COPY" && arguments.size() > 4 && arguments[4] == number;
}

// --- What administrators do -------------------------------------------------------------------------------------------

/// Sends a command by itself, or within a transaction that writes too.
Simulation::Ordered Simulation::order(const Workload::Command& command) {
  if (command[0] == "SIGTERM") {
    core_->server.terminate([] {});
    return {};
  }
  Client client(core_->server, ++ports_);
  const bool bgsave_db = command.size() > 2 && command[1] == "DB";
  const bool in_transaction = chance(30) && command[0] != "SAVE" && command[0] != "SHUTDOWN" && !bgsave_db;
  if (!in_transaction) {
    client.send(encode_command(command));
    const std::vector<Reply> replies = client.take_made();
    return {replies.empty() ? std::string() : replies[0].text, false};
  }
  // What is written in the same transaction before a policy changes is written under the old one.
  const bool is_last = command.size() > 2 && command[2].ends_with("appendfsync");
  std::string bytes = encode_command({"MULTI"});
  size_t at = 0, commands = 0;
  const auto add = [&](const Workload::Command& each) {
    bytes += encode_command(each);
    ++commands;
  };
  const uint64_t writes = 1 + random_.below(4), position = is_last ? writes : random_.below(writes + 1);
  for (uint64_t i = 0; i <= writes; ++i) {
    if (i == position) {
      at = commands;
      add(command);
    }
    if (i == writes) break;
    const int database = static_cast<int>(random_.below(kDatabases));
    add({"SELECT", std::to_string(database)});
    add(workload_->plain_write(database, wall_us_ / 1000));
  }
  client.send(bytes + encode_command({"EXEC"}));
  const std::vector<Reply> replies = client.take_made();
  if (replies.empty()) return {{}, true};
  const Reply& last = replies.back();
  // Where one of the writes is refused, nothing is executed.
  return {at < last.items.size() ? last.items[at].text : last.text, true};
}

void Simulation::administer() {
  server::Server& server = core_->server;
  const size_t database = random_.below(kDatabases);
  const std::string number = std::to_string(database);
  Setting wanted = setting_[database];
  Workload::Command command;
  if (server.durability.shutting_down()) {
    command = {"SHUTDOWN", "ABORT"};
  } else {
    const uint64_t choice = random_.below(100);
    if (choice < 30) {
      command = {"BGREWRITEAOF"};
    } else if (choice < 45) {
      command = {"BGSAVE"};
    } else if (choice < 50) {
      command = {"BGSAVE", "SCHEDULE"};
    } else if (choice < 55) {
      command = {"BGSAVE", "DB", number};
      secret_saved_ = secret_saved_ || static_cast<int>(database) == secret_;
    } else if (choice < 57 && eras_.front().has_log) {
      // The log stays where it began, which is where the next start looks for it.
      command = {"CONFIG", "SET", "dir", elsewhere_ ? kDirectory : kElsewhere};
    } else if (choice < 60) {
      command = {"SAVE"};
    } else if (choice < 75 || (choice < 94 && !toggles_)) {
      wanted.policy = static_cast<Policy>(random_.below(3));
      command = {"CONFIG", "SET", "db." + number + ".appendfsync", std::string(kPolicies[static_cast<int>(wanted.policy)])};
    } else if (choice < 94) {
      if (static_cast<int>(database) == secret_) return;
      wanted.role = wanted.role == Role::Logged ? Role::Private : Role::Logged;
      command = {"CONFIG", "SET", "db." + number + ".appendonly", wanted.role == Role::Logged ? "yes" : "no"};
    } else if (choice < 96) {
      command = {"SIGTERM"};
    } else {
      static constexpr std::string_view kHow[] = {"", "", "NOSAVE", "SAVE", "FORCE", "NOW"};
      command = {"SHUTDOWN"};
      if (const std::string_view how = kHow[random_.below(std::size(kHow))]; !how.empty()) command.emplace_back(how);
    }
  }
  const bool toggles = wanted.role != setting_[database].role;
  if (toggles && wanted.role == Role::Private &&
      std::count_if(setting_.begin(), setting_.end(), [](const Setting& setting) { return setting.role == Role::Logged; }) == 1)
    return;  // what is found then is a matter of what older files hold
  const bool shuts_down = command[0] == "SIGTERM" || (command[0] == "SHUTDOWN" && (command.size() == 1 || command[1] != "ABORT"));
  if (shuts_down) forced_ = command.size() > 1 && command[1] == "FORCE";
  const size_t at = history_.size();
  const bool saves = (command[0] == "SAVE" && !server.durability.saving()) ||
                     (shuts_down && (!save_rules_.empty() || command.back() == "SAVE") && command.back() != "NOSAVE");
  if (saves) snapshot_began(at, at);
  if (verbose_) fmt::print("effect {}: {}\n", at, fmt::join(command, " "));
  const auto [reply, in_transaction] = order(command);
  // Commands in slices are carried to their ends first.
  if (saves) dumps_.back().last = history_.size();
  if (command[1 % command.size()] == "DB" || command[0] == "BGREWRITEAOF") {
    saving_seen_us_ = server.durability.saving_since_us();  // which is no snapshot of all databases
  } else {
    note_snapshot(at);
  }
  if (command[0] == "CONFIG") {
    if (reply == "OK") setting_[database] = wanted;
    if (reply == "OK" && command[2] == "dir") elsewhere_ = !elsewhere_;
    demand(reply == "OK" || had_faults_ || !disk_.has_power(), "CONFIG SET: " + reply);
    if (toggles) {
      const bool leaves = wanted.role == Role::Private;
      // Within a transaction it is followed when that has ended.
      Era era{in_transaction ? history_.size() : at, {}, any_logged(), false, server.durability.log() ? server.durability.log()->rewrites_done() : 0, leaves,
              leaves ? eras_.back().left : Contents(kDatabases)};
      for (int i = 0; i < kDatabases; ++i) era.logged.push_back(logged(i));
      if (leaves) era.left[database] = contents_of(server)[database];
      eras_.push_back(std::move(era));
    }
  }
  settle(nullptr, 0, at, false);
  server.end_turn();
}

/// Writes down that a snapshot of all databases has begun since the history had `first` effects, if one has.
void Simulation::note_snapshot(size_t first) {
  const server::Durability& durability = core_->server.durability;
  const int64_t since_us = durability.saving_since_us();
  if (std::exchange(saving_seen_us_, since_us) != since_us && durability.saving()) snapshot_began(first, history_.size());
}

void Simulation::snapshot_began(size_t first, size_t last) {
  Dump dump{first, last, elsewhere_, {}, {}};
  for (const Setting& setting : setting_) dump.kept.push_back(setting.role != Role::Private);
  dumps_.push_back(std::move(dump));
}

/// On a disk without faults everything is allowed again, and becomes durable, by itself.
void Simulation::heal() {
  disk_.set_rates({});
  disk_.set_capacity(UINT64_MAX);
  std::string last = "nothing";
  for (int tries = 0; tries < 120 && !ended(); ++tries) {
    pass(500'000);
    if (ended()) return;
    bool well = true;
    for (int i = 0; i < kDatabases && well; ++i) {
      Client client(core_->server, ++ports_);
      send(client, {{"SELECT", std::to_string(i)}, workload_->plain_write(i, wall_us_ / 1000)});
      for (int waits = 0; waits < 40 && !ended() && client.session().sendable() < client.session().out.size(); ++waits) pass(100'000);
      if (ended()) return;
      const std::string out = client.session().out.to_string();
      well = out == "+OK\r\n+OK\r\n" && client.session().sendable() == out.size();
      if (!well) last = out;
    }
    if (well) return;
  }
  demand(ended(), "the server does not recover with the disk: " + last);
}

// --- What a start finds -----------------------------------------------------------------------------------------------

void Simulation::expect_after_end() {
  if (core_->host.ended == 0 && !forced_ && any_logged()) {
    promised_ = history_.size();
    promised_by_ = "SHUTDOWN";
  }
  const bool one_row = std::all_of(eras_.begin() + 1, eras_.end(), [](const Era& era) { return era.goes_on; });
  if (!had_faults_ && !pauses_everysec_ && one_row) {
    // A second, the turn that notices, and the jobs that are under way: each takes its way there and back and some syncs.
    const int64_t allowed_us = 1'000'000 + 2 * kTickUs + 6 * delay_us_ + 12 * sync_us_;
    for (size_t i = history_.size(); i > std::max(promised_, everysec_since_); --i) {
      if (!history_[i - 1].everysec || mono_us_ - history_[i - 1].time_us < allowed_us) continue;
      promised_ = i;
      promised_by_ = "everysec had its second";
      break;
    }
  }
  counts_.effects += history_.size();
  counts_.rewrites += core_->server.durability.outcomes().rewrites;
  if (disk_.has_power() && (!may_kill_ || (core_->host.ended && chance(50)))) disk_.cut_power();
  if (!disk_.has_power()) ++counts_.power_cuts;
  core_.reset();
}

void Simulation::match() {
  if (eras_.empty()) eras_.push_back({0, std::vector<bool>(kDatabases, false), any_logged(), false, 0, false, Contents(kDatabases)});
  const Contents found = contents_of(core_->server);
  search_for_secret();
  std::erase_if(dumps_, [](const Dump& dump) { return dump.elsewhere; });
  materialise_dumps();
  const bool known = std::any_of(eras_.begin(), eras_.end(), [](const Era& era) { return era.adopted; });
  if (any_logged() && matches_files(found)) return;
  if ((!any_logged() || (!known && promised_ == 0)) && matches_dump(found)) return;
  std::string keys;
  for (const auto& database : found) keys += fmt::format(" {}", database.size());
  demand(false, fmt::format("what was found ({} keys) is nothing that was there behind one of the effects {} to {} ({}), of {} eras",
                            keys, promised_, history_.size(), promised_by_, eras_.size()));
}

bool Simulation::matches_files(const Contents& found) {
  size_t first = eras_.size();
  while (first > 0 && !eras_[first - 1].adopted) --first;
  if (first > 0) --first;
  while (eras_[first].goes_on) --first;
  model_->go_back();
  model_at_ = 0;
  for (size_t at = 0;;) {
    for (size_t i = first; i < eras_.size() && at >= promised_; ++i) {
      const size_t end = i + 1 < eras_.size() ? eras_[i + 1].begin : history_.size();
      if (eras_[i].has_log && eras_[i].begin <= at && at <= end && matches(eras_[i], found)) return true;
    }
    if (at == history_.size()) return false;
    if (const std::string problem = step_model(at); !problem.empty()) return false;
  }
}

bool Simulation::matches(const Era& era, const Contents& found) {
  for (int i = 0; i < kDatabases; ++i) {
    const auto index = static_cast<size_t>(i);
    if (era.logged[index]) {
      if (!model_->holds(i, found[index])) return false;
    } else if (!found[index].empty()) {
      if (i == secret_ || found[index] != era.left[index]) return false;
    }
  }
  return true;
}

bool Simulation::matches_dump(const Contents& found) {
  const int64_t now_ms = wall_us_ / 1000;
  const Contents live = without_expired(found, now_ms);
  for (const Dump& dump : dumps_) {
    for (const Contents& contents : dump.contents) {
      if (without_expired(contents, now_ms) != live) continue;
      return true;
    }
  }
  return may_have_no_dump_ && live == Contents(kDatabases);
}

/// What was in snapshots of this life, for the lives after it.
void Simulation::materialise_dumps() {
  for (Dump& dump : dumps_) {
    if (!dump.contents.empty()) continue;
    model_->go_back();
    model_at_ = 0;
    for (size_t at = 0; at <= dump.last;) {
      if (at >= dump.first) {
        Contents contents = model_->contents();
        for (size_t i = 0; i < contents.size(); ++i)
          if (!dump.kept[i]) contents[i].clear();
        dump.contents.push_back(std::move(contents));
      }
      if (at == history_.size() || !step_model(at).empty()) break;
    }
  }
}

void Simulation::search_for_secret() {
  if (secret_ < 0) return;
  for (const std::string& directory : {kDirectory, kDirectory + "/appendonlydir", kElsewhere}) {
    const Result<std::vector<std::string>> names = disk_.list(directory);
    if (!names) continue;
    for (const std::string& name : *names) {
      if (secret_saved_ && (name.starts_with("temp-") || name.starts_with(std::to_string(secret_) + "-"))) continue;
      const std::string* content = disk_.content(directory + "/" + name);
      demand(!content || content->find(Workload::kSecret) == std::string::npos, name + " holds what is not to be kept");
    }
  }
}

}  // namespace quartet::test
