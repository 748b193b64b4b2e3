"""A running job is moved: whatever dies between which two writes, one of the old and the new child exists at most,
and the job goes on from its last checkpoint."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhull.api import convert, moves
from polyhull.api.conditions import Type, instant
from polyhull.api.observations import observation
from polyhull.controller import status, transfers
from polyhull.controller.approval import Approval, entries_of
from polyhull.controller.checkpoints import checkpoints
from polyhull.controller.children import Member
from polyhull.controller.hubjob import HubJob, State, Verdict
from polyhull.controller.jobs import judge
from polyhull.controller.observe import _planned
from polyhull.controller.renders import Renderer
from polyhull.controller.steps import Memory, _Steps
from polyhull.delivery.base import HUB, Action, Announce, Apply, Delete
from polyhull.delivery.memory import MemoryDelivery
from polyhull.domain.decision import Assignment, Decision, RunningMove, Transfer
from polyhull.domain.fleet import Cluster, Fleet, Storage, StorageKind
from polyhull.domain.snapshot import Mode, Policy, Snapshot
from polyhull.domain.workloads import ActiveTransfer, Copy, Key, TrainingJob, checkpoint_key
from polyhull.kube.resources import JOBS, PERSISTENT_VOLUME_CLAIMS, Ref, ref_of, uid_of
from polyhull.render import naming
from polyhull.render.keeping import CHECKPOINT, claim_name
from tests import builders as b

KEY = Key("team", "learn")
CARRIED = checkpoint_key(KEY)
NOW = b.NOW
VOLUME = Storage(StorageKind.VOLUME)


def bucket(site: str) -> Storage:
    return Storage(StorageKind.BUCKET, url=f"s3://{site}-bucket/polyhull", secret_name=f"{site}-s3")


def fleet(*clusters: Cluster) -> Fleet:
    pools = [b.pool("west", "k80"), b.pool(clusters[-1].name, "v100")]
    return b.fleet(pools, [b.link("west", "east")], clusters=clusters)


ACROSS = fleet(b.cluster("west", storage=bucket("west")), b.cluster("east", storage=bucket("east")))
INSIDE = fleet(b.cluster("west", storage=VOLUME))


def raw_job() -> dict[str, Any]:
    options = [
        {"name": kind, "accelerator": kind, "replicas": 1, "devicesPerReplica": 1, "rate": rate}
        for kind, rate in (("k80", "1"), ("v100", "10"))
    ]
    return {
        "apiVersion": "polyhull.io/v1alpha1",
        "kind": "TrainingJob",
        "metadata": {"name": "learn", "namespace": "team", "generation": 1, "creationTimestamp": instant(NOW)},
        "spec": {
            "work": {"quantity": "10000"}, "options": options, "checkpoint": {"size": "1Gi"},
            "template": {"image": "learn:1"},
        },
    }  # fmt: skip


def assigned(fleet: Fleet, kind: str, start: float, fixed: bool = False) -> Assignment:
    pool = next(pool for pool in fleet.pools if pool.accelerator == kind)
    return Assignment(
        KEY, pool.cluster, pool.site, pool.name, kind, kind, "GPU", 1, 1, ((pool.nodes[0].name, 1),), 1, start,
        start + 1000.0, fixed=fixed,
    )  # fmt: skip


@dataclass
class World:
    """Real steps against clusters that are dictionaries; a stand-in for the plan says what the core would say."""

    fleet: Fleet
    made: MemoryDelivery = field(default_factory=lambda: MemoryDelivery("west", "east"))
    now: float = NOW
    fenced: set[str] = field(default_factory=set)
    lingering: int = 0
    """Looks that a deleted Job stays visible for."""
    target: str = "v100"
    moves: int = 1
    """How often the plan moves it."""
    news: list[str] = field(default_factory=list)
    deleted: dict[Ref, tuple[str, dict[str, Any], int]] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    approval: Approval = field(default_factory=lambda: Approval(Policy()))
    busy: bool = False
    """Where it is to go there is no room yet."""
    endless: bool = False
    """What rclone does does not end."""

    def __post_init__(self) -> None:
        self.made.put(HUB, raw_job())

    @property
    def job(self) -> HubJob:
        (raw,) = self.made.clusters[HUB].values()
        return HubJob(raw, KEY)

    @property
    def value(self) -> TrainingJob:
        found = convert.training_job(self.job.raw, self.fleet.accelerators).value
        assert found is not None
        return found

    def members(self) -> dict[str, Member]:
        found = {}
        for cluster in self.fleet.clusters:
            name = cluster.name
            there = name not in self.made.down
            held = list(self.made.clusters[name].values()) if there else []
            held += [body for where, body, _ in self.deleted.values() if where == name and there]
            pods = [self.pod(body) for body in held if body["kind"] == "Job"]
            found[name] = Member(
                name, there, name in self.fenced, {self.job.uid: tuple(held)}, {self.job.uid: tuple(pods)}
            )
        return found

    def pod(self, job: dict[str, Any]) -> dict[str, Any]:
        state = {"running": {"startedAt": instant(self.now - 10)}}
        return {
            "metadata": {"name": "p", "uid": f"pod-{job['metadata']['uid']}", "labels": job["metadata"]["labels"],
                         "ownerReferences": [{"uid": job["metadata"]["uid"]}]},
            "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "containerStatuses": [{"state": state}]},
        }  # fmt: skip

    def workers(self) -> list[str]:
        """Clusters with a child that runs the job."""
        shown = [(name, body) for name in ("west", "east") for body in self.made.clusters[name].values()]
        shown += [(name, body) for name, body, _ in self.deleted.values()]
        return [name for name, body in shown if body["metadata"]["labels"].get(naming.COMPONENT) == "workers"]

    def copying(self, component: str = "transfer") -> list[dict[str, Any]]:
        held = [body for name in ("west", "east") for body in self.made.clusters[name].values()]
        return [body for body in held if body["metadata"]["labels"].get(naming.COMPONENT) == component]

    def plan(self, job: HubJob, state: State) -> Decision:
        """Until it runs on a k80 that is where it goes; then, and whenever it waits, to the target."""
        step, kind = moves.phase(job.status), self.target if job.move else "k80"
        if state is State.RELEASED and step in ("", moves.RESUMED) and int(job.move.get("moves") or 0) < self.moves:
            at, to = job.assignment, assigned(self.fleet, self.target, 30.0)
            store = next(one.store for one in self.fleet.clusters if one.name == at["cluster"])
            many = 1 + int(job.move.get("moves") or 0)
            moved = RunningMove(
                KEY, at["cluster"], at["pool"], at["option"], to.cluster, to.pool, to.option, 2**30, 400.0,
                (Copy(store, at["site"]),), 60.0, 900.0, many, "it is faster",
            )  # fmt: skip
            return Decision(self.now, (to,), moves=(moved,))
        to = assigned(self.fleet, kind, 0.0, fixed=state is State.RELEASED)
        store = next(one.store for one in self.fleet.clusters if one.name == to.cluster)
        if step == moves.CARRYING and all(one["store"] != store for one in job.move["stores"]):
            source = job.move["stores"][0]["site"]
            copy = Transfer(CARRIED, source, "", to.site, store, to.cluster, ("west->east",), 2**30, 1e8, 0.0, 11.0)
            active = any(one["store"] == store for one in job.move.get("transfers") or ())
            to = replace(to, start_seconds=11.0, data=((CARRIED, store),))
            return Decision(self.now, (to,), (replace(copy, active=active),))
        return Decision(self.now, (replace(to, start_seconds=60.0 if self.busy else 0.0),))

    def wanted(self) -> tuple[Action, ...]:
        """The step that goes out now: the first one of the job's, as the outbox has it."""
        job, members = self.job, self.members()
        verdict = judge(job, members, self.now)
        active: dict[Key, tuple[ActiveTransfer, ...]] = {CARRIED: convert.carried_checkpoints(job.raw)}
        held = checkpoints([job])
        view: Any = SimpleNamespace(
            now=self.now, members=members, jobs=(job,), data_sets=held, transfers=active, objects=()
        )
        moving = {key: transfers.judge(one, active[key], members, self.now) for key, one in held.items()}
        build = _Steps(view, Snapshot(self.now, self.fleet), self.memory, Renderer(self.fleet, held))
        build.approval = self.approval
        build.follow(job, verdict)
        for key, one in moving.items():
            build.copies(key, one)
        build.decided(self.plan(job, verdict.state), {KEY: job}, {KEY: verdict}, moving)
        return next((step.actions for step in (*build.urgent, *build.told)), ())

    def cycle(self, most: int | None = None) -> int:
        """One look and one step, of which at most so many actions go through. Gives how many it has."""
        actions = self.wanted()
        for action in actions[:most]:
            if isinstance(action, Delete) and self.lingering:
                held = self.made.get(action.cluster, action.ref)
                if held is not None:
                    held["metadata"]["deletionTimestamp"] = instant(self.now)
                    self.deleted[action.ref] = (action.cluster, held, self.lingering)
            if isinstance(action, Announce):
                self.news.append(action.reason)
            asyncio.run(self.made.deliver([action]))
        assert len(self.workers()) <= 1, self.workers()
        self.now += 1.0
        for ref, (where, body, left) in list(self.deleted.items()):
            self.deleted[ref] = (where, body, left - 1)
            if left <= 1:
                del self.deleted[ref]
        for body in () if self.endless else (*self.copying(), *self.copying("purge")):  # each takes one look
            done = {"type": "Complete", "status": "True"}
            body["status"] = {"conditions": [done], "completionTime": instant(self.now)}
        return len(actions)

    def run(self, until: Callable[[], bool], looks: int = 40) -> list[int]:
        sizes = []
        for _ in range(looks):
            if until():
                return sizes
            sizes.append(self.cycle())
        raise AssertionError(f"not after {looks} looks: {self.job.status}")

    def resumed(self) -> bool:
        """It runs again, and everything was said and cleared."""
        settled = moves.phase(self.job.status) == moves.RESUMED and not self.copying()
        return settled and self.job.status.get("startTime") is not None


