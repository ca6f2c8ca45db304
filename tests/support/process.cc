#include "process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "socket.h"

namespace quartet::test {

using namespace std::chrono_literals;

namespace {

std::string make_directory() {
  std::string path = (std::filesystem::temp_directory_path() / "quartet-test-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
  return path;
}

template <typename Condition>
bool wait_until(std::chrono::milliseconds bound, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + bound;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(10ms);
  }
  return true;
}

}  // namespace

ServerProcess::ServerProcess(const std::string& binary, const std::vector<std::string>& options)
    : port_(free_port()), directory_(make_directory()) {
  start(binary, options);
  bool gone = false;
  const bool up = wait_until(20s, [&] { return answers() || (gone = ended()); });
  if (up && !gone) return;
  const std::string said = output();
  stop();
  throw std::runtime_error(fmt::format("{} did not start:\n{}", binary, said));
}

ServerProcess::~ServerProcess() { stop(); }

void ServerProcess::start(const std::string& binary, const std::vector<std::string>& options) {
  std::vector<std::string> words = {binary, "--port", std::to_string(port_), "--bind", "127.0.0.1",
                                    "--dir", directory_, "--save", "", "--appendonly", "no"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const std::string log = directory_ + "/log";

  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    const int descriptor = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(descriptor, STDOUT_FILENO);
    ::dup2(descriptor, STDERR_FILENO);
    ::execvp(argv[0], argv.data());
    ::_exit(127);
  }
}

bool ServerProcess::answers() const {
  try {
    Socket probe("127.0.0.1", port_);
    std::string got;
    return probe.send_all("PING\r\n") && probe.receive(got, 5s) == Received::bytes;
  } catch (const std::runtime_error&) {
    return false;
  }
}

bool ServerProcess::ended() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
  return pid_ < 0;
}

void ServerProcess::stop() {
  if (!ended()) {
    ::kill(pid_, SIGTERM);
    if (!wait_until(10s, [&] { return ended(); })) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string ServerProcess::output() const {
  std::ostringstream text;
  text << std::ifstream(directory_ + "/log").rdbuf();
  return text.str();
}

}  // namespace quartet::test
