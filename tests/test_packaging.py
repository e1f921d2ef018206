"""The wheel runs from any folder: it carries weights, shaders and starter worlds."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_locked_requirements_cover_what_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["dependencies"] + project["optional-dependencies"]["test"]
    lines = (ROOT / "requirements.lock").read_text().split()
    assert all(line.count("==") == 1 and "/" not in line for line in lines)
    locked = {line.split("==")[0].lower() for line in lines}
    assert {name.split(">")[0].lower() for name in declared} <= locked


def test_ci_runs_the_readmes_command():
    readme = (ROOT / "README.md").read_text().splitlines()
    commands = [line for line in readme if line.endswith("python -m pytest")]
    assert len(commands) == 1 and "requirements.lock" in commands[0]
    assert "grep -m1 'python -m pytest$' README.md" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
def test_the_wheel_carries_what_the_program_needs(tmp_path):
    wheel_command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", tmp_path, ROOT]
    subprocess.run(list(map(str, wheel_command)), check=True)
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    shipped = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    for folder in ("assets", "shaders"):
        here = subprocess.run(
            ["git", "ls-files", folder], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        assert here and {f"rtfm_app/{name}" for name in here} <= shipped
    code = (
        "from pathlib import Path; import rtfm_app.worlds_folder as w; "
        "from rtfm_app.resources import asset, checkout_root, shader; "
        "from rtfm_app.starters import list_starters, open_starter; "
        "assert checkout_root() is None; "
        "assert w.worlds_folder().is_relative_to(Path('data').resolve()); "
        "assert asset('weights/embedded.safetensors').is_file(); "
        "assert shader('display/frame.frag').is_file(); "
        "assert open_starter(list_starters()[1].name).is_file()"
    )
    environment = {"PYTHONPATH": str(unpacked), "XDG_DATA_HOME": str(tmp_path / "data"), "PATH": ""}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "data").is_dir()