def end_of_move(world: World) -> None:
    move, cluster = world.job.move, assigned(world.fleet, "v100", 0.0).cluster
    assert world.workers() == [cluster]
    assert (move["workDone"], move["toCluster"], move["moves"]) == ("400", cluster, 1)
    assert [one["store"] for one in move["stores"]] == [move["toStore"]], "only what it saves there counts now"
    assert "transfers" not in move
    assert world.job.assignment["pool"] == f"{cluster}/v100"


@pytest.mark.parametrize("of", [ACROSS, INSIDE], ids=["across", "inside"])
@pytest.mark.parametrize("lingering", [0, 3])
def test_it_stops_is_carried_and_goes_on(of: Fleet, lingering: int) -> None:
    world = World(of, lingering=lingering)
    world.run(world.resumed)
    end_of_move(world)
    assert world.news.count("Moved") == 1
    ran = [one.cluster for one in world.made.log if isinstance(one, Apply) and one.manifest["kind"] == "Job"]
    assert ran == (["west", "east", "east"] if of is ACROSS else ["west", "west"])


@pytest.mark.parametrize("of", [ACROSS, INSIDE], ids=["across", "inside"])
def test_killed_between_any_two_writes_it_finds_its_way(of: Fleet) -> None:
    first = World(of)
    sizes = first.run(first.resumed)
    cuts = [(step, most) for step, size in enumerate(sizes) for most in range(size)]
    assert len(cuts) > 15
    for step, most in cuts:
        world = World(of)
        for _ in range(step):
            world.cycle()
        world.cycle(most)
        world.memory = Memory()  # whoever comes next remembers nothing
        world.run(world.resumed)
        end_of_move(world)


