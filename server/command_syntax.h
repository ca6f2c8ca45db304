#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/command.h"

namespace quartet::server {

/// One argument of a command as COMMAND DOCS describes it.
struct SyntaxArgument {
  std::string name;
  std::string_view type;    // key, string, integer, double, pattern, unix-time, pure-token, oneof, block
  std::string_view token;   // the word in front of it ("EX"), or of which it consists (pure-token)
  int key_spec = -1;        // which of the command's key specifications finds it
  bool optional = false;
  bool multiple = false;
  bool multiple_token = false;  // the token is repeated with the argument
  std::vector<SyntaxArgument> arguments;  // of oneof and block
  std::string_view source;  // where it stands in Command::syntax
};

/// Reads the notation of Command::syntax:
///
///   word           an argument; its type follows from its name
///   WORD           a token: alone, or in front of what follows it within its group
///   [ ... ]        may be left out
///   a | b          one of them, between the brackets `[ ]` or `< >`
///   a b [a b ...]  what stands before the bracket may be repeated
///   [T A | B | C]  a token in front of a choice of tokens
///
/// REQUIRES: brackets are balanced; this is asserted, because the notation is ours.
std::vector<SyntaxArgument> parse_syntax(const Command& command);

}  // namespace quartet::server
