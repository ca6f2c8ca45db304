// The floor: the least that a server on libuv has to do for a request. It reads, counts the requests in what it has
// read, and writes as many equal replies with one call. It looks at no command and keeps no data, so that what a real
// server costs beyond it is that server's own work. For bench/compare; 127.0.0.1 only.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <uv.h>

#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "base/numbers.h"
#include "bench/load/resp_skipper.h"

namespace {

constexpr size_t kReadBytes = 64 * 1024;
constexpr int kBacklog = 511;
constexpr std::string_view kReply = "+OK\r\n";

/// Shared by all connections, of which one is served at a time.
struct Floor {
  uv_loop_t loop;
  uv_tcp_t listener;
  char input[kReadBytes];
  std::string replies;  // as many as a read can hold requests
};

struct Connection {
  uv_tcp_t tcp;
  Floor& floor;
  quartet::load::RespSkipper requests;
};

template <class Handle>
uv_stream_t* stream(Handle& handle) {
  return reinterpret_cast<uv_stream_t*>(&handle);
}

void close(Connection& connection) {
  uv_close(reinterpret_cast<uv_handle_t*>(&connection.tcp),
           [](uv_handle_t* handle) { delete static_cast<Connection*>(handle->data); });
}

void give_buffer(uv_handle_t* handle, size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(static_cast<Connection*>(handle->data)->floor.input, kReadBytes);
}

/// A client whose replies the kernel does not take at once is dropped: to keep them for it would be a real server's
/// work.
void answer(uv_stream_t* from, ssize_t n, const uv_buf_t* buffer) {
  auto& connection = *static_cast<Connection*>(from->data);
  if (n == 0) return;
  const uint64_t before = connection.requests.replies();
  if (n < 0 || !connection.requests.feed({buffer->base, static_cast<size_t>(n)})) return close(connection);
  const size_t size = static_cast<size_t>(connection.requests.replies() - before) * kReply.size();
  if (size == 0) return;
  uv_buf_t out = uv_buf_init(connection.floor.replies.data(), static_cast<unsigned>(size));
  if (uv_try_write(from, &out, 1) != static_cast<int>(size)) close(connection);
}

void accept(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* connection = new Connection{{}, *static_cast<Floor*>(listener->data), {}};
  uv_tcp_init(listener->loop, &connection->tcp);
  connection->tcp.data = connection;
  if (uv_accept(listener, stream(connection->tcp)) != 0) return close(*connection);
  uv_tcp_nodelay(&connection->tcp, 1);
  uv_read_start(stream(connection->tcp), give_buffer, answer);
}

int serve(uint16_t port) {
  Floor floor;
  // Nothing that is counted is shorter than two bytes, and one may have begun in the read before.
  for (size_t i = 0; i < kReadBytes / 2 + 1; ++i) floor.replies += kReply;
  uv_loop_init(&floor.loop);
  uv_tcp_init(&floor.loop, &floor.listener);
  floor.listener.data = &floor;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int status = uv_tcp_bind(&floor.listener, reinterpret_cast<const sockaddr*>(&address), 0);
  if (status == 0) status = uv_listen(stream(floor.listener), kBacklog, accept);
  if (status != 0) {
    fmt::print(stderr, "quartet_floor: {}\n", uv_strerror(status));
    return 1;
  }
  return uv_run(&floor.loop, UV_RUN_DEFAULT);  // until a signal ends the process
}

}  // namespace

int main(int argc, char** argv) {
  const std::optional<uint64_t> port = argc == 2 ? quartet::parse_uint(argv[1]) : std::nullopt;
  if (!port || *port == 0 || *port > 65535) {
    fmt::print(stderr, "Usage: quartet_floor PORT\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  return serve(static_cast<uint16_t>(*port));
}