def test_its_claims_stay_while_it_is_moved_inside_its_cluster() -> None:
    world = World(INSIDE)
    claim = Ref(PERSISTENT_VOLUME_CLAIMS, "team", claim_name(naming.Owner.of(KEY, world.job.uid), CHECKPOINT))
    world.run(lambda: bool(world.job.move))
    uid = (world.made.get("west", claim) or {})["metadata"]["uid"]
    world.run(lambda: moves.phase(world.job.status) == moves.CARRYING)
    world.busy = True
    for _ in range(4):
        world.cycle()
    assert moves.phase(world.job.status) == moves.CARRYING, "it waits for its turn"
    world.busy = False
    world.run(world.resumed)
    assert (world.made.get("west", claim) or {})["metadata"]["uid"] == uid


def test_the_checkpoint_goes_from_bucket_to_bucket_where_the_pods_look_for_it() -> None:
    world = World(ACROSS)

    def pod_url(cluster: str) -> str:
        (body,) = (
            body
            for body in world.made.clusters[cluster].values()
            if body["metadata"]["labels"][naming.COMPONENT] == "workers"
        )
        (container,) = body["spec"]["template"]["spec"]["containers"]
        return str({one["name"]: one.get("value") for one in container["env"]}["POLYHULL_CHECKPOINT_URL"])

    world.run(lambda: bool(world.workers()))
    before = pod_url("west")
    world.run(lambda: bool(world.copying()))
    (copying,) = world.copying()
    (container,) = copying["spec"]["template"]["spec"]["containers"]
    source, target = (text.split(":", 1)[1] for text in container["args"][1:3])
    assert {one["secretRef"]["name"] for one in container["envFrom"]} == {"west-s3", "east-s3"}
    assert copying in world.made.clusters["east"].values(), "it runs where it lands"
    world.run(world.resumed)
    assert (f"s3://{source}", f"s3://{target}") == (before, pod_url("east"))


