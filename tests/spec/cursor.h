// Reads the small pieces of which spec files consist: words, quoted strings, numbers.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace quartet::test {

// What is wrong with a spec file; the parser of the file adds the place.
struct SpecError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  std::string_view rest() const { return rest_; }

  void skip_spaces();
  bool take(std::string_view prefix);  // Consumes `prefix` if it stands here.
  std::string_view word();             // Up to the next space, or everything.
  std::string_view all();              // Everything that is left.

  // `"..."` with \" \\ \n \r \t \xHH, or '...' taken as it stands, each optionally followed by *COUNT,
  // which repeats it: "ab"*3 is ababab.
  std::string quoted_string();

  // `.../`, behind the opening slash: \/ is a slash, other backslashes are the expression's own.
  std::string slashed();

  long number();

 private:
  char escape();

  std::string_view rest_;
};

}  // namespace quartet::test
