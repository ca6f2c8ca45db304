#include "runner.h"

#include <fmt/format.h>

#include <stdexcept>

namespace quartet::test {

namespace {

using namespace std::chrono_literals;
using Form = Expectation::Form;

struct Failure : std::runtime_error {
  Failure(int at, const std::string& what) : std::runtime_error(what), line(at) {}
  int line;
};

void expect_nothing(CaseRun& run, const std::string& name, int line) {
  run.settle();
  if (const auto reply = run.client(name).receive(0ms))
    throw Failure(line, fmt::format("expected no reply, got {}", to_text(*reply)));
}

void expect(CaseRun& run, const Step& step, const std::string& expected) {
  Client& client = run.client(step.client);
  if (step.expectation.form == Form::nothing) return expect_nothing(run, step.client, step.first_line);
  if (step.expectation.form == Form::closed) {
    if (!client.closed(reply_bound)) throw Failure(step.first_line, "expected the connection to be closed");
    return;
  }
  const auto reply = client.receive(reply_bound);
  if (!reply) throw Failure(step.first_line, fmt::format("expected{}, got no reply", expected));
  if (!matches(step.expectation, *reply, run.variables()))
    throw Failure(step.first_line, fmt::format("expected{}\n    got      {}", expected, to_text(*reply)));
}

// The expectation as it stands in the file, for the message.
std::string source_of(const SpecFile& file, const Step& step) {
  std::string text;
  for (int line = step.first_line; line <= step.last_line; ++line)
    text += (text.empty() ? "" : "\n    ") + file.lines[static_cast<std::size_t>(line) - 1];
  return text.substr(text.find('<') + 1);
}

void run_case(const SpecFile& file, const Case& test, Backend& backend, Client& control) {
  int line = test.line;
  try {
    CaseRun run(backend, control);
    for (const Step& step : test.steps) {
      line = step.first_line;
      if (step.action == Step::Action::expect) expect(run, step, source_of(file, step));
      else run.perform(step);
    }
    for (const std::string& name : run.names()) expect_nothing(run, name, line);
  } catch (const Failure&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw Failure(line, error.what());
  }
}

}  // namespace

bool is_wanted(const Case& test, const RunOptions& options) {
  if (test.name.find(options.filter) == std::string::npos) return false;
  return test.audience != (options.reference ? Case::Audience::quartet_only : Case::Audience::reference_only);
}

void run_spec(const SpecFile& file, Backend& backend, const RunOptions& options, Totals& totals) {
  for (const Case& test : file.cases) {
    if (!is_wanted(test, options)) {
      totals.skipped += test.name.find(options.filter) != std::string::npos;
      continue;
    }
    if (options.verbose) fmt::print("{}:{}: {}\n", file.path, test.line, test.name);
    try {
      Client control(backend.connect());
      run_case(file, test, backend, control);
      ++totals.passed;
    } catch (const Failure& failure) {
      ++totals.failed;
      fmt::print("{}:{}: {}\n    {}\n", file.path, failure.line, test.name, failure.what());
    }
  }
}

}  // namespace quartet::test
