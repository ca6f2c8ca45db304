// The command line of the spec runner, apart from main() so that a program which links the server core can
// offer its own backend with a manual clock beside the wire.
#pragma once

#include <functional>
#include <memory>

#include "backend.h"

namespace quartet::test {

// `in_process` makes a backend around a fresh server core; it serves `--in-process`, and `divided` the same with
// `--divided`. Without them, there is only the wire. Returns the exit status: 0 when every case passed.
using BackendMaker = std::function<std::unique_ptr<Backend>()>;
int spec_main(int argc, char** argv, const BackendMaker& in_process = nullptr, const BackendMaker& divided = nullptr);

}  // namespace quartet::test
