"""Freedoom levels through ViZDoom (extra `train`) as training clips.

The engine draws the pictures; distances are cast exactly from the level's own lines (the
engine's 8-bit depth buffer is coarse, 0.2 m a level, so it only votes on what to distrust). The
engine looks level and wide; smaller tilted views are cut out of it, which is exact because a
rotation needs no depth. Write clips with `python -m rtfm_app.worlds.doom --out FOLDER`.

Scale: 1 unit is 1/32 m along the ground. The engine draws heights 1.2 times taller (the pixels of
1993 were not square), so heights here are too, and the eye is 41 * 1.2 / 32 = 1.54 m up.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import tempfile
from pathlib import Path

import cv2
import numpy as np

from ..geometry import invert_pose, pixel_rays, pose_from_yaw_pitch, tangents
from ..training.clips import Clip, save_clip
from .doom_level import STEP_HEIGHT, Level, Wad, cast
from .stroll import Stop, metres_walked, stroll
from .tone import tinted

UNITS_PER_METRE = 32.0
HEIGHT_STRETCH = 1.2
EYE_UNITS = 41.0
# The engine's view: 90 degrees on a 4:3 screen, widened to 16:9.
ENGINE_FOV_Y = 2 * math.atan(0.75)
FRAMES, HEIGHT, WIDTH = 16, 144, 256
# Engine tics (1/35 s) after a jump until the eye has risen to its height.
SETTLING_TICS = 14
# The engine's depth buffer: metres = (a + b * level), found by fitting to cast distances.
DEPTH_OFFSET_UNITS, DEPTH_UNITS_PER_LEVEL, DEPTH_LAST_LEVEL = 18.0, 7.2, 254
DEPTH_TOLERANCE_UNITS, DEPTH_TOLERANCE = 15.0, 0.1
NEAR_INVERSE, FAR_INVERSE = 0.8, 0.2


def position_metres(x: float, y: float, z: float) -> np.ndarray:
    """World position of level coordinates in units (level y north is world -Z)."""
    return np.array([x, z * HEIGHT_STRETCH, -y]) / UNITS_PER_METRE


def engine_angle(yaw: float) -> float:
    """Degrees counter-clockwise from level +x of a yaw in radians."""
    return (math.degrees(yaw) + 90.0) % 360.0


def engine_distances(buffer: np.ndarray) -> np.ndarray:
    """Coarse distances in metres of the engine's 8-bit depth buffer, inf where it saturates."""
    units = DEPTH_OFFSET_UNITS + DEPTH_UNITS_PER_LEVEL * buffer.astype(np.float32)
    return np.where(buffer >= DEPTH_LAST_LEVEL, np.inf, units) / UNITS_PER_METRE


def level_view_inverse_depth(
    level: Level, eye: np.ndarray, yaw: float, rows: int, columns: int
) -> np.ndarray:
    """Inverse depth (rows, columns) of the engine's level view, 1/metres; eye (3,) in units."""
    rays = pixel_rays(rows, columns, ENGINE_FOV_Y)
    forward = np.array([-math.sin(yaw), math.cos(yaw)])
    right = np.array([math.cos(yaw), math.sin(yaw)])
    directions = (forward + rays[0, :, :1] * right).astype(np.float32)
    slopes = rays[:, 0, 1] / HEIGHT_STRETCH
    return UNITS_PER_METRE / cast(level, eye[:2], float(eye[2]), directions, slopes)


