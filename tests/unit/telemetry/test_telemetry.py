"""What the operator says about itself: served, bounded, replayable, one JSON object a line."""

import json
import logging
import urllib.error
import urllib.request
from pathlib import Path

from polyhull.domain.decision import Decision
from polyhull.domain.fleet import Cluster, Fleet, Site
from polyhull.domain.snapshot import Snapshot
from polyhull.telemetry.logs import JsonFormatter
from polyhull.telemetry.metrics import Metrics
from polyhull.telemetry.record import Ring
from polyhull.telemetry.server import TelemetryServer


def snapshot(at: float) -> Snapshot:
    fleet = Fleet((Site("a"),), (), (Cluster("a", "a", accepts=frozenset({"team"})),))
    return Snapshot(at, fleet)


def test_metrics_and_health_are_served() -> None:
    metrics, problem = Metrics(), [""]
    metrics.cycles.labels("ok").inc()
    server = TelemetryServer(metrics.registry, lambda: problem[0], lambda: "", 0, "127.0.0.1")
    server.start()
    try:

        def read(path: str) -> tuple[int, str]:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.read().decode()

        assert 'polyhull_cycles_total{result="ok"} 1.0' in read("/metrics")[1]
        assert read("/healthz") == (200, "ok\n")
        problem[0] = "deaf"
        assert read("/healthz") == (503, "deaf\n")
        assert read("/readyz")[0] == 200
        assert read("/secrets")[0] == 404
    finally:
        server.close()


def test_no_metric_is_labelled_by_object() -> None:
    names = {label for metric in vars(Metrics()).values() for label in getattr(metric, "_labelnames", ())}
    assert names <= {"result", "kind", "state", "reason", "action", "outcome", "cluster", "where"}


def test_the_ring_is_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    ring = Ring(tmp_path, limit=3)
    names = [ring.write(snapshot(float(at)), Decision(float(at)))[0] for at in range(5)]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[2:])
    assert ring.size_bytes() > 0
    tiny = Ring(tmp_path, limit_bytes=1)
    last = tiny.write(snapshot(9.0), Decision(9.0))[0]
    assert [path.name for path in tmp_path.iterdir()] == [last]


def test_a_log_line_is_one_json_object_with_what_was_given() -> None:
    entry = logging.LogRecord("polyhull.x", logging.INFO, "f", 1, "moved %s", ("a",), None)
    entry.port = 7
    line = json.loads(JsonFormatter().format(entry))
    assert (line["level"], line["message"], line["port"]) == ("info", "moved a", 7)
