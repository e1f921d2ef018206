"""Ray-marched worlds: conventions proved by re-projection, purity, paths, clips, bad input."""

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from rtfm_app.geometry import invert_pose, pixel_rays, pose_from_yaw_pitch, tangents
from rtfm_app.worlds import generate
from rtfm_app.worlds.builder import (
    ARCH,
    BOX,
    LAYER_COUNT,
    Material,
    SceneBuilder,
    bounds,
    build_grid,
)
from rtfm_app.worlds.moods import pick_mood
from rtfm_app.worlds.paths import CLEARANCE, make_path
from rtfm_app.worlds.renderer import (
    WorldRenderer,
    read_shader,
    shrink_image,
    shrink_inverse_depth,
)
from rtfm_app.worlds.scenes import FAMILIES, make_scene

HEIGHT, WIDTH = 144, 256


@pytest.fixture(scope="module")
def renderer():
    shared = WorldRenderer(texture_size=64)
    yield shared
    shared.close()


def one_box(**material):
    """A scene with one box 2 m wide, its face towards +Z at z = -3, on a bare floor."""
    b = SceneBuilder("objects", 0)
    b.box((0, 1, -4), (1, 1, 1), Material("planks", **material))
    b.walk.append((0, 0, 5))
    uniforms = {"u_ground": (7.0, 8.0, 0.4, 0.0), "u_ground_tint": (1.0, 1.0, 1.0)}
    return b.build(pick_mood(np.random.default_rng(0), ("noon",)), uniforms)


@pytest.mark.parametrize("family", FAMILIES)
def test_scene_is_a_pure_function_of_its_seed(family):
    one, same, other = make_scene(family, 5), make_scene(family, 5), make_scene(family, 6)
    assert np.array_equal(one.prims, same.prims) and one.uniforms == same.uniforms
    assert one.mood == same.mood and np.array_equal(one.grid.cells, same.grid.cells)
    assert one.prims.shape != other.prims.shape or not np.array_equal(one.prims, other.prims)
    assert one.prims[:, 3, 0].max() < LAYER_COUNT


