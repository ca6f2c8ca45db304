#include "server/command_syntax.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "base/numbers.h"

namespace quartet::server {

namespace {

constexpr std::string_view kRepeated = " ...";

bool is_token(std::string_view word) {
  return std::any_of(word.begin(), word.end(), [](char c) { return c >= 'A' && c <= 'Z'; }) &&
         std::none_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }

template <size_t N>
bool contains(const std::array<std::string_view, N>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// The type of an argument by its name, which means the same in nearly every command.
std::string_view type_of(const Command& command, std::string_view word) {
  static constexpr auto kKeys = std::to_array<std::string_view>(
      {"key", "key1", "key2", "newkey", "source", "src", "destination", "destkey", "dst"});
  static constexpr auto kIntegers = std::to_array<std::string_view>(
      {"bit", "bits", "client-id", "count", "cursor", "db", "decrement", "destination-db", "end", "frequency", "index",
       "index1", "index2", "len", "limit", "milliseconds", "num-matches", "numkeys", "numreplicas", "offset", "port",
       "protover", "rank", "seconds", "ttl", "version", "weight"});
  const bool by_score = command.name == "zcount" || command.name.find("byscore") != command.name.npos;
  if (contains(kKeys, word)) return command.keys.empty() ? "string" : "key";
  if (contains(kIntegers, word)) return "integer";
  if (word == "score") return "double";
  if (word == "pattern") return "pattern";
  if (word.starts_with("unix-time")) return "unix-time";
  if (word == "increment") return command.name.ends_with("float") ? "double" : "integer";
  if (word == "min" || word == "max") return by_score ? "double" : "string";
  if (word == "start" || word == "stop") return command.name == "zrange" ? "string" : "integer";
  if (word == "timeout") return (command.flags & kBlocking) && command.group != "generic" ? "double" : "integer";
  if (word == "value") return command.group == "bitmap" ? "integer" : "string";
  return "string";
}

class Parser {
 public:
  explicit Parser(const Command& command) : command_(command) {}

  std::vector<SyntaxArgument> sequence(std::string_view text) const {
    std::vector<SyntaxArgument> items;
    for (size_t at = 0; at < text.size();) {
      if (text[at] == ' ') {
        ++at;
        continue;
      }
      const size_t end = end_of(text, at);
      const std::string_view source = text.substr(at, end - at);
      at = end;
      if (source.front() != '[' && source.front() != '<') {
        items.push_back(word(source));
      } else if (const std::string_view body = source.substr(1, source.size() - 2); body.ends_with(kRepeated)) {
        repeat(items, body.substr(0, body.size() - kRepeated.size()));
      } else {
        items.push_back(group(body));
        items.back().optional |= source.front() == '[';
        items.back().source = source;
      }
    }
    return items;
  }

 private:
  /// Behind the word or the bracketed group that begins at `at`.
  static size_t end_of(std::string_view text, size_t at) {
    if (text[at] != '[' && text[at] != '<') return std::min(text.find(' ', at), text.size());
    int depth = 0;
    for (; at < text.size(); ++at) {
      depth += text[at] == '[' || text[at] == '<';
      depth -= text[at] == ']' || text[at] == '>';
      if (depth == 0) return at + 1;
    }
    assert(!"brackets of a command's syntax are not balanced");
    return text.size();
  }

  SyntaxArgument word(std::string_view text) const {
    SyntaxArgument argument;
    argument.source = text;
    argument.name = to_lower(text);
    argument.type = "pure-token";
    if (is_token(text)) {
      argument.token = text;
    } else {
      argument.type = type_of(command_, text);
    }
    return argument;
  }

  static std::vector<std::string_view> alternatives(std::string_view text) {
    std::vector<std::string_view> parts;
    size_t begin = 0;
    for (size_t at = 0; at < text.size(); at = end_of(text, at) + 1) {
      if (text[at] != '|') continue;
      parts.push_back(text.substr(begin, at - 1 - begin));
      begin = at + 2;
    }
    parts.push_back(text.substr(begin));
    return parts;
  }

  SyntaxArgument group(std::string_view body) const {
    // "X [X ...]" as a whole.
    constexpr size_t kAround = std::string_view(" [ ...]").size();
    if (body.size() > kAround) {
      const std::string_view repeated = body.substr(0, (body.size() - kAround) / 2);
      if (body == std::string(repeated) + " [" + std::string(repeated) + " ...]") {
        SyntaxArgument argument = group(repeated);
        argument.multiple = true;
        argument.multiple_token = is_token(first_word(repeated)) && argument.type != "oneof";
        return argument;
      }
    }
    std::vector<std::string_view> parts = alternatives(body);
    if (parts.size() == 1) return combine(sequence(body));
    SyntaxArgument argument;
    argument.type = "oneof";
    const std::string_view first = first_word(parts[0]);
    if (is_token(first) && first.size() < parts[0].size() && is_token(first_word(parts[0].substr(first.size() + 1)))) {
      argument.token = first;
      parts[0].remove_prefix(first.size() + 1);
    }
    for (const std::string_view part : parts) argument.arguments.push_back(combine(sequence(part)));
    argument.name = joined_names(argument.arguments);
    return argument;
  }

  /// One argument out of several in a row: with the first as its token, or a block.
  static SyntaxArgument combine(std::vector<SyntaxArgument> items) {
    if (items.size() == 1) return std::move(items.front());
    if (items.front().type == "pure-token" && !items.front().optional) {
      const std::string_view token = items.front().token;
      items.erase(items.begin());
      SyntaxArgument argument = combine(std::move(items));
      if (argument.token.empty()) {
        argument.token = token;
        return argument;
      }
      // Two tokens in a row: the second has become part of what follows.
      items.clear();
      SyntaxArgument first;
      first.name = to_lower(token);
      first.type = "pure-token";
      first.token = token;
      items.push_back(std::move(first));
      items.push_back(std::move(argument));
    }
    SyntaxArgument block;
    block.type = "block";
    block.name = joined_names(items);
    block.arguments = std::move(items);
    return block;
  }

  /// `repeated` is the text of the last items, which then may be given several times.
  static void repeat(std::vector<SyntaxArgument>& items, std::string_view repeated) {
    for (size_t first = items.size(); first-- > 0;) {
      const char* begin = items[first].source.data();
      const char* end = items.back().source.data() + items.back().source.size();
      const std::string_view source(begin, static_cast<size_t>(end - begin));
      if (source != repeated) continue;
      std::vector<SyntaxArgument> last(std::make_move_iterator(items.begin() + static_cast<ptrdiff_t>(first)),
                                       std::make_move_iterator(items.end()));
      items.resize(first);
      SyntaxArgument argument = combine(std::move(last));
      argument.multiple = true;
      argument.multiple_token = is_token(first_word(repeated));
      argument.source = source;
      items.push_back(std::move(argument));
      return;
    }
    assert(!"what a command's syntax repeats does not stand before it");
  }

  static std::string joined_names(const std::vector<SyntaxArgument>& arguments) {
    std::string name;
    for (const SyntaxArgument& argument : arguments) name += (name.empty() ? "" : "_") + argument.name;
    return name;
  }

  const Command& command_;
};

void collect_keys(std::vector<SyntaxArgument>& arguments, std::vector<SyntaxArgument*>& keys) {
  for (SyntaxArgument& argument : arguments) {
    if (argument.type == "key") keys.push_back(&argument);
    collect_keys(argument.arguments, keys);
  }
}

}  // namespace

std::vector<SyntaxArgument> parse_syntax(const Command& command) {
  std::vector<SyntaxArgument> arguments = Parser(command).sequence(command.syntax);
  // Keys stand in the order of their specifications; between the first and the last there may be some that no argument
  // names.
  std::vector<SyntaxArgument*> keys;
  collect_keys(arguments, keys);
  const size_t specs = command.keys.size();
  for (size_t i = 0; i < keys.size(); ++i)
    keys[i]->key_spec = static_cast<int>(i > 0 && i + 1 == keys.size() ? specs - 1 : std::min(i, specs - 1));
  return arguments;
}

}  // namespace quartet::server
