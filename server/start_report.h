#pragma once

#include <string>

#include "base/log.h"
#include "persistence/file.h"
#include "server/config.h"

namespace quartet::server {

/// What the log says at the start: version, file of settings, data directory, limits, and how each database is kept; and what of the
/// settings does not fit together or does not fit what is in the directory. `open_to_all` is whether clients need no password.
void report_start(const Config& config, const std::string& data_directory, bool open_to_all, persistence::Disk& disk, Log& log);

}  // namespace quartet::server
