#pragma once

#include <cstdint>
#include <string>

#include "persistence/file.h"

namespace quartet::persistence {

/// Whether an intact annotation behind `offset` says that more of the file than that was on disk before it was written.
Result<bool> is_declared_synced(File& file, uint64_t offset);
/// Where the zeros begin that the file ends with, as a power cut leaves of pages that were not written; `offset` where
/// there is nothing else behind it, and the file's size where it does not end with zeros.
Result<uint64_t> zeros_begin(File& file, uint64_t offset);

/// Cuts the file `directory`/`name` to `size` where it is longer, and makes it durable, with the names of the
/// directory: a process that was killed may have left what readers see and a power cut would take. To be done with the
/// last increment after reading, before AofLog::resume.
Result<void> cut_tail(Disk& disk, const std::string& directory, const std::string& name, uint64_t size);

}  // namespace quartet::persistence
