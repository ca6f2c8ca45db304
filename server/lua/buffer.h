#pragma once

#include <cstring>

#include <lua.hpp>

namespace quartet::server::lua {

/// Bytes that grow in a user datum of Lua's, which stands at a fixed place of the stack: an error anywhere frees it. Unlike luaL_Buffer
/// it leaves the top of the stack to its user.
class Buffer {
 public:
  /// Pushes the user datum.
  explicit Buffer(lua_State* L) : L_(L) {
    data_ = static_cast<char*>(lua_newuserdata(L, kFirstBytes));
    place_ = lua_gettop(L);
  }

  void add(const void* bytes, size_t n) {
    if (n == 0) return;
    if (n > capacity_ - size_) grow(n);
    std::memcpy(data_ + size_, bytes, n);
    size_ += n;
  }
  void add(char byte) { add(&byte, 1); }
  void add_zeros(size_t n) {
    if (n > capacity_ - size_) grow(n);
    std::memset(data_ + size_, 0, n);
    size_ += n;
  }
  size_t size() const { return size_; }
  void push() const { lua_pushlstring(L_, data_, size_); }

 private:
  static constexpr size_t kFirstBytes = 512;

  void grow(size_t n) {
    const size_t wanted = size_ + n;
    if (wanted < n) luaL_error(L_, "string too long");
    const size_t capacity = wanted > capacity_ * 2 ? wanted : capacity_ * 2;
    char* data = static_cast<char*>(lua_newuserdata(L_, capacity));
    std::memcpy(data, data_, size_);
    lua_replace(L_, place_);
    data_ = data;
    capacity_ = capacity;
  }

  lua_State* L_;
  int place_;
  char* data_;
  size_t size_ = 0, capacity_ = kFirstBytes;
};

}  // namespace quartet::server::lua
