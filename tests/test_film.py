"""Film paths, the lens and the shutter, films as files."""

import json
import math
from dataclasses import replace

import av
import numpy as np
import pattern_engine
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rtfm_app.cli import run
from rtfm_app.config import GenerationSettings
from rtfm_app.film import FilmWriter, PictureWriter, film_writer
from rtfm_app.film_path import FilmKey, FilmPath, keys_from_json, quaternion_of, rotation_of
from rtfm_app.film_render import (
    FilmSettings,
    draw_film,
    film_settings_from_json,
    from_linear,
    lens_points,
    middle_distance,
    shifted_crop,
    shutter_moments,
    to_linear,
)
from rtfm_app.geometry import (
    check_pose,
    pixel_rays,
    pose_from_yaw_pitch,
    rotation_angle,
    scaled_fov,
    tangents,
)
from rtfm_app.memory.world_file import WorldFile

FOV = math.radians(60)
KEYS = [
    FilmKey(pose_from_yaw_pitch((0.0, 1.6, 0.0), 0.0, 0.0)),
    FilmKey(pose_from_yaw_pitch((1.0, 1.6, -2.0), -0.9, 0.2)),
    FilmKey(pose_from_yaw_pitch((4.0, 2.0, -2.5), -2.8, -0.3)),
    FilmKey(pose_from_yaw_pitch((4.5, 1.6, -0.5), 2.6, 0.0)),
]


# ---- the path ----


@pytest.mark.parametrize("even", [True, False])
def test_the_path_passes_through_every_key(even):
    path = FilmPath(KEYS, even)
    for key, share in zip(KEYS, path.key_shares(), strict=True):
        assert np.abs(path.pose_at(share) - key.camera_to_world).max() < 1e-3


def test_every_pose_is_rigid_level_and_near_the_one_before():
    path = FilmPath(KEYS)
    poses = [check_pose(path.pose_at(s), tolerance=1e-9) for s in np.linspace(0, 1, 400)]
    assert max(abs(p[1, 0]) for p in poses) < 1e-9, "the horizon tilts"
    moved = [np.linalg.norm(b[:3, 3] - a[:3, 3]) for a, b in zip(poses, poses[1:], strict=False)]
    turned = [
        rotation_angle(a[:3, :3].T @ b[:3, :3]) for a, b in zip(poses, poses[1:], strict=False)
    ]
    assert max(moved) < 0.05 and max(turned) < 0.06


def test_even_speed_is_even_where_the_camera_only_moves():
    places = [(0, 0, 0), (0.3, 0, 0), (3.0, 0, 1.0), (3.2, 0, 4.0)]
    path = FilmPath([FilmKey(pose_from_yaw_pitch(p, 0.0, 0.0)) for p in places])
    points = np.array([path.pose_at(s)[:3, 3] for s in np.linspace(0, 1, 200)])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert steps.std() / steps.mean() < 0.02
    assert path.metres == pytest.approx(path.natural_seconds * 1.5, rel=1e-3)
    legs = FilmPath(path.keys, even=False)
    assert legs.key_shares() == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_a_key_where_the_camera_only_turns_is_no_trouble():
    there = pose_from_yaw_pitch((1.0, 1.6, 0.0), 1.0, 0.0)
    path = FilmPath(
        [KEYS[0], FilmKey(pose_from_yaw_pitch((0.0, 1.6, 0.0), 0.8, 0)), FilmKey(there)]
    )
    assert all(np.isfinite(path.pose_at(s)).all() for s in np.linspace(0, 1, 50))
    with pytest.raises(ValueError, match="two key poses"):
        FilmPath(KEYS[:1])
    with pytest.raises(ValueError, match="the same"):
        FilmPath([KEYS[0], KEYS[0]])


@given(st.floats(-math.pi, math.pi), st.floats(-1.5, 1.5), st.floats(-math.pi, math.pi))
def test_quaternions_round_trip(yaw, pitch, roll):
    rotation = pose_from_yaw_pitch((0, 0, 0), yaw, pitch)[:3, :3]
    c, s = math.cos(roll), math.sin(roll)
    rotation = rotation @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    assert np.abs(rotation_of(quaternion_of(rotation)) - rotation).max() < 1e-9


def test_focus_is_pulled_from_key_to_key():
    keys = [replace(KEYS[0], focus_m=1.0), KEYS[1], replace(KEYS[3], focus_m=4.0)]
    path = FilmPath(keys, even=False)
    assert path.focus_at(0) == 1.0 and path.focus_at(1) == 4.0
    assert path.focus_at(0.5) == pytest.approx(1 / ((1 + 0.25) / 2))
    assert FilmPath(KEYS).focus_at(0.3) is None


