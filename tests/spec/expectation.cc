#include "expectation.h"

#include <fmt/format.h>
#include <regex.h>

#include <algorithm>
#include <charconv>

#include "cursor.h"

namespace quartet::test {

namespace {

using Form = Expectation::Form;

constexpr std::size_t line_width = 140;

Expectation exact(Kind kind, std::string text, std::string format = {}) {
  Expectation expected;
  expected.form = Form::exact;
  expected.kind = kind;
  expected.reply = Reply{kind, std::move(text), std::move(format), {}};
  return expected;
}

Expectation of_form(Form form, Kind kind = Kind::null) {
  Expectation expected;
  expected.form = form;
  expected.kind = kind;
  return expected;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : cursor_(text) {}

  Expectation whole() {
    cursor_.skip_spaces();
    Expectation expected = value(true);
    cursor_.skip_spaces();
    if (!cursor_.at_end()) throw SpecError("left over after the expectation: " + std::string(cursor_.rest()));
    return expected;
  }

 private:
  Expectation value(bool top) {
    for (const auto& [word, kind] : {std::pair{"$-1", Kind::null_bulk}, {"*-1", Kind::null_array}})
      if (cursor_.take(word)) return exact(kind, "");
    if (cursor_.take("unordered")) return with_order(&Expectation::unordered);
    if (cursor_.take("pairs")) return with_order(&Expectation::pairs);
    if (cursor_.take("[")) return aggregate(Kind::array, ']');
    if (cursor_.take("~[")) return aggregate(Kind::set, ']');
    if (cursor_.take(">[")) return aggregate(Kind::push, ']');
    if (cursor_.take("|{")) return aggregate(Kind::attribute, '}');
    if (cursor_.take("{")) return aggregate(Kind::map, '}');
    if (cursor_.take("+")) return text_line(Kind::simple_string, top);
    if (cursor_.take("-")) return text_line(Kind::error, top);
    if (cursor_.take(":")) return numeric(Kind::integer);
    if (cursor_.take(",")) return numeric(Kind::real);
    if (cursor_.take("=")) return verbatim();
    if (cursor_.take("$/")) return pattern(Kind::bulk);
    if (cursor_.take("#")) return exact(Kind::boolean, std::string(cursor_.word()));
    if (cursor_.take("(")) return exact(Kind::big_number, std::string(cursor_.word()));
    if (cursor_.peek() == '"' || cursor_.peek() == '\'') return exact(Kind::bulk, cursor_.quoted_string());
    if (cursor_.take("$")) return capture();
    return keyword(std::string(cursor_.word()), top);
  }

  Expectation keyword(const std::string& word, bool top) {
    if (word == "_") return exact(Kind::null, "");
    if (word == "any") return of_form(Form::any);
    if (top && word == "nothing") return of_form(Form::nothing);
    if (top && word == "closed") return of_form(Form::closed);
    if (word == "?") return of_form(Form::unrecorded);
    throw SpecError("not an expectation: " + word);
  }

  Expectation with_order(bool Expectation::*flag) {
    cursor_.skip_spaces();
    Expectation expected = value(false);
    if (expected.form != Form::aggregate && expected.form != Form::unrecorded)
      throw SpecError("unordered and pairs stand before an aggregate");
    expected.*flag = true;
    return expected;
  }

  Expectation aggregate(Kind kind, char close) {
    Expectation expected = of_form(Form::aggregate, kind);
    expected.unordered = kind == Kind::set;
    expected.pairs = kind == Kind::map || kind == Kind::attribute;
    while (true) {
      cursor_.skip_spaces();
      if (cursor_.at_end()) throw SpecError("unfinished aggregate");
      if (cursor_.peek() == close) break;
      if (cursor_.take("...")) {
        expected.open = true;
        cursor_.skip_spaces();
        if (cursor_.peek() != close) throw SpecError("... stands last");
        break;
      }
      expected.items.push_back(value(false));
    }
    cursor_.take(std::string_view(&close, 1));
    return expected;
  }

  Expectation text_line(Kind kind, bool top) {
    if (cursor_.peek() == '"') return exact(kind, cursor_.quoted_string());
    if (cursor_.take("/")) return pattern(kind);
    return exact(kind, std::string(top ? cursor_.all() : cursor_.word()));
  }

  Expectation pattern(Kind kind) {
    Expectation expected = of_form(Form::pattern, kind);
    expected.text = cursor_.slashed();
    return expected;
  }

  Expectation verbatim() {
    const std::string format(cursor_.rest().substr(0, 3));
    for (char c : format) cursor_.take(std::string_view(&c, 1));
    if (cursor_.take("/")) return pattern(Kind::verbatim);
    return exact(Kind::verbatim, cursor_.quoted_string(), format);
  }

  Expectation numeric(Kind kind) {
    if (cursor_.take("any")) return of_form(Form::any_of_kind, kind);
    if (cursor_.take("$")) {
      Expectation expected = capture();
      expected.kind = kind;
      expected.kind_given = true;
      return expected;
    }
    const std::string word(cursor_.word());
    const std::size_t dots = word.find("..");
    if (dots == std::string::npos) return exact(kind, word);
    Expectation expected = of_form(Form::range, kind);
    expected.low = std::stod(word.substr(0, dots));
    expected.high = std::stod(word.substr(dots + 2));
    return expected;
  }

  Expectation capture() {
    Expectation expected = of_form(Form::capture);
    expected.text = cursor_.word();
    if (expected.text.empty()) throw SpecError("$ wants a name");
    return expected;
  }

  Cursor cursor_;
};

bool pattern_found(const std::string& pattern, const std::string& text) {
  regex_t compiled;
  if (regcomp(&compiled, pattern.c_str(), REG_EXTENDED | REG_NEWLINE) != 0)
    throw SpecError("bad regular expression: " + pattern);
  regmatch_t bounds[1] = {{0, static_cast<regoff_t>(text.size())}};
  const bool found = regexec(&compiled, text.c_str(), 1, bounds, REG_STARTEND) == 0;
  regfree(&compiled);
  return found;
}

bool within(const Expectation& expected, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  return value >= expected.low && value <= expected.high;
}

bool captured(const Expectation& expected, const Reply& reply, Variables& variables) {
  if (reply.is_aggregate() || (expected.kind_given && reply.kind != expected.kind)) return false;
  variables[expected.text] = reply.text;
  return true;
}

// Each expected group of `width` items takes the first reply group that is still free and fits.
bool items_in_any_order(const Expectation& expected, const Reply& reply, std::size_t width, Variables& variables) {
  std::vector<bool> used(reply.items.size());
  for (std::size_t i = 0; i + width <= expected.items.size(); i += width) {
    bool found = false;
    for (std::size_t j = 0; j + width <= reply.items.size() && !found; j += width) {
      if (used[j]) continue;
      found = true;
      for (std::size_t k = 0; k < width; ++k)
        found = found && matches(expected.items[i + k], reply.items[j + k], variables);
      used[j] = found;
    }
    if (!found) return false;
  }
  return expected.items.size() % width == 0;
}

bool aggregate_matches(const Expectation& expected, const Reply& reply, Variables& variables) {
  if (reply.kind != expected.kind) return false;
  if (expected.open ? reply.items.size() < expected.items.size() : reply.items.size() != expected.items.size())
    return false;
  if (expected.pairs) return items_in_any_order(expected, reply, 2, variables);
  if (expected.unordered) return items_in_any_order(expected, reply, 1, variables);
  for (std::size_t i = 0; i < expected.items.size(); ++i)
    if (!matches(expected.items[i], reply.items[i], variables)) return false;
  return true;
}

bool stands_bare(const std::string& text) {
  if (text.empty() || text.front() == '"' || text.front() == '/' || text.front() == ' ' || text.back() == ' ')
    return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

// Takes the beginning of a pattern with its slash, if one begins here: $/ +/ -/ =txt/
bool starts_pattern(Cursor& cursor) {
  for (const std::string_view prefix : {"$/", "+/", "-/"})
    if (cursor.take(prefix)) return true;
  const bool verbatim = cursor.peek() == '=' && cursor.rest().size() > 4 && cursor.rest()[4] == '/';
  return verbatim && cursor.take(cursor.rest().substr(0, 5));
}

std::string mark_of(const Reply& reply, const Expectation* like) {
  if (!like || reply.kind != Kind::array || reply.items.size() < 2) return "";
  return like->pairs ? "pairs " : like->unordered ? "unordered " : "";
}

// The items of an aggregate on one line each, marked as in `like` where it has an item in the same place.
std::vector<std::string> item_texts(const Reply& reply, const Expectation* like) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < reply.items.size(); ++i) {
    const Expectation* item_like = like && i < like->items.size() ? &like->items[i] : nullptr;
    const Reply& item = reply.items[i];
    if (item.kind != Kind::array || mark_of(item, item_like).empty()) texts.push_back(to_text(item));
    else texts.push_back(mark_of(item, item_like) + to_text(item));
  }
  return texts;
}

// The texts in indented lines of bounded width, `step` of them kept together.
std::string flowing(const std::vector<std::string>& texts, std::size_t step) {
  std::string out, row;
  for (std::size_t i = 0; i < texts.size(); i += step) {
    std::string group;
    for (std::size_t j = i; j < std::min(i + step, texts.size()); ++j) group += ' ' + texts[j];
    if (!row.empty() && row.size() + group.size() > line_width - 10) {
      out += "\n   " + row;
      row.clear();
    }
    row += group;
  }
  return row.empty() ? out : out + "\n   " + row;
}

}  // namespace

