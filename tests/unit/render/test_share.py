"""A split copy is made by its parts' real programs: the shell, awk and, where it is installed, rclone itself."""

import hashlib
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from polyhull.domain.workloads import CopyPart
from polyhull.render import naming, share, transfer
from tests.unit.render.test_transfer import PLANNED, TO_BUCKET, TO_VOLUME, container

PARTS = (
    CopyPart("edge-a", "s3://edge-bucket/imagenet", ("edge-a-to-cloud-b",), 90_000_000_000, 60e6),
    CopyPart("edge-c", "s3://other/imagenet", ("edge-c-to-cloud-b",), 60_000_000_000, 40e6),
)
SPLIT = replace(TO_VOLUME, transfer=replace(PLANNED, parts=PARTS))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Forty files of all sizes, with awkward names and an empty one."""
    root, dice = tmp_path / "source", Random(3)
    names = ["a;b", "é ü", "with space", " leading", "#comment", "quote's", *(f"deep/er/{k:03d}" for k in range(34))]
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(dice.choice([0, 10, 1000, 5000, 9000])))
    return root


def run(parts: tuple[CopyPart, ...], part: int, source: Path, target: Path, home: Path, program: str) -> str:
    """One part as its container would run it; what it left as its last words."""
    home.mkdir(exist_ok=True)
    call = transfer.arguments(str(source), str(target), 1e9)
    command = list(share.command(parts, part, str(source), call, str(home / "seen")))
    environment = {"HOME": str(home), "PATH": f"{program}:{os.environ['PATH']}"}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return (home / "seen").read_text().strip()


def listing_only(at: Path) -> str:
    """Where rclone is not installed: a program that lists a folder as `rclone lsf` does, and copies nothing."""
    at.mkdir()
    tool = at / "rclone"
    tool.write_text(
        '#!/bin/sh\nif [ "$1" = lsf ]; then for last; do :; done; cd "$last"\n'
        "find . -type f -printf '%s;%P\\n'; fi\n"
    )
    tool.chmod(0o755)
    return str(at)


@pytest.mark.parametrize("bytes_", [(1, 1), (5, 3, 2), (97, 2, 1)], ids=str)
def test_every_file_is_one_part_s_and_no_part_has_more_than_its_bytes_and_one_file(
    files: Path, tmp_path: Path, bytes_: tuple[int, ...]
) -> None:
    program = listing_only(tmp_path / "bin")
    parts = tuple(CopyPart("s", "", (), size, 1.0) for size in bytes_)
    sizes = {str(path.relative_to(files)): path.stat().st_size for path in files.rglob("*") if path.is_file()}
    seen, words = Counter[str](), set()
    for part in range(len(parts)):
        home = tmp_path / str(part)
        words.add(run(parts, part, files, tmp_path / "target", home, program))
        mine = (home / "share").read_text().splitlines()
        seen.update(mine)
        planned = sum(sizes.values()) * bytes_[part] / sum(bytes_)
        assert sum(sizes[name] for name in mine) <= planned + max(sizes.values())
    assert seen == Counter(dict.fromkeys(sizes, 1))
    assert len(words) == 1 and len(words.pop()) == 64


def test_the_parts_together_are_the_source(files: Path, tmp_path: Path) -> None:
    if shutil.which("rclone") is None:
        pytest.skip("no rclone on PATH: apt-get install rclone")
    target = tmp_path / "target"
    words = {run(PARTS, part, files, target, tmp_path / str(part), "/nowhere") for part in (0, 1)}
    assert len(words) == 1

    def digests(root: Path) -> dict[str, str]:
        found = [path for path in root.rglob("*") if path.is_file()]
        return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    assert digests(target) == digests(files)
    (files / "new").write_text("changed meanwhile")
    assert run(PARTS, 0, files, target, tmp_path / "0", "/nowhere") not in words


def test_a_listing_that_fails_fails_the_part(tmp_path: Path) -> None:
    program = tmp_path / "bin"
    program.mkdir()
    (program / "rclone").write_text("#!/bin/sh\nexit 3\n")
    (program / "rclone").chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError):
        run(PARTS, 0, tmp_path, tmp_path / "target", tmp_path / "home", str(program))


def test_each_part_has_a_job_with_its_own_source_rate_and_bytes() -> None:
    first, second = (transfer.job(replace(SPLIT, part=k, source_secret=f"secret-{k}")) for k in (0, 1))
    names = [body["metadata"]["name"] for body in (first, second)]
    assert names == list(transfer.job_names(SPLIT.owner, "cluster:cloud-b", 2))
    assert len({*names, transfer.copy_name(SPLIT.owner, "cluster:cloud-b")}) == 3
    annotations = second["metadata"]["annotations"]
    assert annotations[naming.PART] == "2/2" and annotations[naming.SOURCE_SITE] == "edge-c"
    assert annotations[naming.RATE] == "40000000" and annotations[naming.TRANSFER_BYTES] == "60000000000"
    program = container(replace(SPLIT, part=1))
    assert program["command"][:2] == ["/bin/sh", "-euc"]
    assert program["args"][:5] == [
        "/dev/termination-log",
        "source:other/imagenet",
        "90000000000",
        "150000000000",
        "150000000000",
    ]
    assert "--bwlimit=40000000B" in program["args"]
    both = [transfer.job(replace(TO_BUCKET, transfer=SPLIT.transfer, part=k)) for k in (0, 1)]
    targets = {body["spec"]["template"]["spec"]["containers"][0]["args"][7] for body in both}
    assert len(targets) == 1


def test_a_whole_copy_is_rclone_alone_under_the_copy_s_name() -> None:
    assert (
        "command" not in container(TO_VOLUME)
        and naming.PART not in transfer.job(TO_VOLUME)["metadata"]["annotations"]
    )
    assert transfer.job(TO_VOLUME)["metadata"]["name"] == TO_VOLUME.name
