#pragma once

#include <memory>
#include <utility>

#include "server/context.h"
#include "server/server.h"

namespace quartet::server {

/// Working memory of a command. Where the command takes long it is much, and another thread frees it.
template <class T>
class Leftover {
 public:
  explicit Leftover(Context& ctx, T value = T()) : ctx_(ctx), value_(std::move(value)) {}
  Leftover(const Leftover&) = delete;
  Leftover& operator=(const Leftover&) = delete;
  ~Leftover() {
    if (ctx_.in_slices) ctx_.server.reclaim(std::make_unique<Held>(std::move(value_)));
  }

  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }

 private:
  struct Held final : storage::Garbage {
    // How much it is nobody counts: it was never any database's.
    explicit Held(T&& held) : Garbage(0), value(std::move(held)) {}
    T value;
  };

  Context& ctx_;
  T value_;
};

}  // namespace quartet::server
