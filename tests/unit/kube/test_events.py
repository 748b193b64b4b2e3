"""Events: one per change, repeats counted, never in the way."""

from typing import Any

import pytest

from polyhull.kube.events import EventWriter, News, shortened
from polyhull.kube.resources import MEMBER_CLUSTERS, TRAINING_JOBS, Ref
from tests.unit.kube.small_api import SmallApi, once, run, status

JOB = Ref(TRAINING_JOBS, "team", "resnet")
NEWS = News(JOB, "u1", "Normal", "Released", "Release", "to edge-a/ascend-310p")


def events(api: SmallApi) -> list[dict[str, Any]]:
    return [obj for path, obj in sorted(api.objects.items()) if "/events/" in path]


def test_one_event_and_its_repeats() -> None:
    async def work() -> None:
        now = [0.0]
        async with SmallApi().serve() as api, api.client() as client:
            writer = EventWriter(client, "pod-1", now=lambda: 5.0, monotonic=lambda: now[0])
            writer.post(NEWS)
            await writer.flush()
            (event,) = events(api)
            assert event["regarding"] == {
                "apiVersion": "polyhull.io/v1alpha1",
                "kind": "TrainingJob",
                "name": "resnet",
                "namespace": "team",
                "uid": "u1",
            }
            assert event["reportingController"] == "polyhull.io/operator"
            assert event["eventTime"] == "1970-01-01T00:00:05.000000Z"
            for _ in range(9):
                writer.post(NEWS)
            await writer.flush()
            assert "series" not in events(api)[0]
            now[0] = 61.0
            writer.post(NEWS)
            await writer.flush()
            (event,) = events(api)
            assert event["series"]["count"] == 11
            assert client.counters.writes == 2

    run(work())


def test_a_repeat_of_an_event_that_ran_out_is_written_anew() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            writer = EventWriter(client, "pod-1", now=lambda: 5.0, quiet_seconds=0.0)
            writer.post(NEWS)
            await writer.flush()
            await api.remove(next(path for path in api.objects if "/events/" in path))
            writer.post(NEWS)
            await writer.flush()
            assert len(events(api)) == 1

    run(work())


def test_events_of_cluster_scoped_objects_are_in_default() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            writer = EventWriter(client, "pod-1", now=lambda: 5.0)
            writer.post(News(Ref(MEMBER_CLUSTERS, "", "edge"), "u", "Warning", "Unreachable", "Probe", "no answer"))
            await writer.flush()
            (event,) = events(api)
            assert event["metadata"]["namespace"] == "default"
            assert "namespace" not in event["regarding"]

    run(work())


def test_a_full_queue_drops_the_oldest_and_a_refusal_costs_one() -> None:
    async def work() -> None:
        async with SmallApi().serve() as api, api.client() as client:
            writer = EventWriter(client, "pod-1", now=lambda: 5.0, queue=2)
            for index in range(5):
                writer.post(News(JOB, "u1", "Normal", "Released", "Release", f"note {index}"))
            assert writer.dropped == 3
            api.faults += once(lambda: status(403, "Forbidden"))
            await writer.flush()
            assert writer.dropped == 4
            assert [event["note"] for event in events(api)] == ["note 4"]

    run(work())


@pytest.mark.parametrize("note", ["x" * 5000, "é" * 5000, "界" * 1000, "short", "x" * 1024, "é" * 512])
def test_notes_are_within_what_the_api_allows(note: str) -> None:
    cut = shortened(note)
    assert len(cut.encode()) <= 1024
    assert cut == note or (cut.endswith("…") and note.startswith(cut[:-1]))
