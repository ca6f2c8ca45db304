#include "case_run.h"

#include <fmt/format.h>

#include <stdexcept>

#include "cursor.h"

namespace quartet::test {

using namespace std::chrono_literals;

bool Client::take_bytes(std::chrono::milliseconds bound) {
  if (closed_) return false;
  std::string bytes;
  const Received received = connection_->receive(bytes, bound);
  closed_ = received == Received::closed;
  reader_.feed(bytes);
  return received == Received::bytes;
}

std::optional<Reply> Client::receive(std::chrono::milliseconds bound) {
  while (true) {
    if (auto reply = reader_.next()) return reply;
    if (reader_.broken()) throw std::runtime_error("not RESP: " + quoted(reader_.pending().substr(0, 200)));
    if (!take_bytes(bound)) return std::nullopt;
  }
}

bool Client::closed(std::chrono::milliseconds bound) {
  while (take_bytes(bound)) continue;
  return closed_ && reader_.pending().empty();
}

Reply Client::call(const std::vector<std::string>& arguments) {
  send(encode_command(arguments));
  auto reply = receive(reply_bound);
  if (!reply) throw std::runtime_error("no reply to " + arguments[0]);
  return *reply;
}

CaseRun::CaseRun(Backend& backend, Client& control) : backend_(backend), control_(control) {
  backend_.begin_case();
  const Reply emptied = control_.call({"FLUSHALL"});
  if (emptied.kind == Kind::error) throw std::runtime_error("FLUSHALL: " + emptied.text);
}

CaseRun::~CaseRun() {
  clients_.clear();
  try {
    if (uses_acl_) remove_users();
    for (auto saved = saved_.rbegin(); saved != saved_.rend(); ++saved)
      control_.call({"CONFIG", "SET", saved->first, saved->second});
    backend_.settle();
  } catch (const std::runtime_error&) {
    // The server is gone; the next case reports that.
  }
}

Client& CaseRun::client(const std::string& name) {
  auto found = clients_.find(name);
  if (found == clients_.end()) {
    found = clients_.emplace(name, Client(backend_.connect())).first;
    names_.push_back(name);
  }
  return found->second;
}

// The commands of several clients reach the server in the order of the file.
void CaseRun::become_sender(const std::string& name) {
  if (name != last_sender_) backend_.settle();
  last_sender_ = name;
}

std::vector<std::string> CaseRun::resolved(const std::vector<Argument>& arguments) const {
  std::vector<std::string> out;
  for (const Argument& argument : arguments) {
    if (!argument.is_variable) {
      out.push_back(argument.text);
      continue;
    }
    const auto found = variables_.find(argument.text);
    if (found == variables_.end()) throw SpecError("nothing is captured as $" + argument.text);
    out.push_back(found->second);
  }
  return out;
}

void CaseRun::configure(const std::string& name, const std::string& value) {
  const Reply old = control_.call({"CONFIG", "GET", name});
  if (old.items.size() != 2) throw std::runtime_error("no such configuration: " + name);
  saved_.emplace_back(name, old.items[1].text);
  const Reply set = control_.call({"CONFIG", "SET", name, value});
  if (set.kind == Kind::error) throw std::runtime_error(fmt::format("CONFIG SET {}: {}", name, set.text));
}

void CaseRun::remove_users() {
  std::vector<std::string> remove = {"ACL", "DELUSER"};
  for (const Reply& name : control_.call({"ACL", "USERS"}).items)
    if (name.text != "default") remove.push_back(name.text);
  if (remove.size() > 2) control_.call(remove);
  control_.call({"ACL", "SETUSER", "default", "on", "nopass", "~*", "&*", "+@all", "clearselectors"});
  control_.call({"ACL", "LOG", "RESET"});
}

void CaseRun::perform(const Step& step) {
  switch (step.action) {
    case Step::Action::send:
      if (!step.arguments.empty() && step.arguments[0].text == "ACL") uses_acl_ = true;
      become_sender(step.client);
      client(step.client).send(encode_command(resolved(step.arguments)));
      break;
    case Step::Action::send_raw:
      become_sender(step.client);
      client(step.client).send(step.bytes);
      break;
    case Step::Action::advance:
      backend_.settle();
      backend_.advance(step.time);
      break;
    case Step::Action::close:
      backend_.settle();
      clients_.erase(step.client);
      std::erase(names_, step.client);
      backend_.settle();
      break;
    case Step::Action::config: configure(step.arguments[0].text, step.arguments[1].text); break;
    case Step::Action::resp3: {
      const Reply hello = client(step.client).call({"HELLO", "3"});
      if (hello.kind != Kind::map) throw std::runtime_error("HELLO 3: " + to_text(hello));
      break;
    }
    case Step::Action::expect: break;
  }
}

}  // namespace quartet::test
