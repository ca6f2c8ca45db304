"""Four roles in one server: what happens to the cache is nobody else's business."""

from __future__ import annotations

import redis

from support import four_roles
from support.server import Server

STORM_SECONDS = 20


def test_a_cache_beyond_its_budget_costs_the_other_databases_nothing():
    with Server(settings=four_roles.SETTINGS) as server:
        outcome = four_roles.run(server, STORM_SECONDS)
        assert not outcome.errors
        assert outcome.cache_bytes >= 5 * four_roles.CACHE_BYTES, "the cache was to be overfilled"
        assert outcome.tasks_sent > STORM_SECONDS
        assert (outcome.tasks_refused, outcome.tasks_lost) == (0, 0)
        assert (outcome.sessions_lost, outcome.jobs_lost) == (0, 0)
        with redis.Redis(port=server.port, decode_responses=True) as client:
            evicted = [dict(client.execute_command("DB", "STATS", index))["evicted_keys"] for index in range(4)]
        assert evicted[1] > 0 and [evicted[0], *evicted[2:]] == [0, 0, 0]
