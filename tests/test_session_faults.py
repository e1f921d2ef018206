"""Walking goes on when the world cannot be saved, and says so."""

import numpy as np
from pattern_engine import make_world, open_engine
from test_world_faults import add, small_disk

from rtfm_app import messages as m
from rtfm_app.link import PoseStamp
from rtfm_app.memory.world_file import WorldFile, verify_world
from rtfm_app.world_session import WorldSession


def tick(session: WorldSession, pose: PoseStamp, frame) -> list:
    """The events of a moment at which saving and warning are due."""
    session._next_save = session._next_warning = 0.0
    return list(session.tick(pose, frame))


def test_a_full_disk_is_told_while_walking_goes_on_and_saving_resumes(tmp_path):
    with small_disk(tmp_path / "small") as (folder, fill, free):
        path = folder / "walk.rtfm"
        make_world(path)
        session = WorldSession.open(path, open_engine, {"delay_s": 0.0}, read_only=False)
        fill()
        for number in range(20):
            pose = PoseStamp(_moved(number))
            frame = session.draw(pose)
            assert frame.image.shape[2] == 3
        kept = add(session.engine.world, 5, rows=144)
        told = [e for e in tick(session, pose, frame) if isinstance(e, m.Notice)]
        assert told and told[0].level == "error" and "walk.rtfm" in told[0].text
        session.draw(pose)
        free()
        assert not [e for e in tick(session, pose, frame) if isinstance(e, m.Notice)]
        session.close(pose)
        assert verify_world(path) == []
        with WorldFile.open(path) as again:
            assert kept in again.frame_table().ids
            steps = sum(1 for _ in again.journal_entries("step"))
            assert steps == 20, "and nothing of the walk is lost"


def _moved(number: int) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, 3] = (0.0, 1.6, -0.1 * number)
    return pose
