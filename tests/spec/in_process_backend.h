// A backend around a server core in this process: bytes go straight into its sessions, the clock stands still
// until it is advanced, and work for the thread pool is done at once.
#pragma once

#include <memory>

#include "backend.h"

namespace quartet::test {

std::unique_ptr<Backend> make_in_process_backend();
// The same with every command that may be divided in the smallest slices.
std::unique_ptr<Backend> make_divided_backend();

}  // namespace quartet::test