def test_while_it_is_stopped_the_plan_has_it_waiting_and_its_devices_held() -> None:
    world = World(INSIDE, lingering=90)
    world.run(lambda: world.job.stopping)

    def planned() -> TrainingJob:
        found = _planned(world.value, judge(world.job, world.members(), world.now), {}, world.now)
        assert found is not None
        return found

    stopping = planned()
    assert stopping.placed is None
    assert stopping.resume is not None
    assert stopping.resume.nodes == (("n", 1),)
    assert stopping.resume.free_at == stopping.resume.stopped_at + 30.0
    world.now += 50
    later = planned().resume
    assert later is not None
    assert later.free_at == later.stopped_at + 60.0, "pods that outstay their grace are waited for longer and longer"
    world.made.down.add("west")
    silent = planned()
    assert silent.placed is not None
    assert silent.placed.uncertain, "nobody knows whether it runs there still"


ASKS = Policy(mode=Mode.RECOMMEND)


def test_where_plans_ask_for_approval_nobody_is_stopped_before_it_is_given() -> None:
    world = World(ACROSS)
    world.run(lambda: bool(world.job.status.get("startTime")))
    world.approval = Approval(ASKS)
    for _ in range(3):
        world.cycle()
    assert not world.job.move
    planned = world.plan(world.job, State.RELEASED)
    world.approval = Approval(ASKS, entries_of(planned))
    world.cycle()
    assert world.job.stopping
    elsewhere = Approval(ASKS, entries_of(replace(planned, assignments=(assigned(ACROSS, "k80", 0.0),))))
    other = World(ACROSS)
    other.run(lambda: bool(other.job.status.get("startTime")))
    other.approval = elsewhere
    other.cycle()
    assert not other.job.move, "what was approved is another plan"


def test_what_it_says_while_it_is_carried() -> None:
    world = World(ACROSS, endless=True)
    world.run(lambda: "on its way" in status.message(world.job.raw, Type.DATA_READY))
    assert "its checkpoint is on its way to east" in status.message(world.job.raw, Type.DATA_READY)
    assert status.reason(world.job.raw, Type.PLACED) == "Moving"
    assert "goes on in pool east/v100" in status.message(world.job.raw, Type.PLACED)
    told = world.job.status
    assert "data" not in told["assignment"], "its checkpoint is no data set that it names"
    assert "transfers" not in told
    assert [one["store"] for one in told["move"]["transfers"]] == ["site:east"]


def test_a_member_that_falls_silent_while_it_is_stopped_is_waited_for() -> None:
    world = World(ACROSS)
    world.run(lambda: world.job.stopping)
    world.made.down.add("west")
    for _ in range(5):
        world.cycle()
    assert world.job.released
    assert world.made.clusters["east"] == {}
    world.made.down.clear()
    world.run(world.resumed)
    end_of_move(world)


