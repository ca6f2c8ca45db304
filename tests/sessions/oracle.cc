#include "oracle.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "server/commands/families.h"

namespace quartet::test {

Oracle::Oracle(const std::vector<std::string>& arguments, const Time& now) : log_(clock_) {
  clock_.time = now;
  static_cast<void>(log_.open("/dev/null"));
  if (const auto error = config_.load(arguments)) throw std::runtime_error(*error);
  server_.emplace(clock_, log_, config_, disk_, background_, host_, server::all_families());
  server_->long_commands.set_bounds({.work = SIZE_MAX / 2});
}

std::unique_ptr<Oracle::Twin> Oracle::open(int port, std::optional<int> memcached) {
  auto twin = std::make_unique<Twin>(*this);
  std::string_view refusal;
  twin->session = server_->open_session(*twin, "127.0.0.1:" + std::to_string(port), "127.0.0.1:6379", port, false, true,
                                        refusal, memcached);
  if (!twin->session) throw std::runtime_error(std::string(refusal));
  return twin;
}

void Oracle::close(Twin& twin) {
  server_->close_session(*twin.session);
  twin.session = nullptr;
  std::erase(told_, &twin);
}

std::string Oracle::execute(Twin& twin, std::string_view bytes, const Time& now) {
  clock_.time = now;
  server::Session& session = *twin.session;
  // Where guesses at passwords have to wait, the simulated server has waited.
  session.login_due = true;
  while (!bytes.empty() && !session.closing && !session.blocked) {
    const auto room = server_->input.read_buffer(session);
    const size_t n = std::min(room.size, bytes.size());
    std::memcpy(room.data, bytes.data(), n);
    server_->input.received(session, n);
    server_->input.execute_received();
    bytes.remove_prefix(n);
  }
  server_->long_commands.finish_all();
  session.login_due = false;
  server_->unpause();
  gather();
  if (!session.closing && !session.input.empty()) return "one request at a time is not executed";
  return {};
}

void Oracle::execute_late(Twin* twin, int database, const std::vector<std::string>& arguments, const Time& now) {
  clock_.time = now;
  const std::vector<std::string_view> args(arguments.begin(), arguments.end());
  std::unique_ptr<server::Session> nobody = twin ? nullptr : server_->make_session();
  server::Session& session = twin ? *twin->session : *nobody;
  if (nobody) nobody->database = database;
  Time time = now;
  const size_t mark = session.out.size();
  server_->call(session, *server_->commands.find(args[0]), args, {.deny_blocking = false}, time);
  if (session.reply_mode != server::ReplyMode::On) session.out.truncate(mark);
  if (twin) told_.push_back(twin);
  gather();
}

void Oracle::execute_late(Twin& twin, std::string_view bytes, const Time& now) {
  const bool closing = std::exchange(twin.session->closing, false);
  static_cast<void>(execute(twin, bytes, now));
  twin.session->closing = closing;
}

void Oracle::believe(Twin& twin, std::string_view bytes) {
  twin.told += bytes;
  twin.total += bytes.size();
}

void Oracle::take_back(Twin& twin, uint64_t total) {
  twin.told.resize(twin.told.size() - (twin.total - total));
  twin.total = total;
}

void Oracle::gather() {
  for (Twin* twin : told_) {
    const size_t n = twin->session->out.size();
    if (n == 0) continue;
    believe(*twin, twin->session->out.to_string());
    server_->sent(*twin->session, n);
  }
  told_.clear();
}

}  // namespace quartet::test
