#include "spec_file.h"

#include <fmt/format.h>

#include <cctype>
#include <fstream>
#include <sstream>

#include "cursor.h"

namespace quartet::test {

namespace {

constexpr long max_range = 200000;

// `pre{1..3}post` becomes pre1post pre2post pre3post; any other word stays itself.
void append_word(const std::string& word, std::vector<Argument>& out) {
  if (word.size() > 1 && word[0] == '$' && std::islower(static_cast<unsigned char>(word[1]))) {
    out.push_back({word.substr(1), true});
    return;
  }
  const std::size_t open = word.find('{');
  const std::size_t dots = word.find("..", open == std::string::npos ? 0 : open);
  const std::size_t close = word.find('}', dots == std::string::npos ? 0 : dots);
  if (open == std::string::npos || dots == std::string::npos || close == std::string::npos) {
    out.push_back({word, false});
    return;
  }
  Cursor low(std::string_view(word).substr(open + 1));
  Cursor high(std::string_view(word).substr(dots + 2));
  const long first = low.number(), last = high.number();
  if (last - first >= max_range) throw SpecError("range too long");
  for (long i = first; i <= last; ++i)
    out.push_back({word.substr(0, open) + std::to_string(i) + word.substr(close + 1), false});
}

std::vector<Argument> parse_arguments(Cursor cursor) {
  std::vector<Argument> out;
  for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
    if (cursor.peek() == '"' || cursor.peek() == '\'') out.push_back({cursor.quoted_string(), false});
    else append_word(std::string(cursor.word()), out);
  }
  return out;
}

std::string parse_bytes(Cursor cursor) {
  std::string out;
  for (cursor.skip_spaces(); !cursor.at_end(); cursor.skip_spaces()) {
    if (cursor.peek() != '"' && cursor.peek() != '\'') throw SpecError(">> wants quoted strings");
    out += cursor.quoted_string();
  }
  return out;
}

class FileParser {
 public:
  explicit FileParser(SpecFile& file) : file_(file) {}

  void run() {
    try {
      while (at_ < file_.lines.size()) line();
    } catch (const std::exception& error) {
      throw SpecError(fmt::format("{}:{}: {}", file_.path, at_ + 1, error.what()));
    }
  }

 private:
  void line() {
    const std::string& text = file_.lines[at_];
    Cursor cursor(text);
    if (text.empty() || text.front() == '#') {
    } else if (cursor.take("== ")) {
      file_.cases.push_back({std::string(cursor.all()), number(), Case::Audience::both, {}});
    } else if (file_.cases.empty()) {
      throw SpecError("a step before the first case (== name)");
    } else if (cursor.take("@")) {
      directive(cursor);
    } else {
      client_line(text);
    }
    ++at_;
  }

  void client_line(const std::string& text) {
    const std::size_t mark = text.find_first_of("<>");
    const std::string client = text.substr(0, mark);
    for (char c : client)
      if (!std::islower(static_cast<unsigned char>(c)) && !std::isdigit(static_cast<unsigned char>(c)))
        throw SpecError("not a line of a spec: " + text);
    if (mark == std::string::npos) throw SpecError("not a line of a spec: " + text);
    Step& step = add(Step::Action::send, client);
    Cursor cursor{std::string_view(text).substr(mark)};
    if (cursor.take(">>")) {
      step.action = Step::Action::send_raw;
      step.bytes = parse_bytes(cursor);
    } else if (cursor.take(">")) {
      step.arguments = parse_arguments(cursor);
    } else {
      cursor.take("<");
      step.action = Step::Action::expect;
      expectation(step, std::string(cursor.all()));
    }
  }

  void expectation(Step& step, std::string text) {
    while (!is_complete(text) && at_ + 1 < file_.lines.size()) text += '\n' + file_.lines[++at_];
    step.expectation = parse_expectation(text);
    step.last_line = number();
  }

  void directive(Cursor cursor) {
    const std::string word(cursor.word());
    cursor.skip_spaces();
    if (word == "differs") {
      reason(cursor, Case::Audience::reference_only);
    } else if (word == "quartet-only") {
      reason(cursor, Case::Audience::quartet_only);
    } else if (word == "advance") {
      const long time = cursor.number();
      add(Step::Action::advance, "").time = std::chrono::milliseconds(cursor.take("ms") ? time : time * 1000);
    } else if (word == "close") {
      add(Step::Action::close, std::string(cursor.word()));
    } else if (word == "resp3") {
      add(Step::Action::resp3, std::string(cursor.word()));
    } else if (word == "config") {
      Step& step = add(Step::Action::config, "");
      step.arguments = parse_arguments(cursor);
      if (step.arguments.size() != 2) throw SpecError("@config wants a name and a value");
    } else {
      throw SpecError("unknown directive @" + word);
    }
  }

  void reason(const Cursor& cursor, Case::Audience audience) {
    if (cursor.at_end()) throw SpecError("a reason is missing");
    file_.cases.back().audience = audience;
  }

  Step& add(Step::Action action, std::string client) {
    Step step;
    step.action = action;
    step.client = std::move(client);
    step.first_line = step.last_line = number();
    file_.cases.back().steps.push_back(std::move(step));
    return file_.cases.back().steps.back();
  }

  int number() const { return static_cast<int>(at_) + 1; }

  SpecFile& file_;
  std::size_t at_ = 0;
};

}  // namespace

SpecFile parse_spec(std::string path, const std::string& text) {
  SpecFile file{std::move(path), {}, {}};
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
  FileParser(file).run();
  return file;
}

SpecFile load_spec(const std::string& path) {
  std::ifstream stream(path);
  if (!stream) throw SpecError(path + ": cannot be read");
  std::ostringstream text;
  text << stream.rdbuf();
  return parse_spec(path, text.str());
}

}  // namespace quartet::test
