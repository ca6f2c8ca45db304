// What the fuzzer may say: templates of commands and the values that fill them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "random.h"

namespace quartet::test {

// A template as a tree. In text:
//   WORD          stands for itself              <name>        a random value of that sort
//   [ a | b c ]   one of the alternatives, or none    ( a | b )     one of the alternatives
//   { a b }       repeated, mostly a few times
struct Node {
  enum class Type { word, value, optional, choice, repeat };
  Type type = Type::word;
  std::string text;
  std::vector<std::vector<Node>> alternatives;
};

struct Template {
  Agreement agreement = Agreement::exact;
  bool may_be_mutated = true;
  std::vector<Node> nodes;
};

class Grammar {
 public:
  // `sorting`: with SORT among the commands.
  explicit Grammar(bool sorting);

  // A random command, sometimes with a mistake in it.
  Command command(Random& random) const;

  // Whether `text` is the name of a key of the pool.
  static bool is_key(std::string_view text);
  // Whether it is one of those whose sorted sets have one score.
  static bool is_lexical_key(std::string_view text);

 private:
  void expand(const std::vector<Node>& nodes, Random& random, std::vector<std::string>& out) const;
  void expand_one(const Node& node, Random& random, std::vector<std::string>& out) const;
  void mutate(Random& random, std::vector<std::string>& arguments) const;

  std::vector<Template> templates_;
  std::vector<std::size_t> weighted_;  // indices into templates_, each as often as its weight
};

// A random value of the sort that stands between < and > in a template.
std::string random_value(std::string_view sort, Random& random);

}  // namespace quartet::test