def test_every_primitive_is_listed_in_the_cells_it_covers():
    scene = make_scene("village", 3)
    low, high = bounds(scene.prims, scene.shapes)
    grid = scene.grid
    side = len(grid.cells)
    for index in range(0, len(scene.prims), 37):
        center = (low[index] + high[index]) / 2
        ix, iz = ((center[[0, 2]] - grid.corner) // grid.cell_size).astype(int)
        assert 0 <= ix < side and 0 <= iz < side
        first, count = grid.cells[iz, ix, :2].astype(int)
        assert index in grid.lists.ravel()[first : first + count] >> 4


def test_empty_cells_tell_a_safe_distance():
    b = SceneBuilder("objects", 1)
    for x, z in ((0, 0), (37, 5), (-20, 31)):
        b.box((x, 1, z), 0.4, Material())
    grid = build_grid(np.stack(b.prims), np.array(b.shapes), 2.5)
    full = np.argwhere(grid.cells[..., 1] > 0)
    for row, column in np.argwhere(grid.cells[..., 1] == 0)[::7]:
        nearest = np.abs(full - (row, column)).max(axis=1).min()
        assert grid.cells[row, column, 2] == nearest


def test_clearance_knows_boxes_and_doorways():
    b = SceneBuilder("objects", 0)
    b.add(BOX, (5, 1, 0), (1, 1, 1), Material())
    b.add(ARCH, (0, 1.5, 0), (1, 1.5, 0.3), Material())
    scene = b.build(pick_mood(b.rng, ("noon",)))
    found = scene.clearance(np.array([[3.0, 1, 0], [5.0, 1, 0], [0.0, 1, 0], [0.9, 1, 0]]))
    assert found[0] == pytest.approx(1.0, abs=1e-5)
    assert found[1] < 0
    assert found[2] > 0.6, "the passage of an arch is free"
    assert found[3] < 0, "its post is not"


@pytest.mark.parametrize("family", FAMILIES)
def test_paths_keep_their_distance_and_overlap(family):
    scene = make_scene(family, 12)
    path = make_path(scene, 4)
    again = make_path(scene, 4)
    assert np.array_equal(path.poses, again.poses)
    eyes = path.poses[:, :3, 3]
    assert scene.clearance(eyes).min() > CLEARANCE - 1e-6
    ground = np.maximum(scene.ground_height(eyes[:, 0], eyes[:, 2]), scene.water)
    assert ((eyes[:, 1] - ground > 1.35) & (eyes[:, 1] - ground < 6.1)).all()
    steps = np.linalg.norm(np.diff(eyes, axis=0), axis=1)
    assert np.median(steps) < 0.75
    assert 45 <= np.degrees(path.fov_y_radians) <= 75


@pytest.mark.gl
def test_depth_of_a_known_box(renderer):
    renderer.load(one_box())
    pose = pose_from_yaw_pitch((0, 1, 0), 0.0, 0.0)
    picture = renderer.render(pose, 1.0, HEIGHT, WIDTH)
    assert picture.inverse_depth[HEIGHT // 2, WIDTH // 2] == pytest.approx(1 / 3, rel=1e-5)
    assert picture.inverse_depth[0, 0] == 0.0, "the top row shows the sky"
    floor = picture.inverse_depth[HEIGHT - 1, 3]
    rays = pixel_rays(HEIGHT, WIDTH, 1.0)
    assert floor == pytest.approx(-rays[HEIGHT - 1, 3, 1], rel=1e-4), "1 m above the floor"
    assert picture.masks is None


@pytest.mark.gl
@pytest.mark.parametrize("kind, bit", [(1, 1), (2, 2)])
def test_masks_name_mirror_and_glass(renderer, kind, bit):
    renderer.load(one_box(kind=kind))
    pose = pose_from_yaw_pitch((0, 1, 0), 0.0, 0.0)
    masks = renderer.render(pose, 1.0, HEIGHT, WIDTH, masks=True).masks
    assert masks[HEIGHT // 2, WIDTH // 2] & 7 == bit
    assert masks[0, 0] == 0


@pytest.mark.gl
@pytest.mark.parametrize("kind, through", [(1, True), (2, True), (0, False)])
def test_what_is_seen_in_a_mirror_or_through_a_pane_lies_behind_it(renderer, kind, through):
    renderer.load(one_box(kind=kind))
    pose = pose_from_yaw_pitch((0, 1, 0), 0.0, 0.0)
    picture = renderer.render(pose, 1.0, HEIGHT, WIDTH)
    row = HEIGHT * 3 // 5
    surface, seen = (x[row, WIDTH // 2] for x in (picture.inverse_depth, picture.seen))
    assert surface == pytest.approx(1 / 3, rel=1e-5)
    # the floor goes on in the mirror as it does behind the glass
    floor = -pixel_rays(HEIGHT, WIDTH, 1.0)[row, WIDTH // 2, 1]
    assert seen == pytest.approx(floor if through else surface, rel=1e-3)


def reprojected(one, two, pose_one, pose_two, fov):
    """Pixels of `one` carried into `two` by depth and poses: (colours, colours there, depth error).

    Only diffuse pixels that land inside `two` count.
    """
    solid = (one.inverse_depth > 1e-3) & (one.masks & 7 == 0)
    points = pixel_rays(HEIGHT, WIDTH, fov) / np.maximum(one.inverse_depth, 1e-3)[..., None]
    move = invert_pose(pose_two) @ pose_one
    there = points @ move[:3, :3].T + move[:3, 3]
    tan_x, tan_y = tangents(fov)
    column = (there[..., 0] / -there[..., 2] / tan_x + 1) * WIDTH / 2 - 0.5
    row = (1 - there[..., 1] / -there[..., 2] / tan_y) * HEIGHT / 2 - 0.5
    solid &= (there[..., 2] < -0.05) & (column >= 0) & (column < WIDTH - 1)
    solid &= (row >= 0) & (row < HEIGHT - 1)
    r, c = np.round(row[solid]).astype(int), np.round(column[solid]).astype(int)
    expected = 1 / -there[..., 2][solid]
    error = np.abs(two.inverse_depth[r, c] - expected) / expected
    return one.image[solid].astype(int), two.image[r, c].astype(int), error


@pytest.mark.gl
@pytest.mark.parametrize("family", ["objects", "lake", "garden"])
def test_depth_pose_and_intrinsics_carry_pixels_between_frames(renderer, family):
    scene = make_scene(family, 3)
    renderer.load(scene)
    fov = 1.05
    pose = make_path(scene, 1, 1).poses[0]
    moved = pose.copy()
    moved[:3, 3] += pose[:3, 0] * 0.25
    moved[:3, :3] = pose[:3, :3] @ pose_from_yaw_pitch((0, 0, 0), 0.06, 0.0)[:3, :3]
    one, two = (renderer.render(p, fov, HEIGHT, WIDTH, masks=True) for p in (pose, moved))
    colors, there, error = reprojected(one, two, pose, moved, fov)
    assert len(error) > 3000
    visible = error < 0.05
    assert visible.mean() > 0.8
    assert np.median(error) < 0.01
    assert np.median(np.abs(colors - there)[visible]) <= 5
    # the same without the depth is far worse, so that the test can fail
    still = np.abs(one.image.astype(int) - two.image).mean()
    assert np.abs(colors - there)[visible].mean() < 0.6 * still


@pytest.mark.gl
def test_clip_is_reproducible_and_complete(renderer, tmp_path):
    clip = generate.generate_clip("garden", 7, frames=2, renderer=renderer)
    again = generate.generate_clip("garden", 7, frames=2, renderer=renderer)
    assert np.array_equal(clip.images, again.images)
    assert clip.images.shape == (2, HEIGHT, WIDTH, 3)
    assert clip.family == clip.biome == "garden" and clip.mood
    assert np.isfinite(clip.inverse_depth).all() and clip.inverse_depth.min() >= 0


@pytest.mark.gl
def test_contact_sheet_has_a_row_for_each_place():
    sheet = generate.contact_sheet(["objects"], [8, 9], views=2, height=36)
    assert sheet.shape == (72, 128, 3)
    assert np.abs(sheet[:36].astype(int) - sheet[36:]).mean() > 5


def test_existing_clips_are_not_made_again(tmp_path, monkeypatch):
    path = generate.clip_path(tmp_path, "lake", 3, 0)
    path.parent.mkdir(parents=True)
    path.touch()
    assert generate.generate(tmp_path, ["lake"], [3], scenes=1, frames=2) == 0


def test_shrinking_keeps_flat_pictures_and_planes():
    flat = np.full((27, 48, 3), 201, np.uint8)
    assert (shrink_image(flat, 18, 32) == 201).all()
    step = np.zeros((3, 3, 3), np.uint8)
    step[:, 2:] = 90
    assert shrink_image(step, 1, 1)[0, 0, 0] == 30
    plane = np.add.outer(np.arange(6), np.arange(9)) * 0.001 + 0.2
    assert shrink_inverse_depth(plane, 3)[0, 0] == pytest.approx(plane[1, 1])
    edge = np.full((3, 3), 0.1)
    edge[0, 0] = 2.0
    assert shrink_inverse_depth(edge, 3)[0, 0] == 2.0


def test_shaders_are_found_and_includes_resolved():
    for family in FAMILIES:
        source = read_shader(f"{family}.glsl")
        assert "#include" not in source
        assert source.startswith("#version 330")


@pytest.mark.parametrize("arguments", [["--families", "moon"], ["--seeds", "x-3"]])
def test_bad_input_gets_one_line(tmp_path, arguments):
    app = typer.Typer()
    app.command()(generate.main)
    result = CliRunner().invoke(app, ["--out", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert len(result.output.strip().splitlines()) == 1


def test_unknown_family_is_named():
    with pytest.raises(ValueError, match="moon"):
        make_scene("moon", 1)
