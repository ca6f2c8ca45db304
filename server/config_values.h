#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/config.h"

/// The texts of settings that are more than one number or one word: parsing gives an error text of Redis 7.0 or nothing,
/// formatting gives what CONFIG GET shows. Lists are separated by single spaces.
namespace quartet::server {

/// An error text, empty where there is none.
using Problem = std::string;

/// The words between single spaces; two spaces in a row make an empty word, an empty text makes none.
std::vector<std::string_view> split_words(std::string_view text);
std::string join_words(const std::vector<std::string>& words);
/// The lines of a text that are not empty.
std::vector<std::string_view> split_lines(std::string_view text);
std::string join_lines(const std::vector<std::string>& lines);

/// `<class> <hard> <soft> <seconds> ...`. Classes that the text does not name keep their limits.
[[nodiscard]] Problem parse_output_limits(std::string_view text, std::array<OutputLimit, 3>& limits);
std::string format_output_limits(const std::array<OutputLimit, 3>& limits);

/// Percentiles between 0 and 100, shown with at most six decimals.
[[nodiscard]] Problem parse_percentiles(std::string_view text, std::vector<double>& percentiles);
std::string format_percentiles(const std::vector<double>& percentiles);

/// Flags of `notify-keyspace-events`.
[[nodiscard]] Problem parse_events(std::string_view text, int64_t& flags);

/// `<seconds> <changes> ...`, seconds at least 1.
[[nodiscard]] Problem parse_save_rules(std::string_view text, std::vector<SaveRule>& rules);
std::string format_save_rules(const std::vector<SaveRule>& rules);

/// A text whose parts in braces are variables that a process title may hold.
[[nodiscard]] Problem parse_title_template(std::string_view text, std::string& title);

}  // namespace quartet::server
