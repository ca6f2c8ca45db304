// Sends the same random commands to two servers and compares what they say and hold.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "command.h"
#include "grammar.h"
#include "peer.h"
#include "random.h"

namespace quartet::test {

struct FuzzOptions {
  std::uint64_t seed = 1;
  long commands = 200000;
  int max_differences = 10;
  long compare_every = 20000;  // commands between comparisons of the whole data
};

class Fuzzer {
 public:
  Fuzzer(const Peer& a, const Peer& b, FuzzOptions options);

  // Runs to the end or to max_differences; prints each difference. Returns their number. Throws
  // std::runtime_error when a server closes a connection or falls silent, after printing where.
  int run();

 private:
  // A client that is connected to both servers, and what is known of its state.
  struct Client {
    std::array<std::unique_ptr<PeerConnection>, 2> sides;
    bool in_transaction = false;  // as the generator sees it
    std::vector<Command> queued;
  };

  struct Sent {
    long index;
    std::size_t client;
    std::vector<std::string> arguments;
  };

  void batch();
  Command next_command(Client& client);
  Command transaction_command(Client& client);
  bool check(Client& client, const Sent& sent, const Command& command, const Reply& a, const Reply& b);
  static void follow(Client& client, const Command& command, const Reply& reply);
  void compare_data();
  void compare_scan();
  void report(const std::string& what, const std::vector<std::string>& arguments, const std::string& a, const std::string& b);
  void print_history(const std::vector<std::string>& arguments) const;
  void print_last_commands() const;
  void begin_again();
  void connect_clients();

  const Peer& a_;
  const Peer& b_;
  FuzzOptions options_;
  Random random_;
  Grammar grammar_;
  std::vector<Client> clients_;
  std::array<std::unique_ptr<PeerConnection>, 2> control_;
  std::deque<Sent> history_;
  long index_ = 0;
  int differences_ = 0;
};

}  // namespace quartet::test
