"""A film whose writer was killed: nothing broken under its name, nothing left for ever."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
from PIL import Image

from rtfm_app.film import FilmWriter, PictureWriter, film_writer

WRITER = """
import sys
from pathlib import Path
import numpy as np
from rtfm_app.film import film_writer
images = np.random.default_rng(0).integers(0, 256, (60, 72, 128, 3), np.uint8)
print("ready", flush=True)
while True:
    writer = film_writer(Path(sys.argv[1]))
    for number in range(60):
        writer.add(images[number], number / 24)
    writer.close()
"""


def write_and_kill(target: Path, delay_s: float) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def pictures_of(film: Path) -> int:
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_killed_film_is_the_last_whole_one_or_none(tmp_path):
    target, moments = tmp_path / "film.mp4", random.Random(3)
    left = 0
    for _ in range(5):
        write_and_kill(target, moments.uniform(0.0, 0.4))
        unfinished = len(list(tmp_path.glob(".film.*")))
        assert unfinished <= 1, "those of earlier runs are removed"
        left = max(left, unfinished)
        if target.exists():
            assert pictures_of(target) == 60
    assert left, "it was never killed while it wrote"
    FilmWriter(target).discard()
    assert not list(tmp_path.glob(".film.*"))


def test_killed_pictures_are_whole_and_the_rest_is_removed(tmp_path):
    target = tmp_path / "pictures"
    write_and_kill(target, 0.1)
    for path in target.glob("*.png"):
        with Image.open(path) as picture:
            assert np.asarray(picture).shape == (72, 128, 3)
    finished = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    dead, alive = target / f".000000.png.{finished}", target / f".000000.png.{os.getppid()}"
    for path in (dead, alive):
        path.write_bytes(b"half")
    PictureWriter(target)
    assert alive.exists() and not dead.exists()


def test_a_film_beside_one_that_is_still_written_leaves_it_alone(tmp_path):
    other = tmp_path / f".film.{os.getppid()}.unfinished.mp4"
    strange = tmp_path / ".film.mine.unfinished.mp4"
    for path in (other, strange):
        path.write_bytes(b"half")
    film_writer(tmp_path / "film.mp4").discard()
    assert other.exists() and strange.exists()
