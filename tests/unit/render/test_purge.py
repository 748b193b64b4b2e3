"""What a job left in a bucket is removed by rclone's own word, and where there is nothing that is fine."""

import shutil
import subprocess
from pathlib import Path

import pytest

from polyhull.render import naming, purge
from polyhull.render.naming import Owner

OWNER = Owner("TrainingJob", "team", "learn", "uid-1")


def run(folder: Path, home: Path) -> int:
    """The Job's command on a folder of this machine."""
    url = f"s3://copies/team/{naming.child_name(OWNER)}/output"
    (container,) = purge.job(purge.Purging(OWNER, "output", url))["spec"]["template"]["spec"]["containers"]
    args = [str(folder) if one.startswith("target:") else one for one in container["args"]]
    args = [one for one in args if not one.startswith(("--retries", "--cache-dir"))]
    command = [*container["command"], *args, "--retries=1"]
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin", "HOME": str(home)}, check=False).returncode


def test_one_folder_goes_and_its_neighbours_stay(tmp_path: Path) -> None:
    if shutil.which("rclone", path="/usr/bin:/bin") is None:
        pytest.skip("no rclone on PATH: apt-get install rclone")
    for name in ("output", "checkpoint"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "file").write_text(name)
    assert run(tmp_path / "output", tmp_path) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
    assert run(tmp_path / "output", tmp_path) == 0, "nothing was written"
    assert run(tmp_path / "checkpoint" / "deep" / "file", tmp_path) != 0, "what is no folder is no such thing"
