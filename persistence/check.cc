#include "persistence/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "persistence/aof_tail.h"
#include "persistence/check_file.h"
#include "persistence/manifest.h"

namespace quartet::persistence {
namespace {

using State = FileReport::State;

constexpr std::string_view kManifestEnd = ".manifest";
constexpr size_t kCopyBytes = 256 * 1024;

/// Where a path's last part begins: its directory without the slash, and its name.
std::pair<std::string, std::string> split(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

/// Copies a file to the first name that is free of `<path>.original`, `<path>.original.2` and so on; returns the name.
Result<std::string> keep_original(Disk& disk, const std::string& path) {
  const auto [directory, name] = split(path);
  const Result<std::vector<std::string>> names = disk.list(directory);
  if (!names) return names.error();
  const auto taken = [&](const std::string& wanted) {
    return std::binary_search(names->begin(), names->end(), wanted);
  };
  std::string original = name + ".original";
  for (int number = 2; taken(original); ++number) original = fmt::format("{}.original.{}", name, number);
  Result<std::unique_ptr<File>> from = disk.open_read(path);
  if (!from) return from.error();
  // Under its name only once it is whole and durable.
  const std::string temporary = directory + "/temp-" + original;
  {
    Result<std::unique_ptr<File>> to = disk.create(temporary);
    if (!to) return to.error();
    std::string chunk(kCopyBytes, '\0');
    for (uint64_t offset = 0;;) {
      const Result<size_t> read = (*from)->read(offset, chunk);
      if (!read) return read.error();
      if (*read == 0) break;
      if (Result<void> done = append_all(**to, std::string_view(chunk).substr(0, *read)); !done) return done.error();
      offset += *read;
    }
    if (Result<void> done = (*to)->sync(); !done) return done.error();
  }
  if (Result<void> done = disk.rename(temporary, directory + "/" + original); !done) return done.error();
  if (Result<void> done = disk.sync_directory(directory); !done) return done.error();
  return original;
}

class Checker {
 public:
  Checker(Disk& disk, const CheckOptions& options, const std::function<void(std::string_view)>& say)
      : disk_(disk), options_(options), say_(say) {}

  CheckOutcome run(const std::string& path) {
    const Result<std::vector<std::string>> names = disk_.list(path);
    if (names) {
      if (!check_directory(path, *names)) check_data_directory(path, *names);
    } else if (names.error().code != ENOTDIR) {
      unreadable(names.error().text);
    } else if (path.ends_with(kManifestEnd)) {
      const auto [directory, name] = split(path);
      check_manifest(directory, name);
    } else {
      check_alone(path);
    }
    if (files_ == 0 && outcome_ == CheckOutcome::Whole) unreadable(path + ": there is no data here");
    return outcome_;
  }

 private:
  void worsen(CheckOutcome outcome) { outcome_ = std::max(outcome_, outcome); }
  void unreadable(std::string_view text) {
    say_(text);
    worsen(CheckOutcome::Unreadable);
  }

  /// The directory of append-only files, if it is one.
  bool check_directory(const std::string& directory, const std::vector<std::string>& names) {
    bool any = false;
    for (const std::string& name : names) {
      if (!name.ends_with(kManifestEnd)) continue;
      check_manifest(directory, name);
      any = true;
    }
    return any;
  }

  void check_data_directory(const std::string& directory, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (name.starts_with("temp-")) continue;  // what a process that ended had begun
      const std::string path = directory + "/" + name;
      if (name.ends_with(".rdb") || name.ends_with(".aof")) {
        check_alone(path);
      } else if (const Result<std::vector<std::string>> below = disk_.list(path)) {
        check_directory(path, *below);
      }
    }
  }

  /// Says what is in a file, and whether it is whole.
  FileReport report(const std::string& path) {
    ++files_;
    outcome_before_ = outcome_;
    FileReport report = check_file(disk_, path, options_.now_ms, options_.refusal);
    switch (report.state) {
      case State::Whole: say_(fmt::format("{}: whole, {} bytes", path, report.size)); break;
      case State::Torn:
        say_(fmt::format("{}: ends too early: torn at offset {} of {}: {}", path, report.offset, report.size,
                         report.reason));
        break;
      case State::Damaged:
        say_(fmt::format("{}: damaged at offset {} of {}: {}", path, report.offset, report.size, report.reason));
        break;
      case State::Unreadable: say_(fmt::format("{}: cannot be read: {}", path, report.reason)); break;
    }
    for (const std::string& line : report.contents) say_("  " + line);
    if (report.state != State::Whole)
      worsen(report.state == State::Unreadable ? CheckOutcome::Unreadable : CheckOutcome::Damaged);
    return report;
  }

  void check_alone(const std::string& path) {
    const FileReport found = report(path);
    if (found.state != State::Torn && found.state != State::Damaged) return;
    if (!found.has_commands || path.ends_with(".rdb")) return say_("  it cannot be mended");
    if (!options_.fix) return say_(fmt::format("  --fix would cut it there: {} bytes go", found.size - found.offset));
    const auto [directory, name] = split(path);
    if (is_in_manifest(directory, name))
      return say_("  it belongs to a manifest, by whose name or directory it is to be fixed");
    const Result<std::string> original = keep_original(disk_, path);
    if (!original) return failed(original.error());
    if (Result<void> done = cut_tail(disk_, directory, name, found.offset); !done) return failed(done.error());
    say_(fmt::format("  cut at offset {}; what it was is in {}", found.offset, *original));
    outcome_ = outcome_before_;
  }

  bool is_in_manifest(const std::string& directory, const std::string& file) {
    const Result<std::vector<std::string>> names = disk_.list(directory);
    if (!names) return false;
    return std::any_of(names->begin(), names->end(), [&](const std::string& name) {
      if (!name.ends_with(kManifestEnd)) return false;
      const Result<Manifest> manifest =
          read_manifest(disk_, directory, name.substr(0, name.size() - kManifestEnd.size()));
      if (!manifest) return true;  // who knows
      const std::vector<Manifest::Entry> files = files_of(*manifest);
      return std::any_of(files.begin(), files.end(), [&](const Manifest::Entry& entry) { return entry.name == file; });
    });
  }

  static std::vector<Manifest::Entry> files_of(const Manifest& manifest) {
    std::vector<Manifest::Entry> files;
    if (manifest.base) files.push_back(*manifest.base);
    files.insert(files.end(), manifest.increments.begin(), manifest.increments.end());
    return files;
  }

  void check_manifest(const std::string& directory, const std::string& name) {
    ++files_;
    const std::string path = directory + "/" + name;
    const std::string file_name = name.substr(0, name.size() - kManifestEnd.size());
    const Result<Manifest> manifest = read_manifest(disk_, directory, file_name);
    if (!manifest) {
      if (manifest.error().code != 0) return unreadable(manifest.error().text);
      say_(manifest.error().text);
      return worsen(CheckOutcome::Damaged);
    }
    const std::vector<Manifest::Entry> files = files_of(*manifest);
    say_(fmt::format("{}: {}, {} increments, {} files of the past", path, manifest->base ? "a base" : "no base",
                     manifest->increments.size(), manifest->history.size()));
    for (size_t i = 0; i < files.size(); ++i) {
      const std::string& file = files[i].name;
      if (const FileReport found = report(directory + "/" + file); found.state != State::Whole)
        return stopped({directory, file_name, *manifest, files, i}, found);
    }
  }

  /// Files of a manifest, the one at `at` of which is not whole.
  struct Broken {
    const std::string& directory;
    const std::string& file_name;
    const Manifest& manifest;
    const std::vector<Manifest::Entry>& files;
    size_t at;
  };

  void stopped(const Broken& broken, const FileReport& found) {
    const bool last = broken.at + 1 == broken.files.size();
    std::string behind;
    for (size_t i = broken.at + 1; i < broken.files.size(); ++i) behind += " " + broken.files[i].name;
    if (found.state == State::Torn && last)
      say_("  a server cuts it off there as it starts, unless aof-load-truncated is no");
    if (!last) say_(fmt::format("  not looked at, because what is behind the damage cannot be applied:{}", behind));
    if (found.state == State::Unreadable) return;
    if (!found.has_commands) return say_("  it cannot be mended");
    if (!options_.fix) {
      say_(fmt::format("  --fix would cut it there: {} bytes go", found.size - found.offset));
      if (!last) say_(fmt::format("  and the manifest would no longer name:{}", behind));
      return;
    }
    if (Result<void> done = fix(broken, found.offset); !done) return failed(done.error());
    outcome_ = outcome_before_;
  }

  /// In such an order that, wherever it ends, the directory is as damaged as before or whole, and everything that was
  /// is there: first the copies; then the manifest, which must not name what follows the damage once that is cut off.
  Result<void> fix(const Broken& broken, uint64_t offset) {
    Result<std::unique_ptr<DirectoryLock>> lock = disk_.lock_directory(split(broken.directory).first);
    if (!lock) return lock.error();
    const bool last = broken.at + 1 == broken.files.size();
    std::vector<std::string> to_keep;
    if (!last) to_keep.push_back(manifest_name(broken.file_name));
    for (size_t i = broken.at; i < broken.files.size(); ++i) to_keep.push_back(broken.files[i].name);
    for (const std::string& name : to_keep) {
      const Result<std::string> original = keep_original(disk_, broken.directory + "/" + name);
      if (!original && original.error().code == ENOENT) continue;  // named by the manifest, but not there
      if (!original) return original.error();
      say_(fmt::format("  {} is kept as {}", name, *original));
    }
    const std::string& cut = broken.files[broken.at].name;
    if (!last) {
      Manifest manifest = broken.manifest;
      manifest.increments.resize(broken.at + 1 - (manifest.base ? 1 : 0));
      if (Result<void> done = write_manifest(disk_, broken.directory, broken.file_name, manifest); !done) return done;
    }
    if (Result<void> done = cut_tail(disk_, broken.directory, cut, offset); !done) return done;
    say_(fmt::format("  {} is cut at offset {}", cut, offset));
    for (size_t i = broken.at + 1; i < broken.files.size(); ++i) {
      const Result<void> done = disk_.remove(broken.directory + "/" + broken.files[i].name);
      if (!done && done.error().code != ENOENT) return done;
      say_(fmt::format("  {} is no longer named by the manifest", broken.files[i].name));
    }
    return disk_.sync_directory(broken.directory);
  }

  void failed(const Error& error) { unreadable("  it could not be fixed: " + error.text); }

  Disk& disk_;
  const CheckOptions options_;
  const std::function<void(std::string_view)>& say_;
  CheckOutcome outcome_ = CheckOutcome::Whole;
  CheckOutcome outcome_before_ = CheckOutcome::Whole;  // the file that was looked at last, which may be fixed
  size_t files_ = 0;
};

}  // namespace

CheckOutcome check(Disk& disk, const std::string& path, const CheckOptions& options,
                   const std::function<void(std::string_view line)>& say) {
  return Checker(disk, options, say).run(path);
}

}  // namespace quartet::persistence
