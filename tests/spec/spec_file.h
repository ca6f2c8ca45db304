// A spec file: named cases, each a sequence of steps. The language is described in README.md; in short:
//
//   # comment
//   == a case: begins on an empty server with fresh connections
//   @differs REASON        holds on redis-server only        @quartet-only REASON   holds on Quartet only
//   @config NAME VALUE     CONFIG SET, set back after the case
//   @resp3 [client]        HELLO 3 on that connection
//   > SET k "v\x00" PX 20  sends a command          b> GET k    sends it as client b
//   >> "PING\r\n"          sends bytes as they are
//   < +OK                  expects a reply          b< nothing  expects that b has none yet
//   @advance 20ms          lets time pass           @close b    disconnects b
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "expectation.h"

namespace quartet::test {

struct Argument {
  std::string text;
  bool is_variable = false;  // `text` is the name of a captured variable
};

struct Step {
  enum class Action { send, send_raw, expect, advance, close, config, resp3 };

  Action action = Action::send;
  std::string client;                // "" is the unnamed one
  std::vector<Argument> arguments;   // send; config: name and value
  std::string bytes;                 // send_raw
  Expectation expectation;           // expect
  std::chrono::milliseconds time{};  // advance
  int first_line = 0;                // in the file, counted from 1
  int last_line = 0;
};

struct Case {
  enum class Audience { both, reference_only, quartet_only };

  std::string name;
  int line = 0;
  Audience audience = Audience::both;
  std::vector<Step> steps;
};

struct SpecFile {
  std::string path;
  std::vector<std::string> lines;
  std::vector<Case> cases;
};

// Reads and parses the file. Throws SpecError, whose text begins with path:line.
SpecFile load_spec(const std::string& path);
SpecFile parse_spec(std::string path, const std::string& text);

}  // namespace quartet::test
