#include "base/limits.h"
#include "base/numbers.h"
#include "server/arguments.h"
#include "server/command_presets.h"
#include "server/commands/families.h"
#include "server/commands/leftover.h"
#include "server/server.h"
#include "storage/hash.h"
#include "storage/list.h"
#include "storage/set.h"
#include "storage/sorted_set.h"
#include "storage/string.h"

#include <algorithm>
#include <cctype>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace quartet::server {

namespace {

using storage::Entry;
using storage::Type;

// --- Patterns --------------------------------------------------------------------------------------------------------

/// A pattern of BY or GET: `weight_*` is the string under a key, `object_*->field` a field of the hash under it, `#`
/// the element itself. The element stands in for the first star; without one there is nothing to find.
class Pattern {
 public:
  explicit Pattern(std::string_view text) : itself_(text == "#"), star_(text.find('*')) {
    if (star_ == text.npos) return;
    const size_t arrow = text.find("->", star_ + 1);
    const bool has_field = arrow != text.npos && arrow + 2 < text.size();
    if (has_field) field_ = text.substr(arrow + 2);
    before_ = text.substr(0, star_);
    behind_ = text.substr(star_ + 1, has_field ? arrow - star_ - 1 : text.npos);
  }

  bool has_star() const { return star_ != std::string_view::npos; }

  std::optional<std::string> find(Context& ctx, std::string_view element) const {
    if (itself_) return std::string(element);
    if (!has_star()) return {};
    std::string key;
    key.reserve(before_.size() + element.size() + behind_.size());
    key.append(before_).append(element).append(behind_);
    Entry* entry = ctx.find_read(key);
    if (!entry) return {};
    char scratch[kNumberChars];
    if (field_.empty()) {
      if (entry->type() != Type::String) return {};
      return std::string(storage::StringValue(ctx.db(), entry).view(scratch));
    }
    if (entry->type() != Type::Hash) return {};
    const auto value = storage::HashValue(ctx.db(), entry).get(field_, scratch);
    if (!value) return {};
    return std::string(*value);
  }

 private:
  bool itself_;
  size_t star_;
  std::string_view before_, behind_, field_;
};

// --- Options ---------------------------------------------------------------------------------------------------------

struct SortOptions {
  std::optional<Pattern> by;
  std::vector<Pattern> get;
  int64_t offset = 0;
  int64_t count = -1;  // negative: all
  bool alphabetic = false;
  bool descending = false;
  bool unsorted = false;  // BY a pattern without a star
  std::optional<std::string_view> store;

  [[nodiscard]] bool read(Context& ctx, bool may_store) {
    Arguments in(ctx, 2);
    while (in.more()) {
      if (in.option("ASC")) {
        descending = false;
      } else if (in.option("DESC")) {
        descending = true;
      } else if (in.option("ALPHA")) {
        alphabetic = true;
      } else if (in.option("LIMIT", 2)) {
        offset = in.integer();
        count = in.integer();
      } else if (may_store && in.option("STORE", 1)) {
        store = in.next();
      } else if (in.option("BY", 1)) {
        by.emplace(in.next());
        if (!by->has_star()) {
          unsorted = true;
        } else if (!ctx.session.user->reads_all_keys(ctx.command, ctx.args, ctx.db().index())) {
          in.fail("ERR BY option of SORT denied due to insufficient ACL permissions.");
        }
      } else if (in.option("GET", 1)) {
        get.emplace_back(in.next());
        if (!ctx.session.user->reads_all_keys(ctx.command, ctx.args, ctx.db().index()))
          in.fail("ERR GET option of SORT denied due to insufficient ACL permissions.");
      } else {
        in.fail(errors::kSyntax);
      }
    }
    return in.ok();
  }
};

/// Which of `size` elements are wanted.
struct Window {
  size_t start, count;
  Window(const SortOptions& options, size_t size) {
    start = std::min(static_cast<size_t>(std::max<int64_t>(options.offset, 0)), size);
    count = options.count < 0 ? size - start : std::min(static_cast<size_t>(options.count), size - start);
  }
};

// --- Elements --------------------------------------------------------------------------------------------------------

struct Element {
  std::string text;
  double score = 0;
  std::optional<std::string> weight;  // ALPHA with BY
};

/// The elements from `start` on, in the order of the collection, or from its end. Sets have no order and give all.
void elements_of(Context& ctx, Entry* entry, Window window, bool from_end, std::vector<Element>& elements) {
  const auto add = [&](std::string_view text) {
    ctx.breathe_for(text);
    elements.push_back({std::string(text), 0, {}});
    return true;
  };
  switch (entry->type()) {
    case Type::List: {
      elements.reserve(window.count);
      const storage::ListValue list(ctx.db(), entry);
      const size_t first = from_end ? list.size() - 1 - window.start : window.start;
      if (window.count > 0)
        list.for_each(first, window.count, add, from_end ? storage::End::Tail : storage::End::Head);
      break;
    }
    case Type::Set: {
      const storage::SetValue set(ctx.db(), entry);
      elements.reserve(set.size());
      set.for_each(add);
      break;
    }
    case Type::SortedSet: {
      elements.reserve(window.count);
      const storage::SortedSetValue set(ctx.db(), entry);
      const auto slice = set.slice(window.start, window.count, from_end);
      set.visit(slice, [&](std::string_view text, double) { return add(text); });
      break;
    }
    case Type::String:
    case Type::Hash: break;  // SORT has refused them
  }
}

/// A weight as C's strtod reads it: with spaces before it, up to the first NUL; the empty text is 0.
bool parse_score(std::string_view text, double& score) {
  score = 0;
  text = text.substr(0, text.find('\0'));
  if (text.empty()) return true;
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) text.remove_prefix(1);
  const auto number = parse_double(text);
  if (number) score = *number;
  return number.has_value();
}

