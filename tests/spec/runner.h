// Runs the cases of spec files on a backend, checks them or records what the server answers.
#pragma once

#include <string>
#include <vector>

#include "backend.h"
#include "case_run.h"
#include "spec_file.h"

namespace quartet::test {

struct RunOptions {
  bool reference = false;  // the server is redis-server: leaves out what holds on Quartet only, and vice versa
  bool verbose = false;    // prints the name of each case
  std::string filter;      // runs only the cases whose name contains this
};

struct Totals {
  int passed = 0;
  int failed = 0;
  int skipped = 0;  // cases that are meant for the other server
};

// Runs the cases and prints each failure as path:line.
void run_spec(const SpecFile& file, Backend& backend, const RunOptions& options, Totals& totals);

// Runs the cases and returns the file's text with expectations that the server fulfils: those that match
// stay as they stand (patterns, ranges, unordered ...), others are replaced, missing ones are filled in.
// Cases for Quartet only stay as they are.
std::string record_spec(const SpecFile& file, Backend& backend, const RunOptions& options);

// Whether the case is to run under these options.
bool is_wanted(const Case& test, const RunOptions& options);

}  // namespace quartet::test
