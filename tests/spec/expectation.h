// What a spec file says about a reply, and whether a reply fulfils it. The notation is described in README.md.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "reply.h"

namespace quartet::test {

// Names bound by a case ($id), kept for its later commands and expectations.
using Variables = std::map<std::string, std::string>;

struct Expectation {
  enum class Form {
    exact,        // `reply` as it stands
    pattern,      // a reply of `kind` whose text contains a match of the extended regular expression `text`
    range,        // a number of `kind` within low..high
    any_of_kind,  // any reply of `kind`
    any,          // any reply
    capture,      // binds the scalar's text to the variable `text`; with `kind_given` only a reply of `kind`
    aggregate,    // a reply of `kind` whose items are as in `items`
    nothing,      // no reply yet
    closed,       // the server has closed the connection
    unrecorded,   // to be filled in by --record
  };

  Form form = Form::any;
  Kind kind = Kind::null;
  bool kind_given = false;
  Reply reply;
  std::string text;
  double low = 0;
  double high = 0;
  std::vector<Expectation> items;
  bool unordered = false;  // aggregate: items in any order
  bool pairs = false;      // aggregate: items are pairs (key, value) in any order
  bool open = false;       // aggregate: further items may follow
};

// Parses the text after `<`. Throws SpecError.
Expectation parse_expectation(std::string_view text);

// True when brackets outside strings are balanced, that is, the expectation does not go on in the next line.
bool is_complete(std::string_view text);

// Whether `reply` is as expected. Binds captured variables. Not for the forms nothing, closed, unrecorded.
bool matches(const Expectation& expected, const Reply& reply, Variables& variables);

// The expectation that fulfils exactly `reply`, as text for a spec file; long ones span lines, the
// continuations indented. Arrays that `like` (may be null) marks as unordered or pairs are marked so again.
std::string expectation_text(const Reply& reply, const Expectation* like = nullptr);

}  // namespace quartet::test
