"""How the server is: for load balancers, monitors, and people."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from engine.jobs.dispatch import Dispatcher
from engine.jobs.store import JobStore
from engine.server.refusals import json_response
from engine.server.routing import Route


class HealthRoutes:
    """GET /health, and GET /metrics in the text format of Prometheus."""

    def __init__(self, dispatcher: Dispatcher, store: JobStore, clients: Callable[[], int], version: str) -> None:
        self._dispatcher = dispatcher
        self._store = store
        self._clients = clients
        self._version = version
        self._started = time.time()

    def routes(self) -> list[Route]:
        """Their declarations."""
        return [
            Route(
                method="GET",
                path="/health",
                handler=self.health,
                summary="Whether jobs are accepted and run: status 200, or 503 with `problems`.",
                tag="operations",
                answer=_HEALTH,
                refusals={503: "Jobs are not accepted, or nothing runs them."},
            ),
            Route(
                method="GET",
                path="/metrics",
                handler=self.metrics,
                summary="Counters and gauges for Prometheus.",
                tag="operations",
                answer={"type": "string"},
                answer_type="text/plain",
            ),
        ]

    async def health(self, request: web.Request) -> web.Response:
        problems = list(self._problems())
        workers = [
            {
                "index": one.index,
                "state": one.state,
                "pid": one.pid,
                "restarts": one.restarts,
                "busy": one.job is not None,
            }
            for one in self._workers()
        ]
        body = {
            "status": "failing" if problems else "ok",
            "problems": problems,
            "version": self._version,
            "uptime_seconds": round(time.time() - self._started, 3),
            "queue": {
                "pending": len(self._dispatcher.queue),
                "running": len(self._dispatcher.running),
                "paused": self._dispatcher.paused,
            },
            "workers": workers,
        }
        return json_response(body, status=503 if problems else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(_Collector(self))
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    def _problems(self) -> Iterator[str]:
        if self._dispatcher.draining:
            yield "The server is ending."
        if self._store.is_low():
            yield "The disk is full: jobs are not accepted until there is room."
        if self._store.waiting:
            yield f"{self._store.waiting} finished jobs wait for room on the disk."
        workers = self._workers()
        if workers and all(one.state == "lost" for one in workers):
            yield f"No worker is there. The latest was lost: {workers[0].lost_reason}"

    def _workers(self) -> list[Any]:
        pool = self._dispatcher.pool
        return list(pool.workers) if pool is not None else []


class _Collector:
    """Reads the numbers when they are asked for, so that nothing is counted twice and nothing costs between."""

    def __init__(self, health: HealthRoutes) -> None:
        self._health = health

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        dispatcher, health = self._health._dispatcher, self._health
        totals = dispatcher.totals
        ended = CounterMetricFamily(
            "safelight_jobs_ended", "Jobs that ended since the server started.", labels=["status"]
        )
        for status, count in totals.ended.items():
            ended.add_metric([status], count)
        yield ended
        nodes = CounterMetricFamily(
            "safelight_nodes", "Nodes of ended jobs, by what became of them.", labels=["outcome"]
        )
        for outcome, count in totals.nodes.items():
            nodes.add_metric([outcome], count)
        yield nodes
        yield CounterMetricFamily("safelight_jobs_accepted", "Jobs accepted since the start.", value=totals.accepted)
        yield CounterMetricFamily("safelight_jobs_retried", "Attempts lost with their worker.", value=totals.retried)
        yield CounterMetricFamily("safelight_run_seconds", "Seconds that workers spent on jobs.", value=totals.seconds)
        yield GaugeMetricFamily("safelight_jobs_pending", "Jobs that wait.", value=len(dispatcher.queue))
        yield GaugeMetricFamily("safelight_jobs_running", "Jobs that run.", value=len(dispatcher.running))
        yield GaugeMetricFamily("safelight_queue_paused", "1 while the queue is paused.", value=int(dispatcher.paused))
        yield GaugeMetricFamily("safelight_websocket_clients", "Websockets that are open.", value=health._clients())
        workers = GaugeMetricFamily("safelight_worker_up", "1 while the worker takes jobs.", labels=["worker"])
        restarts = CounterMetricFamily(
            "safelight_worker_restarts", "Times that a worker was restarted.", labels=["worker"]
        )
        memory = GaugeMetricFamily(
            "safelight_worker_device_free_bytes", "Free memory of its device.", labels=["worker"]
        )
        for worker in health._workers():
            name = [str(worker.index)]
            workers.add_metric(name, int(worker.usable))
            restarts.add_metric(name, worker.restarts)
            if worker.device is not None:
                memory.add_metric(name, worker.device.vram_free)
        yield from (workers, restarts, memory)
        yield GaugeMetricFamily(
            "safelight_disk_free_bytes", "Free space for queue and history.", value=_free(health._store)
        )
        yield GaugeMetricFamily(
            "safelight_server_memory_bytes", "Resident memory of the server process.", value=_resident()
        )


def _free(store: JobStore) -> int:
    return store.free_bytes()


def _resident() -> int:
    import psutil

    resident: int = psutil.Process(os.getpid()).memory_info().rss
    return resident


_HEALTH = {
    "type": "object",
    "required": ["status", "problems"],
    "properties": {
        "status": {"enum": ["ok", "failing"]},
        "problems": {"type": "array", "items": {"type": "string"}},
        "version": {"type": "string"},
        "uptime_seconds": {"type": "number"},
        "queue": {"type": "object"},
        "workers": {"type": "array", "items": {"type": "object"}},
    },
}
