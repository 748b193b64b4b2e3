"""A transfer is one rclone call at exactly the planned rate, from the planned source into the cluster's store."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyhull.domain.decision import Transfer
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import Storage, StorageKind, Toleration
from polyhull.domain.workloads import Key
from polyhull.render import naming, transfer
from polyhull.render.naming import Owner
from polyhull.render.transfer import Copying
from tests.unit.render.render_values import keys_of

OWNER = Owner("DataSet", "team-a", "imagenet", "d-1")
PLANNED = Transfer(
    data_set=Key("team-a", "imagenet", "DataSet"),
    source_site="edge-a",
    source_url="s3://edge-bucket/imagenet",
    target_site="cloud-b",
    store="cluster:cloud-b",
    cluster="cloud-b",
    links=("edge-a-to-metro", "metro-to-cloud-b"),
    transfer_bytes=150_000_000_000,
    rate_bytes_per_second=112_500_000.9,
    start_seconds=0.0,
    end_seconds=1333.3,
)
VOLUME = Storage(StorageKind.VOLUME, storage_class_name="shared")
BUCKET = Storage(StorageKind.BUCKET, url="s3://cloud-bucket/polyhull/", secret_name="cloud-s3")
TO_VOLUME = Copying(OWNER, PLANNED, VOLUME, source_secret="edge-s3", plan_hash="ab12")
TO_BUCKET = replace(TO_VOLUME, storage=BUCKET, transfer=replace(PLANNED, store="site:cloud-b"))


def container(copying: Copying) -> Any:
    (only,) = transfer.job(copying)["spec"]["template"]["spec"]["containers"]
    return only


def variables(copying: Copying) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(copying)["env"] if "value" in entry}


@given(st.floats(0.001, 1e12))
def test_the_limit_is_whole_bytes_and_never_above_the_plan(rate: float) -> None:
    (limit,) = [word for word in transfer.arguments("a", "b", rate) if word.startswith("--bwlimit=")]
    number, suffix = limit.removeprefix("--bwlimit=")[:-1], limit[-1]
    assert suffix == "B"
    assert int(number) <= max(1.0, rate)
    assert rate - int(number) < 1


def test_the_call_names_source_and_target() -> None:
    assert container(TO_VOLUME)["args"][:4] == [
        "copy",
        "source:edge-bucket/imagenet",
        "/target/data",
        "--bwlimit=112500000B",
    ]
    folder = f"team-a/{naming.child_name(OWNER)}"
    assert container(TO_BUCKET)["args"][2] == f"target:cloud-bucket/polyhull/{folder}"


def test_source_and_target_are_remotes_with_credentials_of_their_own() -> None:
    entries = {entry["name"]: entry for entry in container(TO_BUCKET)["env"]}
    for side, secret in (("SOURCE", "edge-s3"), ("TARGET", "cloud-s3")):
        assert entries[f"RCLONE_CONFIG_{side}_TYPE"]["value"] == "s3"
        reference = entries[f"RCLONE_CONFIG_{side}_ACCESS_KEY_ID"]["valueFrom"]["secretKeyRef"]
        assert reference == {"name": secret, "key": "AWS_ACCESS_KEY_ID", "optional": True}
    assert container(TO_BUCKET)["envFrom"] == [
        {"prefix": "RCLONE_CONFIG_SOURCE_", "secretRef": {"name": "edge-s3"}},
        {"prefix": "RCLONE_CONFIG_TARGET_", "secretRef": {"name": "cloud-s3"}},
    ]


def test_two_s3_remotes_give_every_variable_once() -> None:
    names = [entry["name"] for entry in container(TO_BUCKET)["env"]]
    assert len(names) == len(set(names))
    assert "RCLONE_S3_PROVIDER" in names


def test_a_public_source_needs_no_secret() -> None:
    copying = replace(TO_VOLUME, source_secret="")
    assert "envFrom" not in container(copying)
    assert not any("valueFrom" in entry for entry in container(copying)["env"])


@pytest.mark.parametrize(
    ("url", "path", "expected"),
    [
        ("gs://bucket/a", "source:bucket/a", {"RCLONE_CONFIG_SOURCE_TYPE": "google cloud storage"}),
        ("az://box/a/", "source:box/a", {"RCLONE_CONFIG_SOURCE_TYPE": "azureblob"}),
        ("https://data.example/sets/a/", "source:sets/a", {"RCLONE_CONFIG_SOURCE_URL": "https://data.example/"}),
        ("http://data.example", "source:", {"RCLONE_CONFIG_SOURCE_URL": "http://data.example/"}),
    ],
)
def test_other_addresses(url: str, path: str, expected: dict[str, str]) -> None:
    copying = replace(TO_VOLUME, transfer=replace(PLANNED, source_url=url))
    assert container(copying)["args"][1] == path
    assert expected.items() <= variables(copying).items()


def test_a_claim_as_source_is_mounted_read_only() -> None:
    copying = replace(TO_VOLUME, source_secret="", transfer=replace(PLANNED, source_url="pvc://shared/imagenet"))
    spec = transfer.job(copying)["spec"]["template"]["spec"]
    assert container(copying)["args"][1:3] == ["/source/imagenet", "/target/data"]
    assert spec["volumes"][0] == {
        "name": "source",
        "persistentVolumeClaim": {"claimName": "shared", "readOnly": True},
    }
    assert container(copying)["volumeMounts"][0] == {"name": "source", "mountPath": "/source", "readOnly": True}


@pytest.mark.parametrize("url", ["ftp://x/y", "/etc/passwd", "file:///etc", "s3://", "bucket"])
def test_an_address_no_transfer_can_use_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="begin it with one of s3://"):
        transfer.job(replace(TO_VOLUME, transfer=replace(PLANNED, source_url=url)))


@pytest.mark.parametrize("storage", [Storage(), Storage(StorageKind.BUCKET, url="https://host/x")])
def test_a_store_nothing_can_be_written_to_is_refused(storage: Storage) -> None:
    with pytest.raises(InvalidInput, match="MemberCluster cloud-b"):
        transfer.job(replace(TO_VOLUME, storage=storage))


def test_what_the_plan_promised_is_written_on_job_and_pod() -> None:
    manifest = transfer.job(TO_VOLUME)
    assert manifest["metadata"]["annotations"] == {
        "polyhull.io/links": "edge-a-to-metro,metro-to-cloud-b",
        "polyhull.io/plan-hash": "ab12",
        "polyhull.io/rate-bytes-per-second": "112500000",
        "polyhull.io/source-site": "edge-a",
        "polyhull.io/store": "cluster:cloud-b",
        "polyhull.io/transfer-bytes": "150000000000",
    }
    on_pods = manifest["spec"]["template"]["metadata"]["annotations"]
    assert on_pods.items() == manifest["metadata"]["annotations"].items() - {("polyhull.io/plan-hash", "ab12")}
    assert manifest["metadata"]["labels"][naming.DATA_SET] == "imagenet"


def test_a_later_plan_may_say_it_again_although_a_template_is_immutable() -> None:
    again = transfer.job(replace(TO_VOLUME, plan_hash="cd34"))
    assert again["spec"] == transfer.job(TO_VOLUME)["spec"]


def test_the_job_belongs_to_its_claim_once_that_exists() -> None:
    assert "ownerReferences" not in transfer.job(TO_BUCKET)["metadata"]
    (owner,) = transfer.job(TO_VOLUME, "claim-uid")["metadata"]["ownerReferences"]
    claim = transfer.claim(TO_VOLUME)
    assert claim is not None
    assert (owner["kind"], owner["name"], owner["uid"]) == (claim["kind"], claim["metadata"]["name"], "claim-uid")


@given(st.integers(0, 10**16))
def test_a_claim_is_whole_mebibytes_and_roomy_enough(size: int) -> None:
    claim = transfer.claim(replace(TO_VOLUME, transfer=replace(PLANNED, transfer_bytes=size)))
    assert claim is not None
    asked = claim["spec"]["resources"]["requests"]["storage"]
    assert asked.endswith("Mi")
    wanted = Fraction(size) * 21 / 20
    assert int(asked.removesuffix("Mi")) == max(1, math.ceil(wanted / 2**20))


def test_a_claim_is_shared() -> None:
    claim = transfer.claim(TO_VOLUME)
    assert claim is not None
    assert (claim["spec"]["accessModes"], claim["spec"]["storageClassName"]) == (["ReadWriteMany"], "shared")
    assert transfer.claim(TO_BUCKET) is None


def test_a_copy_is_read_where_it_was_written() -> None:
    mounted = transfer.copy_as_data("images", OWNER, "cluster:cloud-b", VOLUME, "/data")
    claim = transfer.claim(TO_VOLUME)
    assert claim is not None
    assert (mounted.claim_name, mounted.sub_path, mounted.path) == (claim["metadata"]["name"], "data", "/data")
    read = transfer.copy_as_data("images", OWNER, "site:cloud-b", BUCKET)
    assert read.url == "s3://" + container(TO_BUCKET)["args"][2].removeprefix("target:")
    assert read.secret_name == "cloud-s3"


def test_the_pod_is_restricted_and_takes_no_core_a_gang_was_packed_onto() -> None:
    spec = transfer.job(replace(TO_VOLUME, tolerations=(Toleration("storage"),)))["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert spec["tolerations"] == [{"key": "storage", "operator": "Exists"}]
    assert spec["containers"][0]["resources"]["requests"] == {"cpu": "0", "memory": "0"}
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert "affinity" not in set(keys_of(spec))


def test_two_stores_are_two_copies() -> None:
    assert transfer.copy_name(OWNER, "cluster:a") != transfer.copy_name(OWNER, "cluster:b")
