"""`FrameEngine`: the next frame for a pose, from a world's memory. No thread, no window, no GL.

step     retrieve -> pages -> denoise -> compose; reads the world only
commit   writes what of a frame no given picture shows to the world
advance  step plus the keyframe policy; what the worker and `rtfm render` call while walking
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from . import edits
from .clock import StageClock
from .config import GenerationSettings
from .context import PageStore, Task, poses_ahead
from .described import attended, described
from .device import choose_device
from .encoding import cameras_of
from .frame import Frame, Known
from .geometry import check_pose, pixel_rays, scaled_fov, tangents
from .keyframes import KEY_COVERAGE, about_there, is_new, kept_pixels
from .memory.codec import valid_cells
from .memory.index import SpatialIndex
from .memory.world_file import KINDS, StoredFrame, WorldFile
from .model.checkpoint import load_model, weights_sha256
from .model.fast import prepare
from .model.fast_compose import draw
from .model.fast_weights import with_even_borders, without_stretched
from .model.frame_model import Prediction
from .model.sampler import NoiseField, generate
from .resources import asset
from .saved_state import CONTEXT_STATE, context_to_json, sound_context

DEFAULT_WEIGHTS = "weights/embedded.safetensors"
KEY_NEAR_METRES, KEY_NEAR_RADIANS = 0.3, np.radians(10)


class FrameEngine:
    """Draws frames of one world. Not thread-safe; one engine per world and process."""

    def __init__(self, world: WorldFile, model, weights_path: Path, device: torch.device):
        self.world = world
        self.model = model
        self.device = device
        self.weights_path = weights_path
        self.index = self._read_index()
        self.pages = PageStore(world, model, device, lambda: self.index)
        self._noise: NoiseField | None = None
        self._previous, self._vain = sound_context(world.get_state(CONTEXT_STATE))
        self._saved_context = self._previous, self._vain
        self._trail: tuple[tuple[np.ndarray, float], ...] = ()
        self._looked_ahead = 0

    @classmethod
    def open(
        cls,
        world: WorldFile | Path | str,
        *,
        weights: Path | None = None,
        device: str = "auto",
        deterministic: bool = False,
        threads: int | None = None,
    ) -> FrameEngine:
        """Open a world (or take an open one) and load the model.

        Raises:
            ValueError: the world or the weights cannot be read, or the device does not exist.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        if deterministic:
            torch.use_deterministic_algorithms(True)
        chosen = choose_device(device)
        path = Path(weights) if weights else asset(DEFAULT_WEIGHTS)
        model = prepare(load_model(path), chosen)
        if not isinstance(world, WorldFile):
            world = WorldFile.open(Path(world))
        return cls(world, model, path, chosen)

    def close(self) -> None:
        self.world.close()

    def __enter__(self) -> FrameEngine:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def model_info(self) -> dict:
        """Name and hash of the weights, for provenance and benchmarks."""
        return {
            "name": self.model.config.name,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "weights_sha256": weights_sha256(self.weights_path),
        }

    def run_info(self) -> dict:
        """What the same pictures bit for bit depend on besides world, settings and poses."""
        return {
            "weights_sha256": weights_sha256(self.weights_path),
            "device": str(self.device),
            "threads": torch.get_num_threads(),
        }

    # Drawing

    @torch.no_grad()
    def step(
        self,
        camera_to_world: np.ndarray,
        settings: GenerationSettings = GenerationSettings(),  # noqa: B008 (frozen)
        *,
        fov_y_radians: float | None = None,
        overscan: float = 1.0,
        kind: str = "inter",
        follow: bool = True,
    ) -> Frame:
        """Draw the picture of a pose; the world is only read.

        Args:
            camera_to_world: (4, 4).
            fov_y_radians: None = the world's own.
            overscan: the picture's tangents are this much larger, so that a time-warp has borders.
            kind: "inter" takes `inter_steps`, "key" takes `key_steps`.
            follow: keep the context smooth with the last call's (hysteresis); False makes the
                result independent of the order of calls.
        Raises:
            ValueError: a malformed pose.
        """
        assert kind in ("inter", "key"), kind
        task = self._begin(camera_to_world, settings, fov_y_radians, overscan, follow)
        steps = settings.key_steps if kind == "key" else settings.inter_steps
        prediction = self._denoise(task, steps)
        return self._finish(task, prediction, self._known(task, prediction), kind)

    def _begin(self, camera_to_world, settings, fov_y_radians, overscan, follow=True) -> Task:
        """Retrieve and encode what a pose is drawn from."""
        clock = StageClock()
        pose = check_pose(camera_to_world)
        fov = scaled_fov(fov_y_radians or self.world.fov_y_radians, overscan)
        self.pages.apply_budget(settings)
        with clock.measure("retrieve"):
            previous = self._previous if follow else ()
            found = self.index.retrieve(pose, fov, settings.memory_frames, previous)
            if follow:
                self._previous = found.ids
                self._trail = (*self._trail[-1:], (pose, fov))
            ids, anchor = self._with_anchor(found.ids, pose)
        with clock.measure("encode"):
            memory = self.pages.fetch(ids)
            cameras = cameras_of(pose[None], np.array([tangents(fov)[1]]), self.device)
            pages, views = self.pages.gather(pose, fov, memory, anchor)
            noise = self._noise_for(pose, fov, settings)
        return Task(
            pose, fov, settings, found.coverage, ids, memory, pages, views, cameras, noise, clock
        )

    def _denoise(self, task: Task, steps: int, begun: Prediction | None = None) -> Prediction:
        """Sample; what is `begun` has its pointer, which is neither found nor changed again."""
        settings = task.settings
        with task.clock.measure("denoise"):
            prediction = generate(
                self.model, task.noise, task.cameras, task.pages, task.views, steps=steps,
                memory_guidance=settings.memory_guidance, pointer=settings.pointer, begun=begun,
            )  # fmt: skip
            if begun or prediction.pointer is None:
                return prediction
            given = [page.given for page in task.memory]
            scales = [page.picture.pixels.shape[1] / settings.width for page in task.memory]
            pointer = without_stretched(prediction.pointer, task.views, given, scales)
            return replace(prediction, pointer=with_even_borders(pointer))

    def _known(self, task: Task, prediction: Prediction) -> Known:
        """What of the picture is new; later steps change nothing of that."""
        size = task.settings.height, task.settings.width
        with task.clock.measure("compose"):
            return described(prediction, task.ids, self.index.is_imagined, *size)

    @torch.no_grad()
    def _finish(self, task: Task, prediction: Prediction, known: Known, kind: str) -> Frame:
        """Draw the picture of a prediction."""
        settings = task.settings
        with task.clock.measure("compose"):
            drawn = draw(
                prediction, task.pages, task.views, task.cameras, [p.picture for p in task.memory],
                settings.height, settings.width, settings.imagination, known.remembered,
            )  # fmt: skip
        return Frame(
            image=drawn.image,
            camera_to_world=task.pose,
            fov_y_radians=task.fov_y_radians,
            kind=kind,
            attended=attended(task.ids, drawn.weights),
            timings_ms=task.clock.finish(),
            **known.for_frame(),
        )

    def _noise_for(self, pose, fov: float, settings: GenerationSettings) -> torch.Tensor:
        if self._noise is None or self._noise.seed != settings.noise_seed:
            self._noise = NoiseField(settings.noise_seed)
        config = self.model.config
        rays = pixel_rays(config.height // 4, config.width // 4, fov) @ pose[:3, :3].T
        return self._noise.state(rays, settings.noise_temperature).to(self.device)

    # Memory

    def _with_anchor(self, ids: tuple[int, ...], pose) -> tuple[tuple[int, ...], int]:
        """The context with one seed in it, and that seed's place: what nobody has seen starts from
        a mirrored reading of a *given* picture, never of an imagined one, so that the style of the
        place does not wear off from copy to copy."""
        nearest = self.index.facing_seed(pose, [i for i in ids if self.index.is_seed(i)])
        if not ids or nearest is None:
            return ids, 0
        if nearest not in ids:
            ids = (*(ids[:-1] if len(ids) > 1 else ids), nearest)
        return ids, ids.index(nearest)

    def prefetch(self, settings: GenerationSettings) -> None:
        """Encode one page that the walk is about to need, unless the last frame had to encode some
        itself. For the time between two frames: nothing that is drawn depends on it."""
        if self.pages.missed or len(self._trail) < 2:
            return
        (before, _), (now, fov) = self._trail
        self._looked_ahead += 1
        ahead = poses_ahead(before, now)
        for pose in ahead[self._looked_ahead % 2 :][:1]:  # near and far in turn
            ids = self.index.retrieve(pose, fov, settings.memory_frames, self._previous).ids
            self.pages.warm(self._with_anchor(ids, pose)[0])

    def forget(self, frame_id: int) -> None:
        """A frame was deleted from the world."""
        self.index.remove(frame_id)
        self._vain = None
        self._save_context()
        self.pages.keep_only(self.index)

    def refresh(self) -> None:
        """The world's frames changed from outside (edit, undo, restore): read the table again."""
        self.index = self._read_index()
        self._vain = None
        self._save_context()
        self.pages.keep_only(self.index)

    def _read_index(self) -> SpatialIndex:
        """The poses of the world's frames as they are now."""
        table = self.world.frame_table()
        edited = (table.kind == KINDS.index("edit")).any()
        return SpatialIndex(table, self.world.origins() if edited else None)

    # Editing

    def paint(self, frame: Frame, mark: np.ndarray) -> list[int]:
        """Keep a mark, (H, W, 4) uint8 RGBA over the frame's picture; see `edits.paint`."""
        return edits.paint(self, frame, mark)

    def undo_paint(self) -> list[int]:
        """Take the last stroke back; see `edits.undo_paint`."""
        return edits.undo_paint(self)

    # Committing

    def commit(self, frame: Frame) -> int:
        """Write what of `frame` no given picture shows to the world; returns its id.

        What was read from given or painted pictures stays with them and is never copied. What was
        imagined, now or before, is kept as it is shown here, so that a few frames hold all of a
        place: shreds of it in many frames could not all be attended to at once.
        """
        valid = kept_pixels(frame)
        stored = StoredFrame(
            "generated", frame.camera_to_world, frame.fov_y_radians, frame.image, valid
        )
        frame_id = self.world.add_frame(stored)
        self.index.add(
            frame_id, frame.camera_to_world, frame.fov_y_radians, KINDS.index("generated"),
            time.time(), valid_cells(valid),
        )  # fmt: skip
        return frame_id

    def _key_near(self, pose: np.ndarray) -> bool:
        """Whether a keyframe was already imagined from about here: looking again adds nothing."""
        return self.index.near(pose, KEY_NEAR_METRES, KEY_NEAR_RADIANS)

    def advance(
        self,
        camera_to_world: np.ndarray,
        settings: GenerationSettings = GenerationSettings(),  # noqa: B008 (frozen)
        *,
        velocity: np.ndarray | None = None,
        fov_y_radians: float | None = None,
        overscan: float = 1.0,
    ) -> Frame:
        """Draw a pose while walking: a keyframe is imagined and committed where the view, or the
        view `look_ahead_s` ahead, shows what memory does not; else an inter frame is drawn.

        Args:
            velocity: (3,) metres a second of the walker, for the look-ahead.
        """
        options = {"fov_y_radians": fov_y_radians, "overscan": overscan}
        remembers = settings.pointer and settings.memory_frames > 0
        if remembers and velocity is not None and np.linalg.norm(velocity) > 0.05:
            ahead = np.array(camera_to_world, dtype=np.float64)
            ahead[:3, 3] += np.asarray(velocity) * settings.look_ahead_s
            self._imagine(ahead, settings, options)
        task = self._begin(camera_to_world, settings, fov_y_radians, overscan)
        self._save_context()
        prediction = self._denoise(task, settings.inter_steps)
        known = self._known(task, prediction)
        new = remembers and is_new(known, task.coverage, settings)
        if not new or self._key_near(task.pose):
            return self._finish(task, prediction, known, "inter")
        if settings.key_steps != settings.inter_steps:
            begun = prediction if settings.inter_steps == 1 else None
            prediction = self._denoise(task, settings.key_steps, begun)
        key = self._finish(task, prediction, known, "key")
        self.commit(key)
        return key

    def _save_context(self) -> None:
        """So that a walk goes on after a reload as if nothing had happened."""
        ids, vain = self._saved_context
        if (ids == self._previous and vain is self._vain) or self.world.read_only:
            return
        self._saved_context = self._previous, self._vain
        self.world.set_state(CONTEXT_STATE, context_to_json(*self._saved_context))

    def _imagine(self, pose: np.ndarray, settings: GenerationSettings, options: dict) -> None:
        """Imagine the view ahead if memory hardly covers it."""
        if settings.look_ahead_s == 0 or self._key_near(pose):
            return
        if self._vain is not None and about_there(self._vain, pose):
            return
        fov = scaled_fov(options["fov_y_radians"] or self.world.fov_y_radians, options["overscan"])
        found = self.index.retrieve(pose, fov, settings.memory_frames)
        if found.coverage >= KEY_COVERAGE:
            return
        task = self._begin(pose, settings, *options.values(), follow=False)
        prediction = self._denoise(task, 1)
        known = self._known(task, prediction)
        if not is_new(known, found.coverage, settings):
            self._vain = pose
            return
        if settings.key_steps > 1:
            prediction = self._denoise(task, settings.key_steps, prediction)
        self.commit(self._finish(task, prediction, known, "key"))