@pytest.mark.parametrize(("of", "keeps"), [(ACROSS, "400"), (INSIDE, None)], ids=["bucket", "claim"])
def test_a_member_that_is_fenced_takes_its_claims_along_but_no_bucket(of: Fleet, keeps: str | None) -> None:
    world = World(of)
    world.run(lambda: world.job.stopping)
    world.fenced.add("west")
    west = replace(of.clusters[-1], fenced=True) if of is ACROSS else replace(of.clusters[0], fenced=True)
    world.fleet = replace(of, clusters=tuple(west if one.name == west.name else one for one in of.clusters))
    world.run(lambda: not world.job.released)
    for _ in range(3):
        world.cycle()
    assert world.job.move.get("workDone") == keeps
    assert ("CheckpointLost" in world.news) == (keeps is None)


def test_refused_where_it_was_to_go_it_may_go_on_where_it_was() -> None:
    world = World(ACROSS)
    world.run(lambda: moves.phase(world.job.status) == moves.RESUMING)
    refused = Verdict(State.RELEASED)
    while refused.state is not State.WITHDRAWING:  # the member never takes it
        (job,) = (ref for ref, body in world.made.clusters["east"].items() if ref.resource == JOBS)
        del world.made.clusters["east"][job]
        world.job.raw["status"]["conditions"] = [
            {"type": "Placed", "status": "False", "reason": "Refused", "message": "no", "lastTransitionTime": ""}
        ]
        refused = judge(world.job, world.members(), world.now)
    world.target = "k80"
    world.cycle()
    assert moves.phase(world.job.status) == moves.CARRYING
    world.run(world.resumed)
    assert (world.workers(), world.job.move["workDone"]) == (["west"], "400")
    assert world.job.move["moves"] == 1


def test_suspended_while_it_is_carried_it_waits_and_goes_on_from_there() -> None:
    world = World(ACROSS)
    world.run(lambda: moves.phase(world.job.status) == moves.CARRYING)
    world.job.raw["spec"]["suspend"] = True
    for _ in range(6):
        world.cycle()
    assert world.workers() == []
    assert world.job.move["workDone"] == "400"
    world.job.raw["spec"]["suspend"] = False
    world.run(world.resumed)
    end_of_move(world)


@pytest.mark.parametrize("step", [moves.STOPPING, moves.CARRYING, "transfer", moves.RESUMING])
def test_deleted_at_any_step_it_leaves_nothing(step: str) -> None:
    world = World(ACROSS)
    reached = {"transfer": lambda: bool(world.copying())}
    world.run(reached.get(step, lambda: moves.phase(world.job.status) == step))
    world.job.raw["metadata"]["deletionTimestamp"] = instant(world.now)
    for _ in range(10):
        if not world.made.clusters[HUB]:
            break
        world.cycle()
    assert not any(world.made.clusters.values())


def test_a_job_that_ends_before_it_is_stopped_has_ended() -> None:
    world = World(ACROSS, lingering=5)
    world.run(lambda: world.job.stopping)
    (done,) = world.made.clusters["west"].values() if world.made.clusters["west"] else [
        body for _, body, _ in world.deleted.values()
    ]  # fmt: skip
    done["status"] = {"conditions": [{"type": "Complete", "status": "True"}], "completionTime": instant(world.now)}
    world.cycle()
    assert world.job.ended
    assert observation(world.job.raw) is None, "what it did before and since nobody told apart"


def test_a_transfer_that_fails_is_tried_again_after_a_while() -> None:
    world = World(ACROSS)
    world.run(lambda: bool(world.copying()))
    (copying,) = world.copying()
    copying["status"] = {"conditions": [{"type": "Failed", "status": "True", "message": "no route"}]}
    world.run(lambda: "TransferFailed" in world.news)
    for _ in range(3):
        world.cycle()
    assert world.copying() == []
    assert "transfers" not in world.job.move
    world.now += transfers.RETRY_SECONDS
    world.run(world.resumed)
    end_of_move(world)


def test_it_may_move_again_and_never_loses_what_it_did() -> None:
    world = World(ACROSS)
    world.run(world.resumed)
    world.moves, world.target = 2, "k80"
    world.run(lambda: world.job.move["moves"] == 2 and world.resumed())
    assert world.workers() == ["west"]
    assert (world.job.move["fromPool"], world.job.move["toPool"]) == ("east/v100", "west/k80")


