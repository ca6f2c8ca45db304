#include "server/net/worker.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>
#include <utility>

#include "server/net/scheduling.h"
#include "server/process_info.h"

namespace quartet::net {

Worker::~Worker() {
  if (event_ >= 0) ::close(event_);
}

int Worker::open(uv_loop_t* loop, std::function<void(int64_t)> worked) {
  worked_ = std::move(worked);
  event_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (event_ < 0) return uv_translate_sys_error(errno);
  if (const int status = uv_poll_init(loop, &poll_, event_); status != 0) return status;
  poll_.data = this;
  return uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
    uint64_t count;
    // What there is to deliver comes with the end of this turn.
    (void)!::read(static_cast<Worker*>(poll->data)->event_, &count, sizeof count);
  });
}

void Worker::begin() {
  // Signals are for the loop's thread.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] {
      ask_for_short_slices();
      serve();
    });
  } catch (const std::system_error&) {
    // The machine has none left. The next piece asks again.
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Worker::run(std::function<void()> work, std::function<void()> done) {
  if (!thread_.joinable() && !closed_) begin();
  if (!thread_.joinable()) {
    work();
    const std::lock_guard lock(mutex_);
    done_.push_back({{}, std::move(done)});  // the loop's own thread has allocated, and knows of it
    any_done_ = true;
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    to_do_.push_back({std::move(work), std::move(done)});
  }
  given_.notify_one();
}

void Worker::serve() {
  std::unique_lock lock(mutex_);
  while (true) {
    given_.wait(lock, [this] { return !to_do_.empty() || ends_; });
    if (to_do_.empty()) return;
    Piece piece = std::move(to_do_.front());
    to_do_.pop_front();
    lock.unlock();
    const int64_t before = server::heap_balance();
    piece.work();
    piece.heap_balance = server::heap_balance() - before;
    lock.lock();
    done_.push_back(std::move(piece));
    any_done_ = true;
    if (waits_.exchange(false)) wake();
  }
}

void Worker::wake() {
  constexpr uint64_t kOne = 1;
  (void)!::write(event_, &kOne, sizeof kOne);
}

void Worker::loop_waits() {
  waits_ = true;
  if (any_done_ && waits_.exchange(false)) wake();
}

void Worker::deliver() {
  // What is delivered may have more done at once.
  while (any_done_) {
    {
      const std::lock_guard lock(mutex_);
      delivered_.swap(done_);
      any_done_ = false;
    }
    for (const Piece& piece : delivered_) {
      worked_(piece.heap_balance);
      piece.done();
    }
    delivered_.clear();
  }
}

void Worker::close() {
  closed_ = true;
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    given_.notify_one();
    thread_.join();
  }
  deliver();
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), nullptr);
}

}  // namespace quartet::net
