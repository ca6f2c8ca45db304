#include "server/config_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "base/numbers.h"
#include "server/keyspace_events.h"

namespace quartet::server {

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  if (text.empty()) return words;
  for (size_t begin = 0;;) {
    const size_t end = text.find(' ', begin);
    words.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return words;
    begin = end + 1;
  }
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

std::string join_lines(const std::vector<std::string>& lines) { return fmt::format("{}", fmt::join(lines, "\n")); }

std::string join_words(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

namespace {

/// In the order of ClientClass, with the name that CONFIG GET shows.
constexpr std::array<std::string_view, 3> kClientClasses = {"normal", "slave", "pubsub"};

std::optional<size_t> client_class(std::string_view name) {
  if (equals_ignoring_case(name, "replica")) return 1;
  for (size_t i = 0; i < kClientClasses.size(); ++i)
    if (equals_ignoring_case(name, kClientClasses[i])) return i;
  return {};
}

std::optional<OutputLimit> parse_limit(std::string_view hard, std::string_view soft, std::string_view seconds) {
  const auto hard_bytes = parse_memory(hard), soft_bytes = parse_memory(soft), soft_seconds = parse_int(seconds);
  if (!hard_bytes || !soft_bytes || !soft_seconds) return {};
  if (*hard_bytes < 0 || *soft_bytes < 0) return {};
  if (*soft_seconds < 0 || *soft_seconds > std::numeric_limits<int32_t>::max()) return {};
  return OutputLimit{*hard_bytes, *soft_bytes, *soft_seconds};
}

}  // namespace

Problem parse_output_limits(std::string_view text, std::array<OutputLimit, 3>& limits) {
  const auto words = split_words(text);
  if (words.size() % 4 != 0) return "Wrong number of arguments in buffer limit configuration.";
  std::array<OutputLimit, 3> parsed = limits;
  for (size_t i = 0; i < words.size(); i += 4) {
    const auto index = client_class(words[i]);
    if (!index) return "Invalid client class specified in buffer limit configuration.";
    const auto limit = parse_limit(words[i + 1], words[i + 2], words[i + 3]);
    if (!limit) return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    parsed[*index] = *limit;
  }
  limits = parsed;
  return {};
}

std::string format_output_limits(const std::array<OutputLimit, 3>& limits) {
  std::string text;
  for (size_t i = 0; i < limits.size(); ++i) {
    if (i > 0) text += ' ';
    text += fmt::format("{} {} {} {}", kClientClasses[i], limits[i].hard_bytes, limits[i].soft_bytes, limits[i].soft_seconds);
  }
  return text;
}

Problem parse_percentiles(std::string_view text, std::vector<double>& percentiles) {
  std::vector<double> parsed;
  for (const std::string_view word : split_words(text)) {
    const auto value = parse_double(word);
    if (!value) return "Invalid latency-tracking-info-percentiles parameters";
    if (*value < 0 || *value > 100) return "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
    parsed.push_back(*value);
  }
  percentiles = std::move(parsed);
  return {};
}

std::string format_percentiles(const std::vector<double>& percentiles) {
  std::string text;
  for (const double value : percentiles) {
    std::string number = fmt::format("{:.6f}", value);
    number.erase(number.find_last_not_of('0') + 1);
    if (number.ends_with('.')) number.pop_back();
    if (!text.empty()) text += ' ';
    text += number;
  }
  return text;
}

Problem parse_events(std::string_view text, int64_t& flags) {
  const auto parsed = parse_event_flags(text);
  if (!parsed) return "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
  flags = *parsed;
  return {};
}

Problem parse_save_rules(std::string_view text, std::vector<SaveRule>& rules) {
  constexpr std::string_view kInvalid = "Invalid save parameters";
  const auto words = split_words(text);
  if (words.size() % 2 != 0) return std::string(kInvalid);
  std::vector<SaveRule> parsed;
  for (size_t i = 0; i < words.size(); i += 2) {
    const auto seconds = parse_int(words[i]), changes = parse_int(words[i + 1]);
    if (!seconds || !changes || *seconds < 1 || *changes < 0) return std::string(kInvalid);
    parsed.push_back({*seconds, *changes});
  }
  rules = std::move(parsed);
  return {};
}

std::string format_save_rules(const std::vector<SaveRule>& rules) {
  std::string text;
  for (const SaveRule& rule : rules) text += fmt::format("{}{} {}", text.empty() ? "" : " ", rule.seconds, rule.changes);
  return text;
}

Problem parse_title_template(std::string_view text, std::string& title) {
  constexpr std::string_view kInvalid = "template format is invalid or contains unknown variables";
  constexpr std::string_view kVariables[] = {"title",    "listen-addr", "server-mode", "port",
                                             "tls-port", "unixsocket",  "config-file"};
  if (text.empty()) return std::string(kInvalid);
  for (size_t open = text.find('{'); open != std::string_view::npos; open = text.find('{', open + 1)) {
    const size_t close = text.find('}', open);
    if (close == std::string_view::npos) return std::string(kInvalid);
    const std::string_view name = text.substr(open + 1, close - open - 1);
    if (std::find(std::begin(kVariables), std::end(kVariables), name) == std::end(kVariables)) return std::string(kInvalid);
  }
  title = text;
  return {};
}

}  // namespace quartet::server
