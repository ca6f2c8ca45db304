#include "server/lua/shebang.h"

#include <vector>

#include "protocol/request_parser.h"

namespace quartet::server::lua {

namespace {

bool parse_flags(std::string_view list, Shebang& shebang, std::string& error) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    const std::string_view flag = list.substr(0, comma);
    if (flag == "no-writes") {
      shebang.no_writes = true;
    } else if (flag == "allow-oom") {
      shebang.allow_oom = true;
    } else if (flag != "allow-stale" && flag != "no-cluster" && flag != "allow-cross-slot-keys") {
      // Those three concern replicas and clusters.
      error = "ERR Unexpected flag in script shebang: ";
      error += flag;
      return false;
    }
    if (comma == std::string_view::npos) return true;
    list.remove_prefix(comma + 1);
    if (list.empty()) {
      error = "ERR Unexpected flag in script shebang: ";
      return false;
    }
  }
  return true;
}

}  // namespace

bool parse_shebang(std::string_view body, Shebang& shebang, std::string& error) {
  shebang = {};
  shebang.code = body;
  if (!body.starts_with("#!")) return true;
  shebang.present = true;
  const size_t line_end = body.find('\n');
  if (line_end == std::string_view::npos) {
    error = "ERR Invalid script shebang";
    return false;
  }
  shebang.code = body.substr(line_end);
  std::vector<std::string> words;
  if (!protocol::split_arguments(body.substr(0, line_end), words) || words.empty()) {
    error = "ERR Invalid engine in script shebang";
    return false;
  }
  if (words[0] != "#!lua") {
    error = "ERR Unexpected engine in script shebang: " + words[0];
    return false;
  }
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (!word.starts_with("flags=")) {
      error = "ERR Unknown lua shebang option: " + words[i];
      return false;
    }
    if (!parse_flags(word.substr(6), shebang, error)) return false;
  }
  return true;
}

}  // namespace quartet::server::lua
