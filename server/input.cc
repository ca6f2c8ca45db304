#include "server/input.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "server/server.h"

namespace quartet::server {

namespace {

/// A bulk string that is still on its way is read straight behind what is there, in one piece of this many bytes at most,
/// so that a length alone allocates nothing much.
constexpr size_t kReadAhead = 16 * 1024 * 1024;

/// Frees what is used for one request after the other, where a large one has made it grow.
template <class T>
void give_back(std::vector<T>& room) {
  if (room.capacity() > limits::kKeptArguments) [[unlikely]]
    std::vector<T>().swap(room);
}

}  // namespace

Input::Input(Server& server) : server_(server), reads_(std::make_unique<BatchedRead[]>(kBatchedReads)) {
  for (auto& buffer : shared_) buffer = std::make_unique_for_overwrite<char[]>(kSharedBytes);
}

// --- Reading ----------------------------------------------------------------------------------------------------------

/// Where in the shared buffer the next read goes to: after the batched ones.
char* Input::shared_room() const { return server_.executing() ? shared_[1].get() : shared_[0].get() + batched_bytes_; }

Batch& Input::immediate_batch() { return batches_[server_.executing() ? 1 : 0]; }

Input::ReadBuffer Input::read_buffer(Session& session) {
  // While its own command runs, the session's input must not move.
  if (session.executing) return {nullptr, 0};
  // What was read before can resume this session.
  if (session.batched || !session.input.empty()) execute_received();
  target_of_ = &session;
  target_ = session.input.empty() ? Target::Shared : Target::Own;
  if (target_ == Target::Shared) return {shared_room(), limits::kReadBufferBytes};
  const size_t have = session.input.size();
  const size_t needed = session.needed_input();
  const size_t missing = needed > have ? needed - have : 0;
  const size_t room = std::clamp(missing, limits::kReadBufferBytes, kReadAhead);
  // Beyond the request that is being received, growth doubles, so that copying stays linear.
  char* data = session.input.room(missing > kReadAhead ? std::min(missing, std::max(room, have)) : room);
  return {data, session.input.room_left()};
}

void Input::received(Session& session, size_t n) {
  const Target target = std::exchange(target_, Target::None);
  assert(target != Target::None && target_of_ == &session && "nothing was executed since read_buffer");
  ++server_.stats.reads_processed;
  server_.stats.net_input_bytes += n;
  server_.stats.database(session.database).net_input_bytes += n;
  if (session.memcached) session.memcached->service.stats.bytes_read += n;
  if (target == Target::Own) {
    session.input.extend(n);
    session.last_active = server_.clock.now();
    Time now = session.last_active;
    execute_kept(session);
    return finish_read(session, now);
  }
  const std::string_view input(shared_room(), n);
  if (!server_.executing() && n <= kShortReadBytes && !session.input_paused()) return add_to_batch(session, input);
  if (next_read_ != read_count_) {
    // What others have sent before comes first. Where that runs long this client is read again meanwhile, and what it sends then comes
    // after what it has sent now.
    session.last_active = server_.clock.now();
    session.input.append(input);
    execute_received();
    Time now = server_.clock.now();
    execute_kept(session);
    return finish_read(session, now);
  }
  Time now = server_.clock.now();
  if (!session.input_paused()) parse_batch(session, input, immediate_batch());
  execute_read(session, input, immediate_batch(), now);
}

void Input::add_to_batch(Session& session, std::string_view input) {
  BatchedRead& read = reads_[read_count_++];
  read.session = &session;
  read.input = input;
  batched_bytes_ += input.size();
  session.batched = true;
  parse_batch(session, input, read.batch);
  if (read_count_ == kBatchedReads) execute_received();
}

void Input::execute_received() {
  if (next_read_ == read_count_) return;
  if (next_read_ == 0) look_ahead(std::span(reads_.get(), read_count_));
  Time now = server_.clock.now();
  // A script that runs long has the rest executed from within this loop.
  while (next_read_ < read_count_ && !server_.stopping()) {
    BatchedRead& read = reads_[next_read_++];
    if (!read.session) continue;  // it has gone away
    read.session->batched = false;
    execute_read(*read.session, read.input, read.batch, now);
  }
  if (!server_.executing()) next_read_ = read_count_ = batched_bytes_ = 0;
}

void Input::execute_read(Session& session, std::string_view input, Batch& batch, Time& now) {
  size_t done = 0;
  session.last_active = now;
  if (session.input_paused()) {
    session.reset_parser();
  } else {
    done = execute_input(session, input, batch, now);
  }
  if (!session.closing) session.input.append(input.substr(done));
  finish_read(session, now);
}

void Input::finish_read(Session& session, Time& now) {
  if (static_cast<int64_t>(session.input.size()) > server_.config.client_query_buffer_limit && !session.closing) {
    server_.about_clients_.write(server_.log, LogLevel::Warning, session.last_active,
                                 "Closing client that reached max query buffer length: id={} addr={}", session.id, session.address);
    ++server_.stats.query_buffer_limit_disconnections;
    server_.disconnect(session, false);
  }
  session.input.trim();
  server_.output_added(session);
  if (!has_resumed() || server_.executing()) return;
  run_resumed();
  now = server_.clock.now();
}

void Input::execute_kept(Session& session) {
  if (session.input_paused() || session.input.empty()) return;
  Batch& batch = immediate_batch();
  parse_batch(session, session.input.view(), batch);
  // It is executed now, however long ago it came.
  Time now = server_.clock.now();
  session.input.consume(execute_input(session, session.input.view(), batch, now));
}

// --- Execution --------------------------------------------------------------------------------------------------------

bool Input::stops(const Session& session) const { return session.input_paused() || server_.stopping(); }

size_t Input::execute_input(Session& session, std::string_view input, Batch& batch, Time& now) {
  size_t done = 0;
  target_ = Target::None;
  session.executing = true;
  try {
    while (true) {
      done += execute_batch(session, batch, now);
      if (done == input.size() || stops(session)) break;
      // What an unknown client may leave unread is so little that one read could bring far more than that.
      if (server_.must_log_in(session)) {
        server_.output_added(session);
        if (session.closing) break;
      }
      parse_batch(session, input.substr(done), batch);
      if (batch.requests.empty() && batch.bytes == 0 && batch.well_formed) break;  // an unfinished request
    }
  } catch (const std::exception&) {
    server_.fail_input(session);
  }
  session.executing = false;
  give_back(batch.arguments);
  give_back(server_.key_room_);
  // The time that its commands took is no idleness of the client.
  session.last_active = now;
  return done;
}

size_t Input::execute_batch(Session& session, Batch& batch, Time& now) {
  size_t done = 0;
  server_.bound_output(session);
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    const Batch::Request& request = batch.requests[i];
    if (i == batch.looked_ahead) look_ahead(session, batch);
    if (session.memcached) session.memcached->quiet = request.quiet;
    const Outcome outcome = server_.dispatch(session, request.command, batch.arguments_of(request), now);
    if (outcome == Outcome::Done) {
      done = request.end_byte;
      if (!stops(session)) continue;
      // What the parser has seen of a request after the last one stays as it is.
      if (i + 1 == batch.requests.size() && batch.well_formed) return batch.bytes;
    }
    // It meets the requests that wait, and what makes no sense after them, again.
    session.reset_parser();
    return done;
  }
  if (!batch.well_formed) end_malformed(session);
  return batch.bytes;
}

