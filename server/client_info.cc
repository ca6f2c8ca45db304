#include "server/client_info.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/blocking.h"

namespace quartet::server {

namespace {

/// Whether others see it as blocked: it waits for what is not of its own making.
bool is_blocked(Wait wait) {
  switch (wait) {
    case Wait::Keys:
    case Wait::Database:
    case Wait::Pause:
    case Wait::Snapshot: return true;
    case Wait::None:
    case Wait::OwnSlices:
    case Wait::Login: return false;
  }
  return false;
}

}  // namespace

std::string client_flags(const Session& session) {
  std::string flags;
  if (session.monitor) flags += 'O';
  if (session.subscribed()) flags += 'P';
  if (session.in_multi) flags += 'x';
  if (is_blocked(session.wait)) flags += 'b';
  if (session.watch_touched) flags += 'd';
  if (session.closing) flags += 'c';
  if (session.unix_socket) flags += 'U';
  if (session.no_evict) flags += 'e';
  if (session.no_touch) flags += 'T';
  return flags.empty() ? "N" : flags;
}

size_t client_memory(const Session& session) {
  return sizeof(Session) + session.parser.memory() + session.input.capacity() + session.out.memory() + session.queue_bytes +
         session.watch_bytes + session.subscription_bytes + (session.blocked ? session.blocked->memory : 0);
}

std::string client_info(const Session& session, const Time& now, Args executing) {
  constexpr size_t kBlock = protocol::BlockPool::kBlockBytes;
  size_t arguments = session.blocked ? session.blocked->argument_bytes : 0;
  for (const std::string_view argument : executing) arguments += argument.size();
  // The first block of output stands for the buffer that each of Redis's clients has, what comes after it for the list of replies.
  const size_t first_block = session.out.empty() ? 0 : kBlock;
  const size_t in_block = std::min(session.out.size(), first_block);
  const size_t omem = session.out.beyond_first();
  const size_t input = session.input.size();
  return fmt::format(
      "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} qbuf={} "
      "qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} cmd={} user={} redir=-1 "
      "resp={} lib-name={} lib-ver={}",
      session.id, session.address, session.local_address, session.descriptor, session.name,
      (now.mono_us - session.created.mono_us) / 1'000'000, (now.mono_us - session.last_active.mono_us) / 1'000'000,
      client_flags(session), session.database, session.channels.size(), session.patterns.size(),
      session.shard_channels.size(), session.in_multi ? static_cast<int64_t>(session.queue.size()) : -1, input,
      session.input.capacity() - input, arguments, session.queue_bytes, first_block, in_block, in_block,
      (omem + kBlock - 1) / kBlock, omem, client_memory(session), session.out.empty() ? "r" : "rw",
      session.last_command ? session.last_command->full_name : "NULL", session.user->name, session.reply.version(),
      session.library_name, session.library_version);
}

bool valid_client_name(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

}  // namespace quartet::server