Expectation parse_expectation(std::string_view text) { return Parser(text).whole(); }

bool is_complete(std::string_view text) {
  Cursor cursor(text);
  cursor.skip_spaces();
  // Bare simple strings and errors may hold any bracket.
  if (cursor.peek() == '+' || cursor.peek() == '-') return true;
  int depth = 0;
  while (!cursor.at_end()) {
    const char c = cursor.peek();
    if (c == '"' || c == '\'') {
      cursor.quoted_string();
      continue;
    }
    if (starts_pattern(cursor)) {
      cursor.slashed();
      continue;
    }
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    cursor.take(std::string_view(&c, 1));
  }
  return depth <= 0;
}

bool matches(const Expectation& expected, const Reply& reply, Variables& variables) {
  switch (expected.form) {
    case Form::exact: return expected.reply == reply;
    case Form::pattern: return reply.kind == expected.kind && pattern_found(expected.text, reply.text);
    case Form::range: return reply.kind == expected.kind && within(expected, reply.text);
    case Form::any_of_kind: return reply.kind == expected.kind;
    case Form::any: return true;
    case Form::capture: return captured(expected, reply, variables);
    case Form::aggregate: return aggregate_matches(expected, reply, variables);
    case Form::nothing:
    case Form::closed:
    case Form::unrecorded: return false;
  }
  return false;
}

std::string expectation_text(const Reply& reply, const Expectation* like) {
  if ((reply.kind == Kind::simple_string || reply.kind == Kind::error) && stands_bare(reply.text))
    return std::string(1, reply.kind == Kind::error ? '-' : '+') + reply.text;
  if (!reply.is_aggregate()) return to_text(reply);
  const bool paired = reply.kind == Kind::map || (like && like->pairs);
  const std::string bracket = to_text(Reply{reply.kind, {}, {}, {}});
  const std::string open = mark_of(reply, like) + bracket.substr(0, bracket.size() - 2);
  const std::vector<std::string> texts = item_texts(reply, like);
  const std::string line =
      fmt::format("{} {}{}{}", open, fmt::join(texts, " "), texts.empty() ? "" : " ", bracket.back());
  if (line.size() <= line_width) return line;
  return open + flowing(texts, paired ? 2 : 1) + "\n  " + bracket.back();
}

}  // namespace quartet::test