/// Finds what every element is to be compared by; false, with the error written, where a weight is not a number.
bool weigh(Context& ctx, const SortOptions& options, bool alphabetic, std::vector<Element>& elements) {
  bool numbers = true;
  for (Element& element : elements) {
    ctx.breathe(2);
    std::optional<std::string> weight;
    if (options.by) {
      weight = options.by->find(ctx, element.text);
      if (!weight) continue;
      ctx.breathe_for(*weight);
    }
    if (!alphabetic) {
      numbers = parse_score(weight ? *weight : element.text, element.score) && numbers;
    } else if (weight) {
      element.weight = std::move(weight);
    }
  }
  if (!numbers) ctx.reply.error("ERR One or more scores can't be converted into double");
  return numbers;
}

std::vector<const Element*> in_order(Context& ctx, const std::vector<Element>& elements) {
  std::vector<const Element*> order;
  order.reserve(elements.size());
  for (const Element& element : elements) {
    ctx.breathe();
    order.push_back(&element);
  }
  return order;
}

/// The elements in the order that is asked for.
std::vector<const Element*> sorted(Context& ctx, const std::vector<Element>& elements, bool alphabetic, bool by_weight,
                                   bool descending) {
  const auto compare = [&](const Element& a, const Element& b) {
    // An element without a weight comes before those that have one. Equal weights leave the order as it was, equal
    // numbers do not.
    if (alphabetic && by_weight) return a.weight < b.weight ? -1 : b.weight < a.weight ? 1 : 0;
    if (!alphabetic && a.score != b.score) return a.score < b.score ? -1 : 1;
    return a.text.compare(b.text);
  };
  std::vector<const Element*> order = in_order(ctx, elements);
  // Not std::stable_sort, which moves the whole between two comparisons.
  std::sort(order.begin(), order.end(), [&](const Element* a, const Element* b) {
    ctx.breathe(alphabetic || a->score == b->score ? work_of_bytes(std::min(a->text.size(), b->text.size())) : 1);
    const int compared = compare(*a, *b);
    return compared == 0 ? a < b : (compared < 0) != descending;
  });
  return order;
}

// --- Results ---------------------------------------------------------------------------------------------------------

/// Calls `give(optional<string_view>)` for all that an element is answered with.
template <class Give>
void results_of(Context& ctx, const SortOptions& options, const Element& element, Give give) {
  if (options.get.empty()) return give(std::optional<std::string_view>(element.text));
  for (const Pattern& pattern : options.get) give(pattern.find(ctx, element.text));
}

void reply_elements(Context& ctx, const SortOptions& options, std::span<const Element* const> elements) {
  ctx.reply.array(elements.size() * std::max<size_t>(options.get.size(), 1));
  for (const Element* element : elements) {
    ctx.breathe(1 + 2 * options.get.size());
    results_of(ctx, options, *element, [&](const auto& result) {
      if (result) {
        ctx.reply_element(std::string_view(*result));
      } else {
        ctx.reply.null();
      }
    });
  }
}

void store_elements(Context& ctx, const SortOptions& options, std::span<const Element* const> elements) {
  // The destination may be what a pattern finds, so it is written when all has been found.
  Leftover<std::deque<std::string>> found(ctx);
  std::deque<std::string>& results = *found;
  for (const Element* element : elements) {
    ctx.breathe(1 + 2 * options.get.size());
    results_of(ctx, options, *element, [&](const auto& result) {
      ctx.breathe(work_of_elements(1, result ? result->size() : 0));
      results.emplace_back(result ? std::string_view(*result) : std::string_view());
    });
  }
  const std::string_view key = *options.store;
  Entry* old = ctx.find_replace(key);
  if (results.empty()) {
    if (old) ctx.erase(old);
    return ctx.reply.integer(0);
  }
  if (old) ctx.db().erase(old);
  auto list = storage::ListValue::create(ctx.db(), key);
  for (const std::string& result : results) {
    ctx.breathe_for(result);
    list.push(storage::End::Tail, result);
  }
  ctx.changed(key, EventClass::List, "sortstore", results.size());
  ctx.reply.integer(static_cast<int64_t>(results.size()));
}

