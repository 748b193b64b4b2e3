"""Records: exact both ways, safe to open, and clear about what is wrong with one."""

import gzip
import json
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from math import inf, isnan, nan
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Decision
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Cluster, Fleet, Link, Site, Storage, StorageKind
from polyhull.domain.snapshot import Policy, Snapshot
from polyhull.domain.workloads import Key
from polyhull.planning.decide import decide
from polyhull.telemetry import record
from polyhull.telemetry.record import Method
from polyhull.telemetry.values import Unreadable, build, canonical, plain
from tests.builders import fleet, growth, job, option, pool, random_snapshot, service, snapshot

SMALL = Snapshot(1.0, Fleet((Site("a"),), (), (Cluster("a", "a", accepts=frozenset({"team", "b"})),)))


def changed(packed: bytes, change: Callable[[list[Any]], None], keep_hashes: bool = False) -> bytes:
    """A record with its lines changed, and its hashes made to fit unless they are to be kept."""
    import hashlib

    lines = [json.loads(line) for line in gzip.decompress(packed).splitlines()]
    change(lines)
    texts = [json.dumps(line, sort_keys=True, separators=(",", ":")).encode() for line in lines]
    if not keep_hashes:
        lines[0]["sha256"] = [hashlib.sha256(text).hexdigest() for text in texts[1:]]
        texts[0] = json.dumps(lines[0], sort_keys=True, separators=(",", ":")).encode()
    return gzip.compress(b"\n".join(texts) + b"\n")


def problem(packed: bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        record.load(packed, "some.file")
    assert str(caught.value).startswith("some.file: ")
    return str(caught.value)


@pytest.mark.parametrize("seed", range(4))
def test_input_and_answer_come_back_equal_and_so_do_the_bytes(seed: int) -> None:
    case = random_snapshot(seed, 12, 5, 3)
    answer = decide(case)
    packed, digest = record.dump(case, answer, Method.FULL)
    back = record.load(packed, "x")
    assert (back.snapshot, back.decision, back.method, back.digest) == (case, answer, Method.FULL, digest)
    assert record.dump(back.snapshot, back.decision, back.method) == (packed, digest)


def test_every_kind_of_thing_in_a_snapshot_comes_back() -> None:
    where = fleet([pool("a", "v100", 1, growth=growth(2)), pool("b", "cpu", 1)])
    storage = Storage(StorageKind.BUCKET, url="s3://x", capacity_bytes=10**18)
    where = replace(where, clusters=tuple(replace(one, storage=storage) for one in where.clusters))
    jobs = [job("ü\u2028\ud800", [option("v100", None)], deadline_at=inf, site_selector=_selector())]
    case = snapshot(where, jobs, services=[service("s", [("a", 3.0)], [])])
    back = record.load(record.dump(case, Decision(1.0), Method.INSERTED)[0], "x")
    assert back.snapshot == case
    assert back.method is Method.INSERTED


def _selector() -> Any:
    from polyhull.domain.labels import Requirement, Selector

    return Selector((("a", "b"),), (Requirement("k", "In", ("v", "w")),))


@given(st.floats())
def test_floats_keep_every_bit(value: float) -> None:
    made = build(Link, json.loads(canonical(Link("n", "a", "b", value))))
    again = made.bandwidth_bits_per_second
    assert (isnan(value) and isnan(again)) or (again == value and str(again) == str(value))


def test_whole_numbers_stay_whole_and_sets_are_sorted() -> None:
    assert canonical(Link("n", "a", "b", 5)) != canonical(Link("n", "a", "b", 5.0))
    assert plain(frozenset({"b", "a"})) == ["a", "b"]
    assert [plain(value) for value in (inf, -inf, nan)] == ["inf", "-inf", "nan"]


def test_what_no_snapshot_holds_is_refused() -> None:
    for odd in ([1], {"a": 1}, object(), b"x"):
        with pytest.raises(TypeError, match="no value of"):
            plain(odd)


def test_every_field_of_both_can_be_read() -> None:
    """A new field of a type that cannot be read must not be found out by a failing replay."""
    seen: set[type] = set()

    def visit(kind: Any) -> None:
        for argument in get_args(kind):
            visit(argument)
        if is_dataclass(kind) and isinstance(kind, type) and kind not in seen:
            seen.add(kind)
            hints = get_type_hints(kind)
            for one in fields(kind):
                visit(hints[one.name])

    visit(Snapshot)
    visit(Decision)
    assert len(seen) > 25
    for kind in seen:
        with pytest.raises(Unreadable):
            build(kind, {"no such field": 1})


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"namespace": "a"}, "name is missing"),
        ({"namespace": "a", "name": 1}, "name is no str"),
        ({"namespace": "a", "name": "b", "colour": 1}, "colour is no field of Key"),
        ([], "it is no Key"),
    ],
)
def test_a_wrong_value_names_its_field(value: Any, says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        build(Key, value)


def test_a_deep_field_is_named_by_its_path() -> None:
    packed = record.dump(SMALL, Decision(1.0), Method.FULL)[0]

    def change(lines: list[Any]) -> None:
        lines[1]["fleet"]["clusters"][0]["connected"] = "yes"

    assert "snapshot.fleet.clusters[0].connected: is no bool" in problem(changed(packed, change))


def test_a_field_of_a_later_version_is_named_with_that_version() -> None:
    packed = record.dump(SMALL, Decision(1.0), Method.FULL)[0]

    def change(lines: list[Any]) -> None:
        lines[0]["program"] = "9.1.0"
        lines[1]["weather"] = "fair"

    text = problem(changed(packed, change))
    assert "snapshot.weather" in text
    assert "Polyhull 9.1.0" in text


def test_a_field_that_came_later_has_its_default() -> None:
    packed = record.dump(SMALL, Decision(1.0), Method.FULL)[0]
    back = record.load(changed(packed, lambda lines: lines[1]["policy"].pop("minimum_gain")), "x")
    assert back.snapshot.policy == Policy()


def test_damage_and_strangers_are_told_apart() -> None:
    packed = record.dump(SMALL, Decision(1.0), Method.FULL)[0]
    assert "damaged: it is cut short" in problem(packed[:-9])
    assert "damaged" in problem(packed + b"x")
    assert "not gzip" in problem(b"hello")
    assert "cut short" in problem(b"")
    assert "no record of a decision" in problem(gzip.compress(b'{"format": "other"}\n'))
    assert "no record of a decision" in problem(gzip.compress(b"[" * 100_000))
    assert "version 7 of the format" in problem(changed(packed, lambda lines: lines[0].update(version=7)))
    assert "no way to decide" in problem(changed(packed, lambda lines: lines[0].update(method="Guessed")))
    assert "hashes" in problem(changed(packed, lambda lines: lines[2].update(makespan_seconds=9.0), keep_hashes=True))


def test_nobody_s_pickle_is_opened() -> None:
    assert "no record of a decision" in problem(gzip.compress(pickle.dumps((Path("/"), 1))))


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MOST_BYTES", 1000)
    assert "holds more than 1000 bytes" in problem(gzip.compress(b"0" * 1_000_000))
    with pytest.raises(record.TooLarge):
        record.dump(random_snapshot(1), Decision(1.0), Method.FULL)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        record.read(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        record.read(tmp_path)
