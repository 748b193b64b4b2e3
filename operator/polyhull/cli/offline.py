"""Plans without a cluster: files in, the same decision core as the operator's, a decision out."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import typer

from polyhull.api.files import highest_priority, snapshot_from_files, validate_files
from polyhull.api.results import parse_instant
from polyhull.cli import page
from polyhull.cli.guarded import within
from polyhull.cli.names import kind_and_name
from polyhull.controller.prover import Prover
from polyhull.domain.decision import Assignment, Decision, Help, ServicePlan, Unplaced
from polyhull.domain.errors import InvalidInput, SolverFailed
from polyhull.domain.snapshot import Snapshot
from polyhull.planning import decide as deciding
from polyhull.planning.helping import help_for
from polyhull.planning.helping import helped as all_helped
from polyhull.planning.report import helps as helps_document
from polyhull.planning.report import subject as placed_document
from polyhull.telemetry import record

Subject = Assignment | ServicePlan | Unplaced
INVALID = 2
_ENDED = "; the search "
"""Begins what a status says of a search that was ended (guarded.py)."""


@contextlib.contextmanager
def prover(*, enabled: bool) -> Iterator[Prover | None]:
    """CP-SAT, already importing while files are read; None when no proof is wanted."""
    if not enabled:
        yield None
        return
    with Prover(limit_seconds=120.0) as prove:
        prove.start()
        yield prove


def load(files: list[Path], steps: int | None = None, at: str | None = None) -> Snapshot:
    """The snapshot of the files, or every finding on standard error and exit code 2.

    `at`: the instant of the snapshot; without one, the beginning of time: nothing is late, what runs has just begun.
    """
    snapshot, findings = snapshot_from_files(files, now=_instant(at))
    if findings:
        refuse(findings)
    if steps is not None:
        solver = replace(snapshot.policy.solver, search_steps=steps)
        snapshot = replace(snapshot, policy=replace(snapshot.policy, solver=solver))
    return snapshot


def _instant(at: str | None) -> float:
    try:
        return 0.0 if at is None else parse_instant(at)
    except ValueError:
        refuse((InvalidInput("--at", "", f"{at!r} is no instant", "write one such as 2026-12-01T00:00:00Z"),))


def validate(files: list[Path]) -> int:
    """How many objects there are, all of them valid; else as `load`."""
    count, findings = validate_files(files)
    if findings:
        refuse(findings)
    return count


def decide(snapshot: Snapshot, prove: Prover | None) -> Decision:
    """The decision, with the wall time that only the shell may know.

    A solver that hangs or crashes is ended by `killSeconds` of the policy; then the plain plan is made without one.
    """
    began = time.perf_counter()
    limit = snapshot.policy.solver.kill_seconds
    try:
        decision, failure = within(limit, partial(_searched, snapshot, prove), _lent(prove))
    except SolverFailed as error:
        decision, failure = deciding.quick(snapshot), str(error)
    if prove is not None and not failure.startswith(_ENDED[2:]):
        prove.failure = failure
    seconds = time.perf_counter() - began
    status = f"{decision.solver.status}; {failure}" if failure else decision.solver.status
    return replace(decision, solver=replace(decision.solver, seconds=seconds, status=status))


def _searched(snapshot: Snapshot, prove: Prover | None) -> tuple[Decision, str]:
    """The decision, and why its prover failed."""
    decision = deciding.decide(snapshot, prove)
    return decision, prove.failure if prove is not None else ""


def _lent(prove: Prover | None) -> Callable[[], None]:
    return prove.lend if prove is not None else lambda: None


def bare(decision: Decision, prove: Prover | None) -> Decision:
    """As a record holds it: without what only the shell of one run knows, its seconds and why its prover failed."""
    failure = f"; {prove.failure}" if prove is not None and prove.failure else ""
    status = decision.solver.status.removesuffix(failure).partition(_ENDED)[0]
    return replace(decision, solver=replace(decision.solver, seconds=0.0, status=status))


def method(decision: Decision, *, proof: bool) -> record.Method:
    """How it was made, for who makes it again."""
    if _ENDED in decision.solver.status:
        return record.Method.INSERTED
    return record.Method.FULL if proof else record.Method.UNPROVED


def keep(path: Path, snapshot: Snapshot, decision: Decision, method: record.Method) -> None:
    """Write a record. Raises InvalidInput where it cannot be written."""
    try:
        record.save(path, record.dump(snapshot, decision, method)[0])
    except OSError as error:
        raise InvalidInput(
            str(path), "", f"cannot be written: {error}", "name a file in a folder that is there"
        ) from None


def report(path: Path, snapshot: Snapshot, decision: Decision, title: str) -> None:
    """The page, with what would help each job. Raises InvalidInput where it cannot be written."""
    page.write(path, snapshot, all_helped(snapshot, decision), title)


def inserted(snapshot: Snapshot) -> Decision:
    """The present plan with arrivals inserted, as the operator does between two full plans."""
    return deciding.quick(snapshot)


def find(decision: Decision, name: str, namespace: str) -> Subject:
    """The job or service that `kind/name` means. Raises InvalidInput."""
    exact, rest = kind_and_name(name)
    subjects: list[tuple[Any, Subject]] = [(item.job, item) for item in decision.assignments]
    subjects += [(plan.service, plan) for plan in decision.services]
    subjects += [(missing.job, missing) for missing in decision.unplaced]
    for key, item in subjects:
        if (key.kind, key.namespace, key.name) == (exact, namespace, rest):
            return item
    others = sorted({f"{key.namespace}/{key.name}" for key, _ in subjects if key.kind == exact})
    remedy = f"one of {', '.join(others[:8])}" if others else f"the files hold no {exact}"
    raise InvalidInput(f"{exact} {namespace}/{rest}", "", "is not in these files", remedy)


def helped(
    snapshot: Snapshot, decision: Decision, item: Subject, files: list[Path]
) -> tuple[Subject, tuple[Help, ...]]:
    """The subject with what would help it, and that by itself: one that is not placed cannot carry it."""
    if isinstance(item, ServicePlan):
        return item, ()
    allowed = highest_priority(files, item.job.namespace)
    helps = help_for(snapshot, decision, item, allowed)
    if isinstance(item, Assignment):
        return replace(item, explanation=replace(item.explanation, helps=helps)), helps
    return item, helps


def subject_document(item: Subject, decision: Decision, helps: tuple[Help, ...] = ()) -> dict[str, Any]:
    """`helps`: for one that is not placed."""
    found = placed_document(item, decision)
    return found | {"helps": helps_document(helps)} if isinstance(item, Unplaced) else found


def refuse(findings: tuple[InvalidInput, ...]) -> NoReturn:
    for finding in findings:
        typer.echo(str(finding), err=True)
    count = f"{len(findings)} findings" if len(findings) > 1 else "1 finding"
    typer.echo(f"error: {count}; nothing was planned", err=True)
    raise typer.Exit(INVALID)
