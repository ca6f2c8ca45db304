#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <stdexcept>

#include "runner.h"

namespace quartet::test {

namespace {

using namespace std::chrono_literals;
using Form = Expectation::Form;

// What a client has seen since the last step: replies, and perhaps the end of the connection.
struct Seen {
  std::vector<Reply> replies;
  bool closed = false;
};

class CaseRecorder {
 public:
  CaseRecorder(const SpecFile& file, const Case& test, CaseRun& run) : file_(file), test_(test), run_(run) {}

  void record() {
    const auto& steps = test_.steps;
    for (std::size_t i = 0; i < steps.size();) {
      const Step& step = steps[i];
      if (step.action != Step::Action::expect) run_.perform(step);
      std::size_t end = i + 1;
      while (end < steps.size() && steps[end].action == Step::Action::expect) ++end;
      std::vector<const Step*> expectations;
      for (std::size_t j = i + 1; j < end; ++j) expectations.push_back(&steps[j]);
      after(step, expectations);
      i = end;
    }
  }

  // Lines to leave out, and lines to put after a line.
  std::set<int> removed;
  std::map<int, std::vector<std::string>> inserted;

 private:
  void after(const Step& step, const std::vector<const Step*>& expectations) {
    run_.settle();
    const bool sends = step.action == Step::Action::send || step.action == Step::Action::send_raw;
    std::map<std::string, std::vector<const Step*>> wanted;
    for (const Step* expected : expectations) wanted[expected->client].push_back(expected);

    std::vector<std::string> order = run_.names();
    if (sends) std::stable_partition(order.begin(), order.end(), [&](const auto& name) { return name == step.client; });

    std::vector<std::string> lines;
    bool same = true;
    for (const std::string& name : order)
      same = client_lines(name, wanted[name], sends && name == step.client, lines) && same;
    if (same) return;
    for (const Step* expected : expectations)
      for (int line = expected->first_line; line <= expected->last_line; ++line) removed.insert(line);
    inserted[step.last_line] = lines;
  }

  // Appends the lines for one client; false when they differ from what stands in the file.
  bool client_lines(const std::string& name, const std::vector<const Step*>& wanted, bool is_sender,
                    std::vector<std::string>& lines) {
    const Seen seen = collect(name);
    std::vector<const Step*> replies;
    bool had_closed = false, had_nothing = false;
    for (const Step* step : wanted) {
      const Form form = step->expectation.form;
      had_closed = had_closed || form == Form::closed;
      had_nothing = had_nothing || form == Form::nothing;
      if (form != Form::closed && form != Form::nothing) replies.push_back(step);
    }
    bool same = replies.size() == seen.replies.size() && had_closed == seen.closed;
    for (std::size_t i = 0; i < seen.replies.size(); ++i) {
      const Step* step = i < replies.size() ? replies[i] : nullptr;
      if (step && matches(step->expectation, seen.replies[i], run_.variables())) {
        for (int line = step->first_line; line <= step->last_line; ++line) lines.push_back(source(line));
        continue;
      }
      same = false;
      lines.push_back(name + "< " + expectation_text(seen.replies[i], step ? &step->expectation : nullptr));
    }
    if (seen.closed) lines.push_back(name + "< closed");
    const bool silent = seen.replies.empty() && !seen.closed && (is_sender || had_nothing);
    if (silent) lines.push_back(name + "< nothing");
    return same && silent == had_nothing;
  }

  Seen collect(const std::string& name) {
    Seen seen;
    Client& client = run_.client(name);
    while (auto reply = client.receive(0ms)) seen.replies.push_back(std::move(*reply));
    const bool closed = client.closed(0ms);
    seen.closed = closed && known_closed_.insert(name).second;
    return seen;
  }

  const std::string& source(int line) const { return file_.lines[static_cast<std::size_t>(line) - 1]; }

  const SpecFile& file_;
  const Case& test_;
  CaseRun& run_;
  std::set<std::string> known_closed_;
};

}  // namespace

std::string record_spec(const SpecFile& file, Backend& backend, const RunOptions& options) {
  std::set<int> removed;
  std::map<int, std::vector<std::string>> inserted;
  for (const Case& test : file.cases) {
    if (!is_wanted(test, options)) continue;
    Client control(backend.connect());
    CaseRun run(backend, control);
    CaseRecorder recorder(file, test, run);
    try {
      recorder.record();
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("{}:{}: {}", file.path, test.line, error.what()));
    }
    removed.merge(recorder.removed);
    inserted.merge(recorder.inserted);
  }
  std::string text;
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const int line = static_cast<int>(i) + 1;
    if (!removed.contains(line)) text += file.lines[i] + '\n';
    if (const auto found = inserted.find(line); found != inserted.end())
      for (const std::string& added : found->second) text += added + '\n';
  }
  return text;
}

}  // namespace quartet::test
