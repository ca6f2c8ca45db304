#include "server/command_table.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "base/hash.h"
#include "base/numbers.h"
#include "server/absent_commands.h"

namespace quartet::server {

namespace {

constexpr size_t kLongestName = 32;
/// How much of an unknown name is shown.
constexpr size_t kShownName = 128;

/// ACL categories, each declared or following from a flag.
struct Category {
  std::string_view name;
  uint32_t declared;
  uint32_t flags;  // any of these
};
constexpr Category kCategories[] = {
    {"keyspace", kKeyspace, 0},
    {"read", 0, kReadOnly},
    {"write", 0, kWrite},
    {"set", kSet, 0},
    {"sortedset", kSortedSet, 0},
    {"list", kList, 0},
    {"hash", kHash, 0},
    {"string", kString, 0},
    {"bitmap", kBitmap, 0},
    {"hyperloglog", kHyperLogLog, 0},
    {"geo", kGeo, 0},
    {"stream", kStream, 0},
    {"pubsub", kPubSubCategory, kPubSub},
    {"admin", kAdminCategory, kAdmin},
    {"fast", 0, kFast},
    {"slow", 0, 0},  // what is not fast
    {"blocking", 0, kBlocking},
    {"dangerous", kDangerous, kAdmin},
    {"connection", kConnection, 0},
    {"transaction", kTransaction, 0},
    {"scripting", kScripting, 0},
};

uint32_t categories_of(uint32_t declared, uint32_t flags) {
  uint32_t categories = 0;
  for (size_t i = 0; i < std::size(kCategories); ++i) {
    const Category& category = kCategories[i];
    const bool slow = category.name == "slow" && !(flags & kFast);
    // What a script does is not known, so that reading ones do not count as reads.
    const bool unknown = category.flags == kReadOnly && (declared & kScripting);
    if (slow || (!unknown && ((declared & category.declared) || (flags & category.flags))))
      categories |= uint32_t{1} << i;
  }
  return categories;
}

/// Whether the keys of a command cannot be told from its first specification alone.
bool has_movable_keys(const Command& command) {
  if (command.get_keys) return true;
  for (const KeySpec& spec : command.keys) {
    if (spec.flags & kKeyNotKey) continue;
    if (spec.begin != KeySpec::Begin::Index || spec.find != KeySpec::Find::Range) return true;
  }
  return false;
}

std::unique_ptr<CommandEntry> make_entry(const Command& spec, const CommandEntry* parent, uint32_t& next_id) {
  auto entry = std::make_unique<CommandEntry>();
  entry->spec = &spec;
  entry->parent = parent;
  const std::string_view protocol = spec.flags & kMemcached ? "memcached|" : "";
  entry->full_name =
      parent ? parent->full_name + "|" + std::string(spec.name) : std::string(protocol).append(spec.name);
  entry->flags = spec.flags | (has_movable_keys(spec) ? uint32_t{kMovableKeys} : 0);
  entry->categories = categories_of(spec.categories, entry->flags);
  entry->id = next_id++;
  for (const Command& sub : spec.subcommands) entry->subcommands.push_back(make_entry(sub, entry.get(), next_id));
  return entry;
}

/// The hash of a name in lower case, which is written to `folded`.
uint64_t hash_name(std::string_view name, char* folded) {
  for (size_t i = 0; i < name.size(); ++i)
    folded[i] = static_cast<char>(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
  return hash_bytes({folded, name.size()}, 0);
}

}  // namespace

bool CommandEntry::names_keys() const {
  return std::any_of(spec->keys.begin(), spec->keys.end(),
                     [](const KeySpec& keys) { return !(keys.flags & kKeyNotKey); });
}

bool AclName::is_subcommand_of(std::string_view command) const {
  return name.size() > command.size() && name[command.size()] == '|' &&
         equals_ignoring_case(name.substr(0, command.size()), command);
}

std::span<const std::string_view> category_names() {
  static constexpr auto kNames = [] {
    std::array<std::string_view, std::size(kCategories)> names{};
    for (size_t i = 0; i < names.size(); ++i) names[i] = kCategories[i].name;
    return names;
  }();
  return kNames;
}

uint32_t category_bit(std::string_view name) {
  for (size_t i = 0; i < std::size(kCategories); ++i)
    if (equals_ignoring_case(kCategories[i].name, name)) return uint32_t{1} << i;
  return 0;
}

CommandTable::CommandTable(std::span<const std::span<const Command>> families) {
  uint32_t next_id = 0;
  for (const auto family : families) {
    for (const Command& command : family) {
      const bool memcached = command.flags & kMemcached;
      (memcached ? memcached_ : commands_).push_back(make_entry(command, nullptr, next_id));
    }
  }
  for (Entries* entries : {&commands_, &memcached_})
    std::sort(entries->begin(), entries->end(),
              [](const auto& a, const auto& b) { return a->spec->name < b->spec->name; });
  slots_ = index(commands_);
  memcached_slots_ = index(memcached_);
  for (const AbsentCommand& absent : absent_commands())
    if (!find_full(absent.name))
      absent_.push_back({absent.name, categories_of(absent.categories, absent.flags), next_id++});
  id_count_ = next_id;
}

std::vector<CommandTable::Slot> CommandTable::index(const Entries& entries) {
  std::vector<Slot> slots(std::bit_ceil(entries.size() * 4 + 1));
  const size_t mask = slots.size() - 1;
  for (const auto& entry : entries) {
    assert(entry->spec->name.size() <= kLongestName);
    char folded[kLongestName];
    const uint64_t hash = hash_name(entry->spec->name, folded);
    size_t at = hash & mask;
    while (slots[at].entry) at = (at + 1) & mask;
    slots[at] = {hash, entry.get()};
  }
  return slots;
}

const CommandEntry* CommandTable::find(std::string_view name) const {
  if (name.size() > kLongestName) return nullptr;
  char folded[kLongestName];
  const uint64_t hash = hash_name(name, folded);
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask; slots_[at].entry; at = (at + 1) & mask)
    if (slots_[at].hash == hash && slots_[at].entry->spec->name == std::string_view(folded, name.size()))
      return slots_[at].entry;
  return nullptr;
}

const CommandEntry* CommandTable::find_memcached(std::string_view name) const {
  if (name.size() > kLongestName) return nullptr;
  const uint64_t hash = hash_bytes(name, 0);
  const size_t mask = memcached_slots_.size() - 1;
  for (size_t at = hash & mask; memcached_slots_[at].entry; at = (at + 1) & mask)
    if (memcached_slots_[at].hash == hash && memcached_slots_[at].entry->spec->name == name)
      return memcached_slots_[at].entry;
  return nullptr;
}

const CommandEntry* CommandTable::find_subcommand(const CommandEntry& command, std::string_view name) {
  for (const auto& sub : command.subcommands)
    if (equals_ignoring_case(sub->spec->name, name)) return sub.get();
  return nullptr;
}

Result<const CommandEntry*> CommandTable::of_file(Args args) const {
  const std::string_view name = args[0].substr(0, kShownName);
  const CommandEntry* command = find(args[0]);
  if (!command) return Error{fmt::format("'{}' is a command that this server does not have", name)};
  if (!command->subcommands.empty() && args.size() > 1) {
    command = find_subcommand(*command, args[1]);
    if (!command)
      return Error{
          fmt::format("'{} {}' is a command that this server does not have", name, args[1].substr(0, kShownName))};
  }
  if (!command->takes(args.size()) || !command->spec->handler)
    return Error{fmt::format("wrong number of arguments for '{}'", command->full_name)};
  return command;
}

const CommandEntry* CommandTable::find_full(std::string_view full_name) const {
  const size_t bar = full_name.find('|');
  const CommandEntry* command = find(full_name.substr(0, bar));
  if (!command || bar == std::string_view::npos) return command;
  return find_subcommand(*command, full_name.substr(bar + 1));
}

std::optional<AclName> CommandTable::find_acl_name(std::string_view full_name) const {
  if (const CommandEntry* command = find_full(full_name))
    return AclName{command->full_name, command->categories, command->id};
  for (const AclName& absent : absent_)
    if (equals_ignoring_case(absent.name, full_name)) return absent;
  return {};
}

bool CommandTable::has_subcommands(std::string_view name) const {
  bool found = false;
  for_each_acl_name([&](const AclName& other) { found |= other.is_subcommand_of(name); });
  return found;
}

void CommandTable::reset_stats() const {
  for (const Entries* entries : {&commands_, &memcached_}) {
    for (const auto& command : *entries) {
      command->stats = {};
      for (const auto& sub : command->subcommands) sub->stats = {};
    }
  }
}

size_t CommandTable::stats_memory() const {
  size_t bytes = 0;
  const auto add = [&](const CommandEntry& command) {
    if (const auto& histogram = command.stats.histogram) bytes += malloc_usable_size(histogram.get());
  };
  for (const auto& command : commands_) {
    add(*command);
    for (const auto& sub : command->subcommands) add(*sub);
  }
  return bytes;
}

namespace {

bool uses_of(const KeySpec& spec, Args args, std::vector<KeyUse>& uses) {
  const int count = static_cast<int>(args.size());
  int first = spec.index;
  if (spec.begin == KeySpec::Begin::Unknown) return true;
  if (spec.begin == KeySpec::Begin::Keyword) {
    const bool backwards = spec.index < 0;
    int at = backwards ? count + spec.index : spec.index;
    first = 0;
    for (; backwards ? at > 0 : at < count - 1; at += backwards ? -1 : 1)
      if (equals_ignoring_case(args[static_cast<size_t>(at)], spec.keyword)) {
        first = at + 1;
        break;
      }
    if (first == 0) return true;
  }
  int last;
  if (spec.find == KeySpec::Find::Range) {
    if (spec.last >= 0) {
      last = first + spec.last;
    } else if (spec.limit <= 1) {
      last = count + spec.last;
    } else {
      last = first + (count - first) / spec.limit + spec.last;
    }
  } else if (spec.find == KeySpec::Find::KeyNum) {
    const int number_at = first + spec.last;
    if (number_at >= count) return false;
    const auto keys = parse_int(args[static_cast<size_t>(number_at)]);
    if (!keys || *keys < 0 || *keys > count) return false;
    first += spec.limit;
    last = first + static_cast<int>(*keys - 1) * spec.step;
  } else {
    return true;
  }
  if (last >= count || first >= count) return false;
  for (int at = first; at <= last; at += spec.step) uses.push_back({at, spec.flags});
  return true;
}

}  // namespace

bool find_key_uses(const Command& command, Args args, std::vector<KeyUse>& uses) {
  if (command.get_keys) {
    std::vector<int> positions;
    if (!command.get_keys(args, positions)) return false;
    // Commands whose keys cannot be told by position have one that they read first and another that they store into
    // last.
    assert(!command.keys.empty());
    for (const int at : positions)
      uses.push_back({at, (uses.empty() ? command.keys.front() : command.keys.back()).flags});
    return true;
  }
  for (const KeySpec& spec : command.keys) {
    if (spec.flags & kKeyNotKey) continue;
    const size_t first = uses.size();
    if (!uses_of(spec, args, uses)) return false;
    if (!(spec.flags & kKeyVariable) || !command.key_flags) continue;
    for (size_t i = first; i < uses.size(); ++i) uses[i].flags = command.key_flags(args);
  }
  return true;
}

}  // namespace quartet::server
