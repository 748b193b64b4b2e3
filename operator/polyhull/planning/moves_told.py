"""What is said of running jobs where the policy moves them: why each stays, and of those that move all there is."""

from collections.abc import Mapping
from dataclasses import replace

from polyhull.domain.decision import Assignment, Decision, RunningMove, Transfer
from polyhull.domain.snapshot import Snapshot
from polyhull.domain.units import format_bytes, format_seconds
from polyhull.domain.workloads import Key, Promise, checkpoint_key
from polyhull.optimize.columns import ColumnSet
from polyhull.optimize.movers import Stop
from polyhull.planning.instance import Choice, Instance

Asked = Mapping[Key, Stop | str]


def said(decision: Decision, before: Decision, snapshot: Snapshot, chosen: Mapping[Key, Stop]) -> Decision:
    """The plan with `chosen` stopped as the plan that stops them. `before`: the one in which they stay."""
    stayed = {one.job: one.end_seconds for one in before.assignments}
    carried = {one.data_set: one for one in decision.transfers}
    moves = tuple(
        _move(one, chosen[one.job], stayed[one.job] - one.end_seconds, carried.get(checkpoint_key(one.job)))
        for one in decision.assignments
        if one.job in chosen
    )
    why = {move.job: move.why for move in moves}
    count = f", {len(moves)} running job{'s' if len(moves) > 1 else ''} moved"
    solver = replace(
        decision.solver, status=decision.solver.status + count, steps=before.solver.steps + decision.solver.steps
    )

    def placed(one: Assignment) -> Assignment:
        if one.job not in chosen:
            return one
        told = replace(one.explanation, binds=f"{why[one.job]} {one.explanation.binds}")
        return replace(one, explanation=told, promise=_promise(one, chosen[one.job], snapshot.taken_at))

    return replace(decision, assignments=tuple(map(placed, decision.assignments)), moves=moves, solver=solver)


def _promise(one: Assignment, stop: Stop, now: float) -> Promise | None:
    if one.promise is None:
        return None
    return replace(one.promise, moved_at=now, left=(stop.resume.pool, stop.resume.option))


def _move(one: Assignment, stop: Stop, gain: float, carried: Transfer | None) -> RunningMove:
    resume, size = stop.resume, 0 if carried is None else carried.transfer_bytes
    sooner = f"{format_seconds(gain)} sooner"
    why = f"It is moved from {resume.pool} and ends {sooner}: {_price(size, carried, stop)}."
    return RunningMove(
        job=one.job,
        from_cluster=resume.cluster,
        from_pool=resume.pool,
        from_option=resume.option,
        to_cluster=one.cluster,
        to_pool=one.pool,
        to_option=one.option,
        checkpoint_bytes=size,
        work_done=resume.work_done,
        stores=resume.stores,
        lost_seconds=stop.lost_seconds,
        gain_seconds=gain,
        moves=resume.moves,
        why=why,
    )


def _price(size: int, carried: Transfer | None, stop: Stop) -> str:
    """What a move takes, in words."""
    again = f"up to {format_seconds(stop.lost_seconds)} of work is done again"
    if carried is None:
        return f"its checkpoint is read where it lies, {again}"
    over = f"over link {', '.join(carried.links)}" if carried.links else "inside its site"
    there = f"{format_seconds(carried.end_seconds)} from now"
    return f"its checkpoint of {format_bytes(size)} is there, {over}, {there}, {again}"


def told(
    decision: Decision,
    snapshot: Snapshot,
    asked: Asked,
    elsewhere: ColumnSet | None = None,
    beside: Instance | None = None,
) -> Decision:
    """With the reason why each running job stays.

    `elsewhere`: the columns with all of them stopped; `beside`: those that may move among the jobs that wait.
    """
    at = {} if beside is None else {job.key: j for j, job in enumerate(beside.jobs)}
    refused = () if elsewhere is None else elsewhere.inadmissible
    came_from = {job.key: job.resume.pool for job in snapshot.jobs if job.resume is not None}
    nearest = {one.job: one.message for one in refused if one.pool != came_from.get(one.job)}

    def why(one: Assignment) -> str:
        stop = asked[one.job]
        if isinstance(stop, str):
            return stop
        j = at.get(one.job)
        if beside is None or j is None:
            return f"there is nowhere else for it: {nearest.get(one.job, _none_but(came_from.get(one.job)))}"
        return _elsewhere(one, stop, beside, j, snapshot.policy.minimum_gain)

    def stays(one: Assignment) -> Assignment:
        if not one.fixed or one.job not in asked:
            return one
        return replace(one, explanation=replace(one.explanation, binds=f"It stays where it is: {why(one)}."))

    return replace(decision, assignments=tuple(map(stays, decision.assignments)))


def _none_but(came_from: str | None) -> str:
    return f"it came from {came_from} and does not go straight back" if came_from else "no other pool suits it"


def _elsewhere(one: Assignment, stop: Stop, beside: Instance, j: int, gain: float) -> str:
    """What the best other place would be, all else empty."""
    best: Choice = next(
        choice for choice in beside.choices[j] if choice.name != (stop.resume.pool, stop.resume.option)
    )
    later = best.soonest - one.end_seconds
    index = next((move for move in best.moves if beside.moves[move].data_set == checkpoint_key(one.job)), None)
    price = f"up to {format_seconds(stop.lost_seconds)} of work would be done again"
    if index is not None:
        way = min(beside.moves[index].ways, key=lambda way: way.seconds)
        links = [beside.link_names[link] for link in way.links]
        over = f"over link {', '.join(links)}" if links else "inside its site"
        size = format_bytes(way.route.transfer_bytes)
        price = f"checkpoint {size} {over}: {format_seconds(way.seconds)}; {price}"
    where = best.column.pool
    if later >= 0.0:
        return f"moving to {where} would end {format_seconds(later)} later ({price})"
    text = f"moving to {where} could end {format_seconds(-later)} sooner at best ({price})"
    return f"{text}, which does not make the plan better by minimumGain ({gain:.0%})"
