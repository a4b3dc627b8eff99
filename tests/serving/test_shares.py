"""Ten clients of a real server that all have as much to do."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean
from typing import Any

from tests.harness import until
from tests.serving.test_jobs import chain

CLIENTS, EACH = 10, 4


def test_of_ten_clients_none_waits_more_than_twice_the_mean(server: Any) -> None:
    """Each posts four jobs of a fiftieth of a second, one client after the other, before the first job runs.

    What a job waits is how many jobs ran before it. Where who comes first is served first, the last client waits 1.9 times the
    mean, and its first job for 36 others.
    """
    server.ask("POST", "/api/v1/queue/pause")
    of = {}
    for client in range(CLIENTS):
        for number in range(EACH):
            made = server.post(chain({"seconds": 0.02, "name": f"{client}.{number}"}), client_id=f"client-{client}")
            of[made] = client
    shown = [item[1] for item in server.get("/queue")["queue_pending"]]
    assert [of[job] for job in shown] == [*range(CLIENTS)] * EACH, "nothing is known of any: they take turns"
    server.ask("POST", "/api/v1/queue/resume")
    until(lambda: not server.get("/prompt")["exec_info"]["queue_remaining"], "all jobs to end", server.log)
    ran = [of[job] for job in server.get("/history") if job in of]
    assert len(ran) == CLIENTS * EACH
    assert sorted(ran[:CLIENTS]) == [*range(CLIENTS)], "who has had nothing comes before all that have had something"
    waits = defaultdict(list)
    for place, client in enumerate(ran):
        waits[client].append(place)
    each = [mean(found) for found in waits.values()]
    assert max(each) <= 2 * mean(each)
