#include "command.h"

#include <algorithm>
#include <cstdlib>

namespace quartet::test {

namespace {

constexpr long tolerance_seconds = 5;

bool near(const Reply& a, const Reply& b, long tolerance) {
  if (a.kind != Kind::integer) return a == b;
  return std::labs(std::atol(a.text.c_str()) - std::atol(b.text.c_str())) <= tolerance;
}

}  // namespace

Reply sorted_items(const Reply& reply, std::size_t width) {
  std::vector<std::pair<std::string, std::size_t>> groups;
  for (std::size_t i = 0; i < reply.items.size(); i += width) {
    std::string text;
    for (std::size_t j = i; j < std::min(i + width, reply.items.size()); ++j) text += to_text(reply.items[j]) + ' ';
    groups.emplace_back(std::move(text), i);
  }
  std::sort(groups.begin(), groups.end());
  Reply sorted{reply.kind, reply.text, reply.format, {}};
  for (const auto& [text, i] : groups)
    for (std::size_t j = i; j < std::min(i + width, reply.items.size()); ++j) sorted.items.push_back(reply.items[j]);
  return sorted;
}

bool agree(Agreement agreement, const Reply& a, const Reply& b) {
  if (a.kind != b.kind) return false;
  if (a.kind == Kind::error) return a == b;
  switch (agreement) {
    case Agreement::exact: return a == b;
    case Agreement::unordered: return sorted_items(a, 1) == sorted_items(b, 1);
    case Agreement::pairs: return sorted_items(a, 2) == sorted_items(b, 2);
    case Agreement::kind: return true;
    case Agreement::near_seconds: return near(a, b, tolerance_seconds);
    case Agreement::near_millis: return near(a, b, tolerance_seconds * 1000);
  }
  return false;
}

std::optional<std::size_t> first_disagreement(const std::vector<Command>& queued, const Reply& a, const Reply& b) {
  for (std::size_t i = 0; i < queued.size(); ++i)
    if (!agree(queued[i].agreement, a.items[i], b.items[i])) return i;
  return std::nullopt;
}

}  // namespace quartet::test
