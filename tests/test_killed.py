"""A process that changes a world in every way there is, killed at fifty random moments."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from rtfm_app.memory.world_file import StoredFrame, WorldFile

KILLS = 52

# One warm process forks a child for each kill, so that modules are loaded once.
NURSERY = """
import os, random, signal, sys, time, types
from pathlib import Path
import av
import numpy as np
from rtfm_app import edits
from rtfm_app.memory.export import export_world, import_folder
from rtfm_app.memory.world_file import KINDS, StoredFrame, WorldFile, verify_world

PATH, KILLS = Path(sys.argv[1]), int(sys.argv[2])
FOLDER = PATH.parent
SEEDS = 4
KIND_GENERATED = KINDS.index("generated")

def picture(rng):
    return rng.integers(0, 256, (36, 64, 3), np.uint8)

def child(number, say):
    rng = np.random.default_rng(number)
    world = WorldFile.open(PATH)
    engine = types.SimpleNamespace(world=world, refresh=lambda: None)
    noted = world.get_state("noted") or 0
    say("ready")
    deeds = [walk, paint, undo, compact, fork, export]
    for turn in range(100_000):
        deed = deeds[(number + turn) % 6]
        deed(engine, rng, f"{number}-{turn}", say)
        noted += 1
        world.journal("step", {"n": noted})
        world.set_state("noted", noted)
        say(f"noted {noted} {time.time()}")

def walk(engine, rng, name, say):
    for _ in range(3):
        frame = StoredFrame("generated", np.eye(4), 1.0, picture(rng))
        say(f"frame {engine.world.add_frame(frame)}")

def paint(engine, rng, name, say):
    world = engine.world
    table = world.frame_table()
    versions = []
    for i, kind in zip(table.ids.tolist(), table.kind.tolist()):
        if kind != KIND_GENERATED:
            versions.append(edits._version(i, world.read_frame(i), picture(rng)))
    assert len(versions) == SEEDS
    edits._write_stroke(engine, versions)

def undo(engine, rng, name, say):
    edits.undo_paint(engine)

def compact(engine, rng, name, say):
    engine.world.compact()

def fork(engine, rng, name, say):
    engine.world.fork(FOLDER / f"fork{name}.rtfm")

def export(engine, rng, name, say):
    kind = ("nerfstudio", "colmap", "mp4")[len(name) % 3]
    export_world(engine.world, FOLDER / f"{kind}{name}{'.mp4' if kind == 'mp4' else ''}", kind)

def check_strokes(world):
    table = world.frame_table()
    live = sorted(table.ids[table.kind != KIND_GENERATED].tolist())
    strokes = world.get_state("strokes") or []
    assert live == (sorted(strokes[-1]) if strokes else list(range(1, SEEDS + 1))), (live, strokes)

def check(lines, killed):
    assert verify_world(PATH) == []
    with WorldFile.open(PATH) as world:
        check_strokes(world)
        for word in lines:
            if word[0] == "frame":
                world.read_frame(int(word[1]))
        steps = [e.payload["n"] for e in world.journal_entries("step")]
        assert steps == list(range(1, len(steps) + 1))
        assert (world.get_state("noted") or 0) == len(steps)
        old = [int(w[1]) for w in lines if w[0] == "noted" and float(w[2]) < killed - 1.0]
        assert len(steps) >= max(old, default=0)

def check_others():
    made = 0
    for other in FOLDER.glob("fork*.rtfm"):
        assert verify_world(other) == [], other
        with WorldFile.open(other) as world:
            check_strokes(world)
        other.unlink()
        made += 1
    for film in FOLDER.glob("mp4*.mp4"):
        with av.open(str(film)) as container:
            assert sum(1 for _ in container.decode(video=0)) >= SEEDS
        film.unlink()
        made += 1
    for folder in [*FOLDER.glob("nerfstudio*"), *FOLDER.glob("colmap*")]:
        copy = FOLDER / f"{folder.name}.rtfm"
        import_folder(folder, copy)
        copy.unlink()
        folder.rename(FOLDER / f"seen{folder.name}")
        made += 1
    return made

moments = random.Random(11)
told = made = 0
for number in range(KILLS):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            child(number, lambda text: os.write(writing, (text + chr(10)).encode()))
        except BaseException:
            import traceback
            traceback.print_exc()
        os._exit(1)
    os.close(writing)
    stream = os.fdopen(reading)
    assert stream.readline().strip() == "ready"
    time.sleep(moments.uniform(0.0, 1.3 if number % 17 == 0 else 0.12))
    killed = time.time()
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "the child ended by itself"
    whole = stream.read().rpartition(chr(10))[0]
    lines = [line.split() for line in whole.splitlines()]
    told += len(lines)
    check(lines, killed)
    made += check_others()
print(told, made)
"""


def test_killed_while_walking_painting_compacting_forking_and_exporting(tmp_path):
    path = tmp_path / "w.rtfm"
    make_world(path)
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    nursery = subprocess.run(
        [sys.executable, "-c", NURSERY, str(path), str(KILLS)],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert nursery.returncode == 0, nursery.stderr
    told, made = map(int, nursery.stdout.split())
    assert told > KILLS and made > 10, "children did something before they died"


def make_world(path):
    rng = np.random.default_rng(1)
    with WorldFile.create(path, name="w", start_pose=np.eye(4), fov_y_radians=1.0) as world:
        for _ in range(4):
            image = rng.integers(0, 256, (36, 64, 3), np.uint8)
            world.add_frame(StoredFrame("seed", np.eye(4), 1.0, image))