def test_withdrawn_after_it_ran_again_it_waits_with_what_is_there() -> None:
    world = World(ACROSS)
    world.run(world.resumed)
    world.job.raw["status"]["conditions"] = [
        {"type": "Placed", "status": "False", "reason": "Withdrawn", "message": "m", "lastTransitionTime": ""}
    ]
    world.run(lambda: not world.job.released)
    move = world.job.move
    assert (move["phase"], move["fromCluster"], move["workDone"]) == (moves.CARRYING, "east", "400")
    assert [one["store"] for one in move["stores"]] == ["site:east"]


def test_what_it_does_after_a_move_is_an_observation_of_its_own_part() -> None:
    world = World(ACROSS)
    raw = world.job.raw
    for option in raw["spec"]["options"]:
        option["rateEvidence"] = "Assumed" if option["name"] == "v100" else "Measured"
    world.run(world.resumed)
    told = observation(world.job.raw)
    assert told is not None
    assert (told.work_quantity, told.pool) == (9600.0, "east/v100")
    for option in world.job.raw["spec"]["options"]:
        option["rateEvidence"] = "Assumed"
    assert observation(world.job.raw) is None, "nor did anybody measure what was left when it began there"


def test_what_it_left_in_a_bucket_goes_once_it_runs_elsewhere_and_is_not_in_the_way_of_a_later_move() -> None:
    world = World(ACROSS)
    world.run(world.resumed)
    world.endless = True
    world.run(lambda: bool(world.copying("purge")))
    (removing,) = world.copying("purge")
    assert removing in world.made.clusters["west"].values()
    assert "west-bucket" in str(removing["spec"]["template"]["spec"]["containers"][0]["args"])
    world.moves, world.target = 2, "k80"
    for _ in range(3):
        world.cycle()
    assert world.job.move["moves"] == 1, "it is not stopped while that goes on"
    world.job.raw["status"]["move"] = {**world.job.move, "phase": moves.CARRYING, "transfers": []}
    (held,) = checkpoints([world.job]).values()
    assert held.closed(world.members(), world.now), "nor is anything carried to where it is being removed"
    world.endless, removing["status"] = False, {"conditions": [{"type": "Complete", "status": "True"}]}
    assert not held.closed(world.members(), world.now)
    world.job.raw["status"]["move"] = {**world.job.move, "phase": moves.RESUMED}
    world.run(lambda: world.job.move["moves"] == 2 and world.resumed())
    assert world.workers() == ["west"]


EVENTS = st.sampled_from(
    ["look", "killed", "down", "up", "suspend", "go on", "busy", "room", "withdrawn", "lost transfer"]
)


@settings(max_examples=40, deadline=None)
@given(inside=st.booleans(), lingering=st.integers(0, 3), events=st.lists(EVENTS, max_size=25))
def test_whatever_happens_one_child_at_most_exists_and_in_the_end_it_goes_on(
    inside: bool, lingering: int, events: list[str]
) -> None:
    """`cycle` looks that there is never a second child; nobody is fenced, so the checkpoint is never lost."""
    world, claims = World(INSIDE if inside else ACROSS, lingering=lingering), set[str]()
    for event in events:
        match event:
            case "down":
                world.made.down.add("west")
            case "up":
                world.made.down.clear()
            case "suspend" | "go on":
                world.job.raw["spec"]["suspend"] = event == "suspend"
            case "busy" | "room":
                world.busy = event == "busy"
            case "withdrawn" if world.job.released:
                said = {"type": "Placed", "status": "False", "reason": "Withdrawn", "message": "m"}
                world.job.raw["status"]["conditions"] = [{**said, "lastTransitionTime": instant(world.now)}]
            case "lost transfer":
                for body in world.copying():
                    del world.made.clusters["east"][ref_of(body)]
        before = world.job.move.get("workDone")
        world.cycle(1 if event == "killed" else None)
        world.memory = Memory() if event == "killed" else world.memory
        assert before is None or world.job.move["workDone"] == before
        claims |= {
            uid_of(one) for one in world.made.clusters["west"].values() if one["kind"] == "PersistentVolumeClaim"
        }
    assert len(claims) <= 1, "what it saved is there still"
    world.busy = False
    world.made.down.clear()
    world.job.raw["spec"]["suspend"] = False
    world.run(world.resumed, 80)
    end_of_move(world)
