#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace quartet {

/// Why an operation failed: a text for people, and the operating system's number where it gave one (errno), else 0.
struct Error {
  std::string text;
  int code = 0;
};

/// A value, or why there is none.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : outcome_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : outcome_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return outcome_.index() == 0; }
  /// REQUIRES for all four: there is a value.
  T& operator*() { return *std::get_if<0>(&outcome_); }
  const T& operator*() const { return *std::get_if<0>(&outcome_); }
  T* operator->() { return std::get_if<0>(&outcome_); }
  const T* operator->() const { return std::get_if<0>(&outcome_); }
  /// REQUIRES: there is none.
  const Error& error() const { return *std::get_if<1>(&outcome_); }

 private:
  std::variant<T, Error> outcome_;
};

/// Success, or why not.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_; }
  /// REQUIRES: no success.
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace quartet
