"""A small deterministic engine for tests of the worker and the window: the picture is a pattern of
the view direction (a checkered sky over a floor), so that a test can tell what was drawn for what.

`open_engine(world, ...)` is a factory for `WorkerOptions`. It answers as `FrameEngine` does.
"""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import numpy as np

from rtfm_app import edits
from rtfm_app.config import GenerationSettings
from rtfm_app.frame import Attended, Frame
from rtfm_app.geometry import pixel_rays, pose_from_yaw_pitch, scaled_fov
from rtfm_app.memory.index import SpatialIndex
from rtfm_app.memory.pages import PagePool
from rtfm_app.memory.world_file import StoredFrame, WorldFile

PLANE = (36, 64)
DEFAULTS = GenerationSettings()


class PatternEngine:
    def __init__(self, world: WorldFile, delay_s: float, crash_beyond_x: float):
        self.world = world
        self.index = SpatialIndex(world.frame_table())
        self.pages = SimpleNamespace(pool=PagePool(1 << 20, 1 << 16))
        self.delay_s = delay_s
        self.crash_beyond_x = crash_beyond_x

    def step(
        self,
        camera_to_world,
        settings=DEFAULTS,
        *,
        overscan=1.0,
        kind="inter",
        follow=True,
        fov_y_radians=None,
    ):
        if camera_to_world[0, 3] > self.crash_beyond_x:
            os._exit(9)
        time.sleep(self.delay_s)
        fov = fov_y_radians or scaled_fov(self.world.fov_y_radians, overscan)
        found = self.index.retrieve(camera_to_world, fov, settings.memory_frames)
        rays = pixel_rays(*PLANE, fov) @ camera_to_world[:3, :3].T
        height = camera_to_world[1, 3]
        below = np.where(rays[..., 1] < -1e-3, -rays[..., 1] / max(height, 0.1), 0.0)
        weight = 1.0 / max(len(found.ids), 1)
        return Frame(
            image=pattern(camera_to_world, fov, settings.height, settings.width),
            camera_to_world=np.array(camera_to_world),
            fov_y_radians=fov,
            kind=kind,
            novelty=0.25,
            unseen=np.where(rays[..., 0] > 0.5, 255, 0).astype(np.uint8),
            inverse_depth=below.astype(np.float32),
            confidence=np.where(below > 0, 0.9, 0.0).astype(np.float32),
            attended=tuple(Attended(i, weight) for i in found.ids),
            timings_ms={"retrieve": 0.4, "denoise": self.delay_s * 1e3, "total": 5.0},
        )

    def advance(self, camera_to_world, settings=DEFAULTS, *, velocity=None, overscan=1):
        return self.step(camera_to_world, settings, overscan=overscan)

    def commit(self, frame: Frame) -> int:
        stored = StoredFrame("generated", frame.camera_to_world, frame.fov_y_radians, frame.image)
        frame_id = self.world.add_frame(stored)
        self.refresh()
        return frame_id

    def undo_paint(self) -> list[int]:
        return edits.undo_paint(self)

    def forget(self, frame_id: int) -> None:
        self.index.remove(frame_id)

    def refresh(self) -> None:
        self.index = SpatialIndex(self.world.frame_table())

    def prefetch(self, settings) -> None:
        """Nothing is encoded here."""

    def run_info(self) -> dict:
        return {"weights_sha256": "pattern", "device": "cpu", "threads": 1}

    def close(self) -> None:
        self.world.close()


def pattern(camera_to_world, fov_y_radians: float, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: red grows to the east, green with height, blue to the north; checkered."""
    rays = pixel_rays(height, width, fov_y_radians) @ camera_to_world[:3, :3].T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    azimuth = np.degrees(np.arctan2(rays[..., 0], -rays[..., 2]))
    altitude = np.degrees(np.arcsin(rays[..., 1]))
    checker = ((np.floor(azimuth / 5) + np.floor(altitude / 5)) % 2)[..., None]
    color = (rays * (1, 1, -1) + 1) * 100 + 15
    return (color * (0.75 + 0.25 * checker)).clip(0, 255).astype(np.uint8)


def open_engine(world: WorldFile, *, delay_s: float = 0.01, crash_beyond_x: float = 1e9):
    return PatternEngine(world, delay_s, crash_beyond_x)


def refuse(world: WorldFile):
    raise ValueError("no engine today; come back tomorrow")


def make_world(path, *, frames: int = 4, name: str = "pattern") -> None:
    """A small world: `frames` seed pictures around one place."""
    pose = pose_from_yaw_pitch((0.0, 1.6, 0.0), 0.0, 0.0)
    fov = np.radians(60.0)
    with WorldFile.create(
        path, name=name, start_pose=pose, fov_y_radians=fov, provenance={}
    ) as world:
        for number in range(frames):
            place = pose_from_yaw_pitch((0.0, 1.6, -0.3 * number), 0.35 * number, 0.0)
            image = pattern(place, fov, 144, 256)
            world.add_frame(StoredFrame("seed", place, fov, image, None))