def test_keys_as_json_and_bookmarks_are_keys():
    assert keys_from_json([k.to_json() for k in KEYS])[2].focus_m is None
    bookmark = {"name": "Door", "camera_to_world": np.eye(4).tolist()}
    assert keys_from_json([bookmark])[0].name == "Door"
    for bad in (None, [{}], [{"camera_to_world": [[1]]}], [bookmark | {"focus_m": -1}]):
        with pytest.raises(ValueError, match="the film"):
            keys_from_json(bad)


# ---- lens and shutter ----


class WallEngine:
    """Pictures of an upright textured wall `distance` ahead of the origin, drawn exactly."""

    def __init__(self, world_fov: float, distance: float):
        self.world = type("World", (), {"fov_y_radians": world_fov})()
        self.distance = distance
        self.drawn: list[np.ndarray] = []
        self.advanced = 0

    def step(self, pose, settings, *, overscan=1.0, **_):
        self.drawn.append(np.array(pose))
        fov = scaled_fov(self.world.fov_y_radians, overscan)
        rays = pixel_rays(settings.height, settings.width, fov)
        points = pose[:3, 3] + rays * (self.distance + pose[2, 3])
        waves = np.sin(points[..., :2] * 7).sum(-1, keepdims=True)
        image = np.repeat((waves * 55 + 128).astype(np.uint8), 3, axis=2)
        depth = np.full((9, 16), 1 / self.distance, np.float32)
        fields = {"image": image, "inverse_depth": depth, "confidence": np.ones((9, 16))}
        return type("Frame", (), fields)()

    def advance(self, pose, settings, **_):
        self.advanced += 1


def pictures_of(engine, path, settings) -> list[np.ndarray]:
    steps = list(draw_film(engine, path, settings, GenerationSettings()))
    assert [s.done for s in steps] == list(range(1, steps[-1].total + 1))
    return [s.picture for s in steps if s.picture is not None]


def detail(picture) -> float:
    return float(np.abs(np.diff(picture[..., 0].astype(float), axis=1)).mean())


def still_path() -> FilmPath:
    """As good as standing still."""
    return FilmPath([KEYS[0], FilmKey(pose_from_yaw_pitch((0.0, 1.6, -1e-4), 0, 0))])


def test_a_lens_keeps_its_focus_distance_sharp_into_the_corners_and_blurs_the_rest():
    engine = WallEngine(FOV, 3.0)
    settings = FilmSettings(seconds=0.1, fps=20, aperture_m=0.3, samples=32)
    plain = pictures_of(engine, still_path(), replace(settings, aperture_m=0.0))[0]
    sharp = pictures_of(engine, still_path(), replace(settings, focus_m=3.0))[0]
    blurred = pictures_of(engine, still_path(), replace(settings, focus_m=0.8))[0]
    assert np.abs(sharp.astype(int) - plain)[4:-4, 4:-4].max() <= 4
    assert detail(blurred) < 0.5 * detail(plain)


def test_focus_finds_what_stands_in_the_middle():
    engine = WallEngine(FOV, 5.0)
    settings = FilmSettings(seconds=0.1, fps=20, aperture_m=0.3, samples=16)
    found = pictures_of(engine, still_path(), settings)[0]
    given_ = pictures_of(engine, still_path(), replace(settings, focus_m=5.0))[0]
    assert np.abs(found.astype(int) - given_).max() <= 2
    assert middle_distance(engine.step(np.eye(4), GenerationSettings())) == pytest.approx(5.0)


def test_the_open_shutter_smears_along_the_motion():
    engine = WallEngine(FOV, 3.0)
    path = FilmPath([KEYS[0], FilmKey(pose_from_yaw_pitch((3.0, 1.6, 0.0), 0, 0))])
    settings = FilmSettings(seconds=1.0, fps=5, samples=16)
    still = pictures_of(engine, path, settings)[2].astype(float)
    moving = pictures_of(engine, path, replace(settings, shutter_degrees=360.0))[2].astype(float)
    along = np.abs(np.diff(moving, axis=1)).mean() / np.abs(np.diff(still, axis=1)).mean()
    across = np.abs(np.diff(moving, axis=0)).mean() / np.abs(np.diff(still, axis=0)).mean()
    assert along < 0.45 and across > 0.9


def test_samples_cover_disc_and_opening_evenly_and_in_unrelated_order():
    points, moments = lens_points(64), shutter_moments(64)
    assert np.abs(points.mean(0)).max() < 1e-12 and np.linalg.norm(points, axis=1).max() < 1.1
    assert np.allclose(np.sort(moments), (np.arange(64) + 0.5) / 64 - 0.5)
    radii = np.linalg.norm(points, axis=1)
    assert abs(np.corrcoef(radii, moments)[0, 1]) < 0.15
    assert lens_points(1) == pytest.approx(np.zeros((1, 2)))


def test_light_is_averaged_as_light():
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(from_linear(to_linear(codes)), codes)
    black_and_white = (to_linear(np.uint8(0)) + to_linear(np.uint8(255))) / 2
    assert from_linear(black_and_white) == 188