void Input::end_malformed(Session& session) {
  if (session.memcached) {
    end_malformed_memcached(session);
  } else {
    session.reply.error(session.parser.error());
    server_.count_error(session.reply.last_error());
  }
  server_.disconnect(session, true);
}

void Input::parse_batch(Session& session, std::string_view input, Batch& batch) {
  using Status = protocol::RequestParser::Status;
  batch.clear();
  if (session.memcached) return parse_memcached(session, input, batch);
  protocol::ParserLimits parser_limits;
  parser_limits.bulk_bytes = server_.config.proto_max_bulk_len;
  parser_limits.authenticated = !server_.must_log_in(session);
  // What may follow a first AUTH is not known before it has run.
  const size_t most = parser_limits.authenticated ? limits::kBatchCommands : 1;
  while (batch.requests.size() < most && batch.bytes < input.size()) {
    const bool multibulk = input[batch.bytes] == '*';
    const size_t first = batch.arguments.size();
    const Status status = session.parser.next(input.substr(batch.bytes), parser_limits, batch.arguments);
    if (status == Status::Incomplete) return;
    if (status == Status::Error) {
      batch.well_formed = false;
      return;
    }
    batch.bytes += session.parser.consumed();
    if (status == Status::Empty) continue;
    batch.requests.push_back({first, batch.arguments.size(), batch.bytes, server_.commands.find(batch.arguments[first])});
    // Arguments of an inline request may lie in the parser, only until its next call.
    if (!multibulk) return;
  }
}