// --- SORT, SORT_RO ---------------------------------------------------------------------------------------------------

void sort(Context& ctx, bool may_store) {
  SortOptions options;
  if (!options.read(ctx, may_store)) return;
  if (!options.store) ctx.only_reads();
  Entry* entry = ctx.find_read(ctx.arg(1));
  const bool sortable =
      !entry || entry->type() == Type::List || entry->type() == Type::Set || entry->type() == Type::SortedSet;
  if (!sortable) return ctx.reply.error(errors::kWrongType);

  Leftover<std::vector<Element>> elements(ctx);
  Leftover<std::vector<const Element*>> order(ctx);
  std::span<const Element* const> wanted;
  if (entry) {
    const bool is_set = entry->type() == Type::Set;
    // What is stored or leaves a script must not depend on the order in which a table happens to hold a set.
    const bool forced = is_set && options.unsorted && (options.store || ctx.from_script);
    const bool ordered = options.unsorted && !is_set;
    const size_t size = storage::length_of(*entry);
    const Window window(options, size);
    // What patterns find is not known before: where the result is stored, each may be the largest string that is
    // copied.
    const size_t found = options.store ? work_of_bytes(limits::kInlineStringBytes) : 2;
    const size_t each = 4 + found * options.get.size();
    const size_t elements_used = ordered ? window.count : size;
    if (ctx.takes_long(each * elements_used + storage::work_of(*entry, elements_used))) return;
    elements_of(ctx, entry, ordered ? window : Window({}, size), ordered && options.descending, *elements);
    if (!options.unsorted || forced) {
      const bool alphabetic = options.alphabetic || forced;
      if (forced) options.by.reset();
      if (!weigh(ctx, options, alphabetic, *elements)) return;
      *order = sorted(ctx, *elements, alphabetic, options.by.has_value(), options.descending);
    } else {
      *order = in_order(ctx, *elements);
    }
    wanted = *order;
    if (!ordered) wanted = wanted.subspan(window.start, window.count);
  }
  if (options.store) {
    store_elements(ctx, options, wanted);
  } else {
    reply_elements(ctx, options, wanted);
  }
}

void sort_command(Context& ctx) { sort(ctx, true); }
void sort_ro_command(Context& ctx) { sort(ctx, false); }

/// The keys of SORT: the one that is sorted and the last destination.
bool sort_keys(Args args, std::vector<int>& positions) {
  if (args.size() < 2) return false;
  positions.push_back(1);
  for (size_t i = 2; i < args.size(); ++i) {
    if (equals_ignoring_case(args[i], "LIMIT")) {
      i += 2;
    } else if (equals_ignoring_case(args[i], "GET") || equals_ignoring_case(args[i], "BY")) {
      ++i;
    } else if (equals_ignoring_case(args[i], "STORE") && i + 1 < args.size()) {
      positions.resize(1);
      positions.push_back(static_cast<int>(++i));
    }
  }
  return true;
}

bool sort_ro_keys(Args args, std::vector<int>& positions) {
  if (args.size() < 2) return false;
  positions.push_back(1);
  return true;
}

// --- Declarations ----------------------------------------------------------------------------------------------------

constexpr Command kCommands[] = {
    {.name = "sort", .arity = -2, .flags = kWrite | kDenyOom,
     .categories = kSet | kSortedSet | kList | kDangerous, .group = "generic", .since = "1.0.0",
     .complexity = "O(N+M*log(M))",
     .summary = "Sorts a list, set or sorted set and gives or stores the result.",
     .syntax = "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA] "
               "[STORE destination]",
     .handler = sort_command, .keys = keys::kReadStoreByOptions, .get_keys = sort_keys},
    {.name = "sort_ro", .arity = -2, .flags = kReadOnly,
     .categories = kSet | kSortedSet | kList | kDangerous, .group = "generic", .since = "7.0.0",
     .complexity = "O(N+M*log(M))",
     .summary = "Sorts a list, set or sorted set and gives the result.",
     .syntax = "key [BY pattern] [LIMIT offset count] [GET pattern [GET pattern ...]] [ASC | DESC] [ALPHA]",
     .handler = sort_ro_command, .keys = keys::kReadByOptions, .get_keys = sort_ro_keys},
};

}  // namespace

std::span<const Command> sort_commands() { return kCommands; }

}  // namespace quartet::server