def test_a_shifted_crop_is_the_off_axis_view():
    fov, rows = scaled_fov(FOV, 180 / 144), 180
    rays = pixel_rays(rows, 320, fov)
    wide = (np.sin(rays[..., :2] * 9).sum(-1, keepdims=True) * 55 + 128).astype(np.uint8)
    wide = np.repeat(wide, 3, axis=2)
    pixels = 72 / tangents(FOV)[1]
    rays = pixel_rays(144, 256, FOV) - (0.07, -0.05, 0)
    truth = np.sin(rays[..., :2] * 9).sum(-1) * 55 + 128
    shifted = shifted_crop(wide, 144, (0.07 * pixels, 0.05 * pixels))
    assert np.abs(shifted[..., 0] - truth).max() < 4


def test_commit_walks_the_path_once_and_nothing_is_committed_otherwise():
    engine = WallEngine(FOV, 3.0)
    settings = FilmSettings(seconds=0.2, fps=10)
    pictures_of(engine, FilmPath(KEYS[:2]), settings)
    assert engine.advanced == 0
    pictures_of(engine, FilmPath(KEYS[:2]), replace(settings, commit=True))
    assert engine.advanced > 10


def test_bad_film_settings_are_refused_and_bad_saved_ones_fall_back():
    for bad in ({"fps": 0}, {"height": 100}, {"aperture_m": 2.0}, {"shutter_degrees": 400}):
        with pytest.raises(ValueError, match="film"):
            FilmSettings(**bad)
    saved = {"fps": 30, "height": "tall", "samples": -1, "unknown": 1}
    assert film_settings_from_json(saved) == FilmSettings(fps=30)


# ---- files ----


def test_a_film_keeps_its_times_and_a_discarded_one_leaves_nothing(tmp_path):
    writer = FilmWriter(tmp_path / "a.mp4")
    for i in range(6):
        writer.add(np.full((36, 64, 3), i * 40, np.uint8), i / 24)
    writer.close()
    with av.open(str(tmp_path / "a.mp4")) as film:
        times = [frame.time for frame in film.decode(video=0)]
    assert np.diff(times) == pytest.approx([1 / 24] * 5, abs=2e-3)
    given_up = film_writer(tmp_path / "b.mp4")
    given_up.add(np.zeros((36, 64, 3), np.uint8), 0)
    given_up.discard()
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    with pytest.raises(ValueError, match="mp4"):
        film_writer(tmp_path / "b.gif")


@pytest.fixture
def stand_in_engine(monkeypatch):
    """`rtfm film` with the pattern engine in the place of the model."""

    class Engine:
        @staticmethod
        def open(world, *, device):
            engine = pattern_engine.open_engine(world, delay_s=0.0)
            step = engine.step
            engine.step = lambda pose, settings, *, follow, **options: step(
                pose, settings, **options
            )
            return engine

    monkeypatch.setattr("rtfm_app.engine.FrameEngine", Engine)


def test_rtfm_film_writes_pictures_and_goes_on_where_it_stopped(
    tmp_path, stand_in_engine, monkeypatch
):
    world = tmp_path / "w.rtfm"
    pattern_engine.make_world(world)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [k.to_json() for k in KEYS[:2]]}))
    out = tmp_path / "out"
    command = ["film", str(world), "--keys", str(keys), "--out", str(out), "--seconds", "0.5"]
    command += ["--fps", "10", "--size", "256x144", "--samples", "2", "--shutter", "180"]
    stopped = []

    def stop_at_three(self, image, time_s, add=PictureWriter.add):
        add(self, image, time_s)
        if self.frames == 3 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    monkeypatch.setattr("rtfm_app.film.PictureWriter.add", stop_at_three)
    assert run(command) == 130
    before = (out / "000001.png").stat().st_mtime_ns
    assert run(command) == 0
    assert sorted(p.name for p in out.iterdir()) == [f"{i:06d}.png" for i in range(5)]
    assert (out / "000001.png").stat().st_mtime_ns == before
    assert Image.open(out / "000004.png").size == (256, 144)


def test_rtfm_film_takes_bookmarks_and_explains_what_is_missing(tmp_path, stand_in_engine, capsys):
    world = tmp_path / "w.rtfm"
    pattern_engine.make_world(world)
    out = tmp_path / "film.mp4"
    command = ["film", str(world), "--keys", "bookmarks", "--out", str(out), "--seconds", "0.3"]
    assert run(command) == 2 and "two key poses" in capsys.readouterr().err
    with WorldFile.open(world) as opened:
        opened.set_state("bookmarks", [k.to_json() for k in KEYS])
    assert run(command) == 0
    with av.open(str(out)) as film:
        assert sum(1 for _ in film.decode(video=0)) == 7
    for wrong in (["--keys", str(tmp_path / "none.json")], ["--size", "100x100"]):
        assert run(["film", str(world), "--out", str(out), *wrong]) == 2