// --- Waiting ----------------------------------------------------------------------------------------------------------

void Input::wait(Session& session, Wait reason) {
  assert(session.wait == Wait::None && reason != Wait::None);
  session.wait = reason;
  session.waits_since_us = server_.clock.now().mono_us;
  ++waiting_[static_cast<size_t>(reason)];
  if (reason != Wait::Pause && reason != Wait::Snapshot) return;
  std::list<Session*>& line = reason == Wait::Pause ? paused_ : for_snapshot_;
  session.place_in_line = line.insert(line.end(), &session);
}

void Input::end_wait(Session& session) {
  assert(session.wait != Wait::None);
  forget(session);
  session.wait = Wait::None;
  session.last_active = server_.clock.now();
  // Nor has it been slow to log in meanwhile.
  session.unauthenticated_since_us += session.last_active.mono_us - session.waits_since_us;
  resumed_.push_back(session.id);
}

void Input::end_waits(Wait reason) {
  assert(reason == Wait::Pause || reason == Wait::Snapshot);
  const std::list<Session*>& line = reason == Wait::Pause ? paused_ : for_snapshot_;
  while (!line.empty()) end_wait(*line.front());
}

void Input::run_resumed() {
  assert(!server_.executing());
  // Sessions that are resumed may wake others in turn.
  while (!resumed_.empty()) {
    for (const uint64_t id : std::exchange(resumed_, {})) {
      Session* session = server_.find_session(id);
      if (!session) continue;
      assert(!session->executing);
      execute_kept(*session);
      server_.output_added(*session);
      // One whose command waits for a key is gone at once: it must not be served what it cannot receive.
      if (session->input_ended && !session->closing && !session->waits_its_turn()) server_.disconnect(*session, true);
      if (session->connection && !session->input_paused()) session->connection->resume_input();
    }
  }
}

void Input::forget(Session& session) {
  if (session.batched)
    for (size_t i = next_read_; i < read_count_; ++i)
      if (reads_[i].session == &session) reads_[i].session = nullptr;
  if (target_of_ == &session) target_ = Target::None;
  if (session.wait == Wait::None) return;
  --waiting_[static_cast<size_t>(session.wait)];
  if (session.wait == Wait::Pause) paused_.erase(session.place_in_line);
  if (session.wait == Wait::Snapshot) for_snapshot_.erase(session.place_in_line);
}

size_t Input::memory() const {
  size_t bytes = 0;
  for (const Batch& batch : batches_) bytes += batch.memory();
  for (size_t i = 0; i < kBatchedReads; ++i) bytes += reads_[i].batch.memory();
  return bytes;
}

}  // namespace quartet::server
