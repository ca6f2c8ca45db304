#include "server/queue_survey.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/limits.h"
#include "keyspace_fixture.h"

using namespace quartet;
using server::QueueSurvey;

namespace {

struct Databases {
  Databases() {
    for (int i = 0; i < 2; ++i) all.push_back(std::make_unique<storage::Keyspace>(i, observer));
  }
  void push(int database, const std::string& key, size_t count, int64_t expiry_ms = -1) {
    storage::Keyspace& db = *all[static_cast<size_t>(database)];
    storage::Entry* entry = db.find(key, 0);
    storage::ListValue list = entry ? storage::ListValue(db, entry) : storage::ListValue::create(db, key);
    for (size_t i = 0; i < count; ++i) list.push(storage::End::Tail, "element");
    if (expiry_ms >= 0) db.set_expiry(list.entry, expiry_ms);
  }
  void add_strings(int database, int count) {
    storage::Keyspace& db = *all[static_cast<size_t>(database)];
    for (int i = 0; i < count; ++i) storage::StringValue::assign(db, nullptr, "string" + std::to_string(i), "v");
  }
  std::string ask(int database) {
    std::string text;
    for (const QueueSurvey::Queue& queue : survey.ask(*all[static_cast<size_t>(database)], now, QueueSurvey::kOneBuckets))
      text += queue.name + "=" + std::to_string(queue.length) + " ";
    return text;
  }

  test::Observer observer;
  std::vector<std::unique_ptr<storage::Keyspace>> all;
  QueueSurvey survey;
  Time now{1'000'000, 1'000'000};
};

}  // namespace

TEST_CASE("a small database's lists are known at once, the longest first", "[queues]") {
  Databases databases;
  CHECK(databases.ask(0).empty());
  databases.push(0, "celery", 3);
  databases.push(0, "celery\x06\x16" "3", 700);
  databases.push(0, "b", 3);
  databases.push(0, std::string(limits::kQueueNameBytes + 1, 'x'), 5);
  databases.push(0, "dead", 5, 1);
  databases.push(1, "other", 9);
  databases.add_strings(0, 500);
  CHECK(databases.ask(0) == "celery\x06\x16" "3=700 b=3 celery=3 ");
  databases.push(0, "celery", 1);
  CHECK(databases.ask(0) == "celery\x06\x16" "3=700 celery=4 b=3 ");
  storage::Keyspace& db = *databases.all[0];
  db.erase(db.find("b", 0));
  CHECK(databases.ask(0) == "celery\x06\x16" "3=700 celery=4 ");
  CHECK(databases.ask(1) == "other=9 ");
}

TEST_CASE("the longest of many lists are kept", "[queues]") {
  Databases databases;
  for (size_t i = 1; i <= 200; ++i) databases.push(0, "q" + std::to_string(i), i);
  const auto queues = databases.survey.ask(*databases.all[0], databases.now, QueueSurvey::kOneBuckets);
  REQUIRE(queues.size() == limits::kShownQueues);
  for (size_t i = 0; i < queues.size(); ++i) CHECK(queues[i].length == 200 - i);
}

TEST_CASE("a large database's lists are met in slices, while somebody asks", "[queues]") {
  Databases databases;
  databases.add_strings(0, 200'000);
  databases.push(0, "queue", 5);
  databases.add_strings(1, 200'000);
  databases.push(1, "other", 5);
  std::string first = databases.ask(0), second = databases.ask(1);
  int slices = 0;
  for (; (first.empty() || second.empty()) && slices < 10'000; ++slices) {
    databases.survey.step(databases.all, databases.now);
    if (slices % 50 == 0) first = databases.ask(0), second = databases.ask(1);
  }
  CHECK(first == "queue=5 ");
  CHECK(second == "other=5 ");
  CHECK(slices < 400);

  // A round in which nobody is interested any more is given up, and the next question begins anew.
  Databases idle;
  idle.add_strings(0, 200'000);
  idle.push(0, "queue", 5);
  if (!idle.ask(0).empty()) return;  // by chance it lies where the walk begins
  idle.now.mono_us += 61'000'000;
  for (int i = 0; i < 1000; ++i) idle.survey.step(idle.all, idle.now);
  CHECK(idle.ask(0).empty());
}
