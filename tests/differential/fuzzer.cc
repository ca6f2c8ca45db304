#include "fuzzer.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "dataset.h"

namespace quartet::test {

namespace {

constexpr std::size_t client_count = 3;
constexpr std::size_t batch_size = 100;
constexpr std::size_t history_size = 20000;
constexpr std::size_t shown_history = 25;
constexpr std::size_t shown_length = 2000;

std::string shown(const std::vector<std::string>& arguments) {
  std::string out;
  for (const std::string& argument : arguments) {
    const bool plain = !argument.empty() && std::all_of(argument.begin(), argument.end(), [](char c) {
      return c > 0x20 && c < 0x7f && c != '"' && c != '\'' && c != '\\';
    });
    out += (out.empty() ? "" : " ") + (plain ? argument : quoted(argument));
  }
  return out.size() > shown_length ? out.substr(0, shown_length) + " ..." : out;
}

std::set<std::string> keys_in(const std::vector<std::string>& arguments) {
  std::set<std::string> keys;
  for (const std::string& argument : arguments)
    if (Grammar::is_key(argument)) keys.insert(argument);
  return keys;
}

// The limits of the packed encodings in a run. SORT turns a packed sorted set into a skiplist in redis-server, which
// shows in OBJECT ENCODING and in how -0 and large scores are written; Quartet leaves what it reads as it is. Therefore
// SORT is sent in the runs only where no sorted set is packed.
struct Limits {
  const char* hash;
  const char* set;
  const char* sorted_set;
  bool sorting;
};

Limits limits_of(std::uint64_t seed) {
  static constexpr Limits all[] = {
      {"8", "8", "8", false},  // values change their encoding all the time
      {"8", "8", "0", true},
      {"128", "512", "128", false},  // the defaults
  };
  return all[seed % std::size(all)];
}

// Commands that matter to every key.
bool concerns_all(const std::string& name) {
  return name == "FLUSHALL" || name == "FLUSHDB" || name == "SWAPDB" || name == "EXEC" || name == "SELECT";
}

}  // namespace

Fuzzer::Fuzzer(const Peer& a, const Peer& b, FuzzOptions options)
    : a_(a), b_(b), options_(options), random_(options.seed), grammar_(limits_of(options.seed).sorting), control_{a.connect(), b.connect()} {
  connect_clients();
  begin_again();
  // redis-server looks for timeouts hz times a second, so that at 10, the default, waiting would take most of a run.
  const Limits limits = limits_of(options_.seed);
  for (const auto& side : control_) {
    const Reply reply = side->call({"CONFIG", "SET", "hz", "500", "hash-max-listpack-entries", limits.hash,
                                    "set-max-intset-entries", limits.set, "zset-max-listpack-entries", limits.sorted_set});
    if (reply.kind == Kind::error) throw std::runtime_error(reply.text);
  }
}

void Fuzzer::connect_clients() {
  clients_.clear();
  for (std::size_t i = 0; i < client_count; ++i) {
    clients_.push_back({{a_.connect(), b_.connect()}, false, {}});
    // One of the clients speaks RESP3 from the start; all may change later.
    if (i == 1)
      for (const auto& side : clients_[i].sides) side->call({"HELLO", "3"});
  }
}

void Fuzzer::begin_again() {
  for (const auto& side : control_) side->call({"FLUSHALL"});
  history_.clear();
}

int Fuzzer::run() {
  long next_comparison = options_.compare_every;
  try {
    while (index_ < options_.commands && differences_ < options_.max_differences) {
      batch();
      if (random_.percent(10)) compare_scan();
      if (index_ < next_comparison && index_ < options_.commands) continue;
      compare_data();
      next_comparison += options_.compare_every;
    }
  } catch (const std::runtime_error&) {
    print_last_commands();
    throw;
  }
  return differences_;
}

// In a transaction mostly ordinary commands, which are queued; outside now and then the beginning of one.
Command Fuzzer::next_command(Client& client) {
  if (random_.percent(client.in_transaction ? 12 : 3)) return transaction_command(client);
  Command command = grammar_.command(random_);
  if (random_.percent(4) && command.agreement == Agreement::exact) {
    // The same command from within a script.
    std::vector<std::string> script = {"EVAL", random_.percent(50) ? "return redis.call(unpack(ARGV))" : "return redis.pcall(unpack(ARGV))", "0"};
    script.insert(script.end(), command.arguments.begin(), command.arguments.end());
    command.arguments = std::move(script);
  }
  return command;
}

Command Fuzzer::transaction_command(Client& client) {
  static constexpr std::string_view inside[] = {"EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "EXEC", "DISCARD", "MULTI", "WATCH"};
  static constexpr std::string_view outside[] = {"MULTI", "MULTI", "MULTI", "MULTI", "WATCH", "WATCH", "UNWATCH", "EXEC", "DISCARD"};
  const std::string name(client.in_transaction ? random_.pick(inside) : random_.pick(outside));
  if (name == "WATCH") return {{name, random_value("k", random_), random_value("k", random_)}, Agreement::exact};
  if (name == "MULTI") client.in_transaction = true;
  if (name == "EXEC" || name == "DISCARD") client.in_transaction = false;
  return {{name}, Agreement::exact};
}

void Fuzzer::batch() {
  const std::size_t which = random_.below(clients_.size());
  Client& client = clients_[which];
  std::vector<Command> commands;
  for (std::size_t i = 0; i < batch_size; ++i) {
    commands.push_back(next_command(client));
    for (const auto& side : client.sides) side->send(commands.back().arguments);
  }
  for (const auto& side : client.sides) side->flush();

  bool equal = true;
  for (const Command& command : commands) {
    const Sent sent{++index_, which, command.arguments};
    history_.push_back(sent);
    if (history_.size() > history_size) history_.pop_front();
    const Reply a = client.sides[0]->receive();
    const Reply b = client.sides[1]->receive();
    // After the first difference the servers may hold different data; what follows would only repeat it.
    equal = equal && check(client, sent, command, a, b);
    follow(client, command, a);
  }
  if (equal) return;
  connect_clients();
  begin_again();
}

bool Fuzzer::check(Client& client, const Sent& sent, const Command& command, const Reply& a, const Reply& b) {
  const std::string where = fmt::format("command {} of client {}: {}", sent.index, sent.client, shown(sent.arguments));
  const std::vector<Command>& queued = client.queued;
  const auto answers_all = [&](const Reply& reply) { return reply.kind == Kind::array && reply.items.size() == queued.size(); };
  if (command.arguments[0] == "EXEC" && answers_all(a) && answers_all(b)) {
    const auto at = first_disagreement(queued, a, b);
    if (!at) return true;
    report(where + ", where it runs " + shown(queued[*at].arguments), queued[*at].arguments, to_text(a.items[*at]), to_text(b.items[*at]));
    return false;
  }
  const bool waiting = a.kind == Kind::simple_string && a.text == "QUEUED";
  if (waiting ? a == b : agree(command.agreement, a, b)) return true;
  report(where, sent.arguments, to_text(a), to_text(b));
  return false;
}

void Fuzzer::follow(Client& client, const Command& command, const Reply& reply) {
  const std::string& name = command.arguments[0];
  const bool ok = reply.kind == Kind::simple_string;
  if (ok && reply.text == "QUEUED") client.queued.push_back(command);
  else if (name == "MULTI" && ok) client.queued.clear();
  else if (name == "EXEC" || name == "DISCARD") client.queued.clear();
}

void Fuzzer::compare_scan() {
  static constexpr std::string_view commands[] = {"SCAN", "SSCAN", "HSCAN", "ZSCAN"};
  static constexpr std::string_view letters = " uhz";
  const std::size_t which = random_.below(std::size(commands));
  std::vector<std::string> command = {std::string(commands[which])};
  if (which > 0) command.push_back(random_value(letters.substr(which, 1), random_));
  std::vector<std::string> options;
  if (random_.percent(50)) options = {"COUNT", std::to_string(1 + random_.below(50))};
  if (random_.percent(30)) options.insert(options.end(), {"MATCH", random_value("glob", random_)});
  const std::string database = std::to_string(random_.below(compared_databases));
  for (const auto& side : control_) side->call({"SELECT", database});
  const Reply a = whole_scan(*control_[0], command, options);
  const Reply b = whole_scan(*control_[1], command, options);
  for (const auto& side : control_) side->call({"SELECT", "0"});
  if (a == b) return;
  report(fmt::format("whole scan of database {}: {} {}", database, shown(command), shown(options)), command, to_text(a), to_text(b));
}

void Fuzzer::compare_data() {
  const auto found = differences(read_dataset(*control_[0]), read_dataset(*control_[1]));
  if (found.empty()) return;
  for (const std::string& difference : found) {
    if (differences_ >= options_.max_differences) return;
    const std::string key = difference.substr(2, difference.find('\n') - 2);
    report("the data differs at " + difference, {key}, "", "");
  }
  connect_clients();
  begin_again();
}

void Fuzzer::report(const std::string& what, const std::vector<std::string>& arguments, const std::string& a, const std::string& b) {
  ++differences_;
  fmt::print("difference {} (seed {}, after {} commands)\n{}\n", differences_, options_.seed, index_, what);
  if (!a.empty() || !b.empty()) fmt::print("  A: {}\n  B: {}\n", a.substr(0, shown_length), b.substr(0, shown_length));
  print_history(arguments);
  fmt::print("\n");
}

void Fuzzer::print_history(const std::vector<std::string>& arguments) const {
  const std::set<std::string> keys = keys_in(arguments);
  std::vector<const Sent*> lines;
  for (auto sent = history_.rbegin(); sent != history_.rend() && lines.size() < shown_history; ++sent) {
    const std::set<std::string> own = keys_in(sent->arguments);
    const bool shared = std::any_of(own.begin(), own.end(), [&](const auto& key) { return keys.contains(key); });
    if (shared || concerns_all(sent->arguments[0])) lines.push_back(&*sent);
  }
  fmt::print("  recent commands on the same keys:\n");
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    fmt::print("  {:>8} client {}: {}\n", (*line)->index, (*line)->client, shown((*line)->arguments));
}

void Fuzzer::print_last_commands() const {
  fmt::print("broken off (seed {}) at command {}; the last commands:\n", options_.seed, index_);
  const std::size_t first = history_.size() - std::min(history_.size(), shown_history);
  for (std::size_t i = first; i < history_.size(); ++i)
    fmt::print("  {:>8} client {}: {}\n", history_[i].index, history_[i].client, shown(history_[i].arguments));
}

}  // namespace quartet::test