def distrusted(inverse_depth: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """Where cast distances contradict the engine's depth buffer (both of the level view)."""
    coarse = engine_distances(buffer)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = 1 / inverse_depth
        tolerance = DEPTH_TOLERANCE_UNITS / UNITS_PER_METRE + DEPTH_TOLERANCE * coarse
        far = engine_distances(np.array(DEPTH_LAST_LEVEL - 1)) * 0.9
        return np.where(np.isinf(coarse), distance < far, ~(np.abs(distance - coarse) < tolerance))


def cut_out(
    image: np.ndarray, inverse_depth: np.ndarray, rotation: np.ndarray, fov_y: float
) -> tuple[np.ndarray, np.ndarray]:
    """The view turned by `rotation` (3, 3) inside the level view: picture and inverse depth."""
    twice = pixel_rays(2 * HEIGHT, 2 * WIDTH, fov_y) @ rotation.T
    picture = cv2.remap(image, *_lookup(twice, *image.shape[:2]), cv2.INTER_LINEAR)
    rays = pixel_rays(HEIGHT // 2, WIDTH // 2, fov_y) @ rotation.T
    inverse = cv2.remap(
        inverse_depth.astype(np.float32), *_lookup(rays, *inverse_depth.shape), cv2.INTER_NEAREST
    )
    # A ray of unit depth in the small view has depth -z in the level view.
    return cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), inverse * -rays[
        ..., 2
    ]


def _lookup(rays: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (x, y) in the level view of rays in its camera axes."""
    tan_x, tan_y = tangents(ENGINE_FOV_Y, width / height)
    x = ((rays[..., 0] / -rays[..., 2] / tan_x + 1) * width - 1) / 2
    y = ((1 - rays[..., 1] / -rays[..., 2] / tan_y) * height - 1) / 2
    return x.astype(np.float32), y.astype(np.float32)


def pitch_limit(fov_y: float) -> float:
    """Largest pitch in radians at which a view lies inside the engine's level view."""
    tan_x, tan_y = tangents(fov_y)
    wide_x, wide_y = tangents(ENGINE_FOV_Y)
    for pitch in np.radians(np.arange(20.0, 0.0, -0.5)):
        corner = np.array([tan_x, tan_y, -1.0])
        y = corner[1] * math.cos(pitch) + math.sin(pitch)
        depth = math.cos(pitch) - corner[1] * math.sin(pitch)
        if y / depth <= wide_y and tan_x / depth <= wide_x:
            return float(pitch)
    return 0.0


def random_place(
    level: Level, rng: np.random.Generator, tries: int = 400
) -> tuple[int, int] | None:
    """A point where a player can stand, None if none was found."""
    low, high = level.start.min(0), level.start.max(0)
    for _ in range(tries):
        x, y = (int(value) for value in rng.uniform(low, high))
        if level.can_stand((x, y)):
            return x, y
    return None


def open_yaw(level: Level, place: tuple[int, int], rng: np.random.Generator) -> float:
    """A direction to look in: one of the three farthest views of twelve."""
    yaws = rng.uniform(0, 2 * math.pi) + np.arange(12) * math.pi / 6
    directions = np.stack([-np.sin(yaws), np.cos(yaws)], -1).astype(np.float32)
    eye = float(level.floor[level.sector_at(place)]) + EYE_UNITS
    distance = cast(level, place, eye, directions, np.zeros(1))[0]
    farthest = np.argsort(np.nan_to_num(distance, nan=0.0, posinf=1e4))[-3:]
    return float(yaws[rng.choice(farthest)])


def random_path(level: Level, rng: np.random.Generator, limit: float) -> list[Stop] | None:
    """A walk from a random place (x, y) in units; None if the place is too tight."""
    place = random_place(level, rng)
    if place is None:
        return None

    def free_step(place, direction, metres):
        return _free_step(level, place, direction * metres * UNITS_PER_METRE)

    stops = stroll(rng, place, open_yaw(level, place, rng), free_step, limit, FRAMES)
    return stops if metres_walked(stops, UNITS_PER_METRE) > 1 else None


def _free_step(level: Level, place: tuple, way: np.ndarray) -> tuple[int, int] | None:
    """Where a stride `way` (world x, z in units) leads, None if something is in the way."""
    here = level.floor[level.sector_at(place)]
    for part in (0.5, 1.0):
        reached = round(place[0] + way[0] * part), round(place[1] - way[1] * part)
        if not level.can_stand(reached):
            return None
        floor = level.floor[level.sector_at(reached)]
        if abs(floor - here) > 2 * STEP_HEIGHT:
            return None
        here = floor
    return reached


class Engine:
    """One running game in one level; draws the level view from any place."""

    def __init__(self, game_file: Path, level: str):
        import vizdoom

        variable, game = vizdoom.GameVariable, vizdoom.DoomGame()
        game.set_doom_game_path(str(game_file))
        game.set_doom_map(level.lower())
        game.set_screen_resolution(vizdoom.ScreenResolution.RES_1024X576)
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_depth_buffer_enabled(True)
        for hidden in ("hud", "weapon", "crosshair", "messages", "decals", "particles"):
            getattr(game, f"set_render_{hidden}")(False)
        game.set_render_screen_flashes(False)
        game.set_window_visible(False)
        game.set_mode(vizdoom.Mode.PLAYER)
        axes = ("CAMERA_POSITION_X", "CAMERA_POSITION_Y", "CAMERA_POSITION_Z", "CAMERA_ANGLE")
        game.set_available_game_variables([getattr(variable, axis) for axis in axes])
        game.set_available_buttons([vizdoom.Button.TURN_LEFT_RIGHT_DELTA])
        game.set_episode_timeout(0)
        game.set_sound_enabled(False)
        game.add_game_args("-nomonsters +sv_cheats 1 +movebob 0")
        game.set_doom_config_path(str(game_file.with_name("engine.ini")))
        game.init()
        self._game = game
        game.make_action([0.0], 20)

    def draw(self, stop: Stop) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Picture, depth buffer, eye (3,) in units and yaw as the engine reports them."""
        angle = self._game.get_state().game_variables[3]
        # This button turns to the right.
        turn = (angle - engine_angle(stop.yaw) + 180) % 360 - 180
        self._game.send_game_command(f"warp {stop.place[0]} {stop.place[1]}")
        self._game.make_action([turn], 1)
        self._game.make_action([0.0], SETTLING_TICS)
        state = self._game.get_state()
        if state is None:
            raise RuntimeError("the game ended in the middle of a path")
        x, y, z, angle = state.game_variables
        yaw = math.radians(angle - 90)
        return state.screen_buffer.copy(), state.depth_buffer.copy(), np.array([x, y, z]), yaw

    def close(self) -> None:
        self._game.close()


def worth_keeping(images: np.ndarray, inverse_depth: np.ndarray) -> bool:
    """Most distances are known, there is contrast, and more than a wall before the nose."""
    unknown, near = np.isnan(inverse_depth).mean(), (inverse_depth > NEAR_INVERSE).mean()
    far = (inverse_depth < FAR_INVERSE).mean()
    return bool(unknown < 0.25 and near < 0.5 and far > 0.15 and images.std() > 16)


def render_clip(engine: Engine, level: Level, seed: int) -> Clip | None:
    """One clip, None where the level gave no path or the view is not `worth_keeping`."""
    rng = np.random.default_rng([seed, 0xD003])
    fov_y = math.radians(rng.uniform(42, 64))
    path = random_path(level, rng, pitch_limit(fov_y))
    if path is None:
        return None
    images, depths, poses = [], [], []
    for stop in path:
        image, buffer, eye, yaw = engine.draw(stop)
        inverse = level_view_inverse_depth(level, eye, yaw, HEIGHT, WIDTH)
        buffer = cv2.resize(buffer, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)
        inverse = np.where(distrusted(inverse, buffer), np.nan, inverse)
        pose = pose_from_yaw_pitch(position_metres(*eye), yaw, stop.pitch)
        level_pose = pose_from_yaw_pitch(pose[:3, 3], yaw, 0.0)
        rotation = (invert_pose(level_pose) @ pose)[:3, :3]
        picture, inverse = cut_out(image, inverse, rotation, fov_y)
        images.append(picture)
        depths.append(inverse)
        poses.append(pose)
    inverse_depth, pictures = np.stack(depths).astype(np.float16), np.stack(images)
    # The game was made for dim screens and has pure reds and blues.
    pictures = tinted(pictures, rng, log_gamma=-0.45, spread=0.2, saturation=(0.4, 0.9))
    if not worth_keeping(pictures, inverse_depth):
        return None
    return Clip(pictures, inverse_depth, np.stack(poses), fov_y, "doom", seed)


def still_games(folder: Path) -> list[tuple[Path, Wad]]:
    """Write both Freedoom games without things and flicker into `folder`."""
    import vizdoom

    games = []
    for name in ("freedoom1.wad", "freedoom2.wad"):
        wad = Wad(Path(vizdoom.__file__).with_name(name))
        wad.make_still()
        path = folder / name
        path.write_bytes(wad.data)
        games.append((path, wad))
    return games


def main() -> None:
    parser = argparse.ArgumentParser(description="Write clips of the Freedoom levels.")
    parser.add_argument("--out", type=Path, required=True, help="folder of clips")
    parser.add_argument("--clips", type=int, default=400)
    parser.add_argument("--first-seed", type=int, default=0)
    arguments = parser.parse_args()
    if importlib.util.find_spec("vizdoom") is None:
        parser.error('ViZDoom is not installed; install it with: pip install "rtfm[train]"')
    with tempfile.TemporaryDirectory() as folder:
        games = [
            (path, wad, name) for path, wad in still_games(Path(folder)) for name in wad.levels
        ]
        order = np.random.default_rng(arguments.first_seed).permutation(len(games))
        seeds = np.array_split(arguments.first_seed + np.arange(arguments.clips), len(games))
        for index, batch in zip(order, seeds, strict=True):
            if len(batch):
                path, wad, name = games[index]
                done = _write_level(path, Level.read(wad, name), name, batch, arguments.out)
                print(f"{path.stem} {name}: {done} of {len(batch)} clips", flush=True)


def _write_level(game_file: Path, level: Level, name: str, seeds, out: Path) -> int:
    engine, done = Engine(game_file, name), 0
    try:
        for seed in seeds:
            clip = render_clip(engine, level, int(seed))
            if clip is not None:
                save_clip(clip, out)
                done += 1
    finally:
        engine.close()
    return done


if __name__ == "__main__":
    main()
