#pragma once

#include <map>
#include <string>
#include <vector>

#include "core_process.h"
#include "server/server.h"

namespace quartet::test {

/// What databases hold, expired entries included, as text that is equal for equal contents.
using Contents = std::vector<std::map<std::string, std::string>>;

Contents contents_of(const server::Server& server);
/// Without what has expired by then, in ms since the epoch.
Contents without_expired(const Contents& contents, int64_t now_ms);

/// A server without files and clients that follows another by the effects that leave it.
class Model {
 public:
  explicit Model(int databases);

  /// Becomes equal to a server; `text` is its contents.
  void become(const server::Server& server);
  /// Goes back to what it became equal to last.
  void go_back();
  /// Executes an effect; what was wrong with it, or nothing.
  std::string apply(int database, const std::vector<std::string>& effect);

  /// Whether one database holds exactly this.
  bool holds(int database, const std::map<std::string, std::string>& expected);
  Contents contents() const { return contents_of(server_); }

 private:
  struct Saved {
    int database;
    std::string key, expiry, payload;
  };

  ManualClock clock_;
  Log log_;
  server::ConfigStore config_;
  std::unique_ptr<persistence::Disk> disk_;
  ImmediateBackground background_;
  EndingHost host_;
  server::Server server_;
  std::unique_ptr<server::Session> session_;
  std::vector<Saved> saved_;
  // Where it differed the last time; looked at first.
  int different_in_ = -1;
  std::string different_key_;
};

}  // namespace quartet::test
