#include "in_process_backend.h"

#include <fmt/format.h>

#include <cstring>
#include <stdexcept>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "server/commands/families.h"
#include "server/config.h"
#include "server/server.h"

namespace quartet::test {

namespace {

class ImmediateBackground final : public server::Background {
public:
    void run(std::function<void()> work, std::function<void()> done) override {
        work();
        done();
    }
};

class NoHost final : public server::Host {
public:
    void stop(int) override {}
};

class InProcessBackend;

// What the server core sees of a connection.
class CoreConnection final : public server::Connection {
public:
    void flush_soon() override {}
    void close_soon(bool flush) override {
        closing = true;
        discard = discard || !flush;
    }
    void resume_input() override {}

    server::Session* session = nullptr;
    bool closing = false;
    bool discard = false;
};

class InProcessConnection final : public Connection {
public:
    InProcessConnection(InProcessBackend& backend, int number);
    ~InProcessConnection() override;
    void send(std::string_view bytes) override;
    Received receive(std::string& out, std::chrono::milliseconds) override;
    void leave();

private:
    InProcessBackend& backend_;
    CoreConnection core_;
};

class InProcessBackend final : public Backend {
public:
    InProcessBackend() : log(clock) {
        log.set_level(LogLevel::Warning);
        if (auto error = config.load({"--enable-debug-command", "yes", "--save", ""})) throw std::runtime_error(*error);
        core = std::make_unique<server::Server>(clock, log, config, background, host, server::all_families());
    }

    std::unique_ptr<Connection> connect() override {
        return std::make_unique<InProcessConnection>(*this, next_port_++);
    }
    void settle() override { close_finished(); }
    void advance(std::chrono::milliseconds time) override {
        // In steps, as a server's timers would come.
        for (int64_t left = time.count(); left > 0;) {
            const int64_t step = std::min<int64_t>(left, 10);
            clock.advance_ms(step);
            core->run_timeouts();
            core->tick();
            left -= step;
        }
        close_finished();
    }
    void close_finished() {
        for (InProcessConnection* connection : std::vector<InProcessConnection*>(connections)) connection->leave();
    }

    ManualClock clock;
    Log log;
    server::ConfigStore config;
    ImmediateBackground background;
    NoHost host;
    std::unique_ptr<server::Server> core;
    std::vector<InProcessConnection*> connections;

private:
    int next_port_ = 50000;
};

InProcessConnection::InProcessConnection(InProcessBackend& backend, int number) : backend_(backend) {
    std::string_view refusal;
    core_.session = backend.core->open_session(core_, fmt::format("127.0.0.1:{}", number), "127.0.0.1:6379", number, false,
                                               true, refusal);
    if (!core_.session) throw std::runtime_error(std::string(refusal));
    backend.connections.push_back(this);
}

InProcessConnection::~InProcessConnection() {
    std::erase(backend_.connections, this);
    if (core_.session) backend_.core->close_session(*core_.session);
}

void InProcessConnection::send(std::string_view bytes) {
    while (!bytes.empty() && core_.session && !core_.closing) {
        const auto room = backend_.core->read_buffer(*core_.session);
        const size_t n = std::min(room.size, bytes.size());
        std::memcpy(room.data, bytes.data(), n);
        backend_.core->received(*core_.session, n);
        bytes.remove_prefix(n);
    }
}

// The session ends once what it had to say has been taken; what is to be discarded is never given out.
void InProcessConnection::leave() {
    if (!core_.session || !core_.closing) return;
    if (!core_.discard && !core_.session->out.empty()) return;
    backend_.core->close_session(*core_.session);
    core_.session = nullptr;
}

Received InProcessConnection::receive(std::string& out, std::chrono::milliseconds) {
    leave();
    if (!core_.session) return Received::closed;
    if (core_.session->out.empty()) return Received::nothing;
    out += core_.session->out.to_string();
    backend_.core->sent(*core_.session, core_.session->out.size());
    return Received::bytes;
}

}  // namespace

std::unique_ptr<Backend> make_in_process_backend() { return std::make_unique<InProcessBackend>(); }

}  // namespace quartet::test
