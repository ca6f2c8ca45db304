// One case while it runs: its connections, what they have received, and the configuration to set back.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend.h"
#include "reply.h"
#include "spec_file.h"

namespace quartet::test {

// A connection and the replies on it.
class Client {
 public:
  explicit Client(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}

  void send(std::string_view bytes) { connection_->send(bytes); }

  // The next reply, waiting for it at most `bound`; nothing when none came or the connection is closed.
  // Throws std::runtime_error when the server sends something that is not RESP.
  std::optional<Reply> receive(std::chrono::milliseconds bound);

  // Whether the server has closed the connection, waiting for that at most `bound`.
  bool closed(std::chrono::milliseconds bound);

  // Sends a command and returns its reply. Throws std::runtime_error if none comes.
  Reply call(const std::vector<std::string>& arguments);

 private:
  bool take_bytes(std::chrono::milliseconds bound);

  std::unique_ptr<Connection> connection_;
  ReplyReader reader_;
  bool closed_ = false;
};

// How long a reply that must come may take on a backend of real time. A test only ever waits that long to fail.
inline constexpr std::chrono::milliseconds reply_bound{5000};

class CaseRun {
 public:
  // Empties the server. `control` outlives this.
  CaseRun(Backend& backend, Client& control);

  // Disconnects the clients and sets the configuration back.
  ~CaseRun();

  CaseRun(const CaseRun&) = delete;
  CaseRun& operator=(const CaseRun&) = delete;

  // Does any step but an expectation.
  void perform(const Step& step);

  void settle() { backend_.settle(); }

  Client& client(const std::string& name);

  // The names of the clients in the order of their first use.
  const std::vector<std::string>& names() const { return names_; }

  Variables& variables() { return variables_; }

 private:
  void configure(const std::string& name, const std::string& value);
  std::vector<std::string> resolved(const std::vector<Argument>& arguments) const;
  void remove_users();
  void become_sender(const std::string& name);

  Backend& backend_;
  Client& control_;
  std::map<std::string, Client> clients_;
  std::vector<std::string> names_;
  std::string last_sender_;
  Variables variables_;
  bool uses_acl_ = false;
  std::vector<std::pair<std::string, std::string>> saved_;
};

}  // namespace quartet::test
