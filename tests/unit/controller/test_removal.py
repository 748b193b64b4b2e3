"""What is deleted by name when an owner goes, and what follows by itself."""

from typing import Any

from polyhull.controller.removal import roots


def body(kind: str, uid: str, *owners: str) -> dict[str, Any]:
    references = [{"uid": owner} for owner in owners]
    return {"kind": kind, "metadata": {"name": uid, "uid": uid, "ownerReferences": references}}


def test_what_a_child_owns_follows_by_garbage_collection() -> None:
    job, service = body("Job", "j"), body("Service", "s", "j")
    assert roots([service, job]) == [job]


def test_a_copy_s_job_is_deleted_beside_its_claim_which_its_pods_hold() -> None:
    claim, job = body("PersistentVolumeClaim", "c"), body("Job", "j", "c")
    assert roots([claim, job]) == [claim, job]


def test_an_owner_that_is_not_ours_deletes_nothing_for_us() -> None:
    service = body("Service", "s", "somebody")
    assert roots([service]) == [service]
