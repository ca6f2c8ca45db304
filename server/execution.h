#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/entry.h"

namespace quartet::server {

struct Context;

/// What a handler said by Context::effect.
struct SaidEffect {
  int database;
  std::vector<std::string> arguments;
  int other = -1;  // see persistence::Effect
  std::optional<storage::Note> note = {};
};

/// What a reply waits for before it is sent: the log's position that has to be durable, and the ticket of a snapshot that has to be on
/// disk (Durability::save_flushed); 0: nothing.
struct Awaited {
  uint64_t position = 0;
  uint64_t save = 0;

  explicit operator bool() const { return (position | save) != 0; }
  void also(const Awaited& other) {
    position = std::max(position, other.position);
    save = std::max(save, other.save);
  }
};

/// What one execution of a command has gathered for Server::finish, which does everything that follows from a command. It lies in the
/// command's Context, and so stands still with it where the command is done in slices.
struct Execution {
  std::vector<SaidEffect> effects;
  /// Keys that it has made in databases with a `default-ttl`, or given a new value.
  struct NewKey {
    int database;
    std::string key;
  };
  std::vector<NewKey> new_keys;

  Context* outer = nullptr;      // the transaction or script that has called it
  size_t mark = 0;               // its reply lies behind this position of the output
  uint64_t errors_before = 0;    // that its Reply had counted when it began
  uint64_t errors_within = 0;    // written to the same reply by the commands that it called: theirs, not its own
  uint64_t errors_counted = 0;   // of its own, those that are in the statistics already
  Awaited awaited;               // what its reply has to wait for
  bool call_counted = false;     // it goes on for a client that has waited: the call is in the statistics already
};

}  // namespace quartet::server
