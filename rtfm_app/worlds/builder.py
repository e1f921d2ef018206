"""Scene description: primitives, their grid, ground, light. Numpy only; the renderer draws it.

A primitive is a unit shape under an affine map, packed as seven texels (7, 4) float32:
    0-2  rows of local_from_world (3x4)
    3    texture layer, tiles per metre, uv offset (2)
    4    tint (rgb), gloss
    5    half sizes in metres (3), kind
    6    bump (or brightness of a glowing thing), snow or moss on top, free seed, 1 = picture
Shapes and kinds have the numbers of shaders/worlds/include/shapes.glsl and trace.glsl.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

BOX, SPHERE, CYLINDER, CONE, CARD, LEAF_BALL, LEAF_CONE, PRISM, ROCK, ARCH = range(10)
DIFFUSE, MIRROR, GLASS, GLOW, LEAF = range(5)

# Texture layers, in the order of shaders/worlds/bake_textures.glsl.
# fmt: off
LAYERS = (
    "brick", "rubble", "planks", "checker", "bark", "plaster", "rock", "grass", "gravel", "sand",
    "snow", "rooftiles", "marble", "parquet", "leaves", "cobbles", "metal", "fabric", "mosaic",
    "blocks", "litter", "books", "facade", "darkmarble",
)
# fmt: on
PICTURES = 20
LAYER_COUNT = len(LAYERS) + PICTURES
WALLS = ("brick", "rubble", "planks", "plaster", "blocks", "cobbles", "metal", "mosaic", "fabric")


@dataclass(frozen=True)
class Material:
    """How a primitive looks. `scale` is tiles per metre; `glow` the brightness of a lamp."""

    layer: str | int = "plaster"
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    scale: float = 0.5
    kind: int = DIFFUSE
    gloss: float = 0.0
    bump: float = 1.0
    snow: float = 0.0
    picture: bool = False

    @property
    def layer_index(self) -> int:
        return self.layer if isinstance(self.layer, int) else LAYERS.index(self.layer)

    def tinted(self, tint, **changes) -> Material:
        return replace(self, tint=tuple(float(x) for x in tint), **changes)


CHROME = Material("plaster", (0.97, 0.975, 0.985), kind=MIRROR)


def glass(tint=(0.93, 0.98, 0.96)) -> Material:
    return Material("plaster", tint, kind=GLASS)


def lamp_material(color, brightness: float) -> Material:
    return Material("snow", tuple(color), 0.2, GLOW, bump=brightness)


def picture(index: int) -> Material:
    return Material(len(LAYERS) + index % PICTURES, (1.0, 1.0, 1.0), bump=0.0, picture=True)


def yaw_rotation(yaw_radians: float) -> np.ndarray:
    """World-from-local rotation (3, 3) about +Y."""
    c, s = math.cos(yaw_radians), math.sin(yaw_radians)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def along(direction) -> np.ndarray:
    """Rotation (3, 3) whose local +Y points along `direction` (trunks, branches, posts)."""
    y = np.asarray(direction, dtype=np.float64)
    y = y / np.linalg.norm(y)
    side = np.array([0.0, 0.0, 1.0]) if abs(y[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    x = np.cross(y, side)
    x /= np.linalg.norm(x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


@dataclass(frozen=True)
class Mood:
    """Light of a scene. Colours are linear light; `sun` is the unit vector towards the sun."""

    name: str
    sun: tuple[float, float, float]
    sun_color: tuple[float, float, float]
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    fog_color: tuple[float, float, float]
    fog: float = 0.0012
    cloud: float = 0.5
    exposure: float = 0.62
    snow_line: float = 55.0
    ambient: float = 0.9
    stars: float = 0.0


@dataclass(frozen=True)
class Grid:
    """Columns of primitives: cells (G, G, 4) float32, lists (rows, 1024) int32 and the boxes of
    the list entries, low and high corner, (rows, 1024, 4) float32 for 512 entries a row."""

    corner: tuple[float, float]
    cell_size: float
    cells: np.ndarray
    lists: np.ndarray
    boxes: np.ndarray
    low: float
    high: float


@dataclass(frozen=True)
class Scene:
    """One place. `height` (R, R) float32 metres tiles every `tile` metres, row = z, column = x.

    `walk` are circles (x, z, radius) where a person may stand, `interest` points (M, 3) worth a
    look, `solid` the primitives' boxes for the distance probe.
    """

    family: str
    seed: int
    mood: Mood
    prims: np.ndarray
    shapes: np.ndarray
    grid: Grid
    walk: np.ndarray
    interest: np.ndarray
    uniforms: dict = field(default_factory=dict)
    lamps: np.ndarray = field(default_factory=lambda: np.zeros((0, 7)))
    height: np.ndarray | None = None
    tile: float = 768.0
    water: float = -1e6
    indoor: bool = False

    def ground_height(self, x, z):
        """Height in metres of the ground under (x, z); the same bilinear reading as the shader."""
        if self.height is None:
            return np.zeros(np.broadcast(x, z).shape)
        return sample_height(self.height, self.tile, x, z)

    def clearance(self, points: np.ndarray) -> np.ndarray:
        """Distance in metres (N,) from points (N, 3) to the nearest solid primitive's box.

        Grass tufts are no obstacle; an arch counts as its two posts and the block above.
        """
        points = np.atleast_2d(points)
        best = np.full(len(points), 1e3)
        solid = self.shapes != CARD
        prims, shapes = self.prims[solid], self.shapes[solid]
        near = np.abs(prims[:, None, 0:3, 3] + np.einsum("nij,mj->nmi", prims[:, 0:3, :3], points))
        half = prims[:, None, 5, :3]
        arch = (shapes == ARCH)[:, None]
        q = (near - 1.0) * half
        distance = np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)
        inside_door = arch & (near[..., 0] < 0.74)
        door = (0.74 - near[..., 0]) * half[..., 0]
        distance = np.where(inside_door, np.maximum(distance, np.minimum(door, 2.0)), distance)
        return np.minimum(best, distance.min(axis=0)) if len(distance) else best


def sample_height(height: np.ndarray, tile: float, x, z):
    size = height.shape[0]
    u = np.asarray(x) / tile * size - 0.5
    v = np.asarray(z) / tile * size - 0.5
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    a, b = u - i, v - j
    i0, i1, j0, j1 = i % size, (i + 1) % size, j % size, (j + 1) % size
    top = height[j0, i0] * (1 - a) + height[j0, i1] * a
    return top * (1 - b) + (height[j1, i0] * (1 - a) + height[j1, i1] * a) * b


class SceneBuilder:
    """Collects primitives; `build` packs them with their grid into a `Scene`."""

    def __init__(self, family: str, seed: int):
        self.family, self.seed = family, seed
        self.rng = np.random.default_rng([seed, sum(map(ord, family))])
        self.prims: list[np.ndarray] = []
        self.shapes: list[int] = []
        self.lamps: list[tuple] = []
        self.interest: list[tuple] = []
        self.walk: list[tuple] = []
        self.taken: list[tuple[float, float, float]] = []  # x, z, radius of what stands

    def add(self, shape: int, center, half, material: Material, rotation=None) -> None:
        """One primitive; `half` are half sizes (or radii) in metres along its own axes."""
        rotation = np.eye(3) if rotation is None else rotation
        if np.isscalar(rotation):
            rotation = yaw_rotation(rotation)
        center, half = np.asarray(center, float), np.broadcast_to(np.asarray(half, float), 3)
        linear = rotation.T / half[:, None]
        prim = np.zeros((7, 4), np.float32)
        prim[0:3, :3] = linear
        prim[0:3, 3] = -linear @ center
        prim[3] = (material.layer_index, material.scale, *self.rng.uniform(0, 8, 2))
        prim[4] = (*material.tint, material.gloss)
        prim[5] = (*half, material.kind)
        prim[6] = (material.bump, material.snow, self.rng.uniform(), material.picture)
        self.prims.append(prim)
        self.shapes.append(shape)

    def box(self, center, half, material, rotation=None):
        self.add(BOX, center, half, material, rotation)

    def sphere(self, center, radius, material):
        self.add(SPHERE, center, radius, material)

    def beam(self, start, end, radius: float, material: Material, shape: int = CYLINDER):
        """A round (or other) bar from start to end (3,)."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        length = float(np.linalg.norm(end - start))
        half = (radius, length / 2, radius)
        self.add(shape, (start + end) / 2, half, material, along(end - start))

    def lamp(self, position, color, reach: float):
        self.lamps.append((*position, reach, *color))

    def build(self, mood: Mood, uniforms: dict | None = None, cell: float = 2.5, **fields) -> Scene:
        prims = np.stack(self.prims) if self.prims else np.zeros((0, 7, 4), np.float32)
        shapes = np.array(self.shapes, np.int32)
        return Scene(
            self.family, self.seed, mood, prims, shapes, build_grid(prims, shapes, cell),
            np.array(self.walk, float).reshape(-1, 3),
            np.array(self.interest, float).reshape(-1, 3), uniforms or {},
            np.array(self.lamps, float).reshape(-1, 7), **fields,
        )  # fmt: skip


def bounds(prims: np.ndarray, shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World boxes (low, high) (N, 3) of the mapped unit shapes."""
    linear = np.linalg.inv(prims[:, 0:3, :3].astype(np.float64))
    center = -(linear @ prims[:, 0:3, 3, None].astype(np.float64))[..., 0]
    reach = np.abs(linear).sum(axis=2)
    ball = (shapes == SPHERE) | (shapes == LEAF_BALL)
    reach[ball] = np.linalg.norm(linear[ball], axis=2)
    return center - reach, center + reach


def build_grid(prims: np.ndarray, shapes: np.ndarray, cell: float, most: int = 160) -> Grid:
    """Sort primitives into columns of a square grid; the cell grows until `most` a side suffice."""
    if len(prims) == 0:
        empty = np.zeros((1, 1, 4), np.float32)
        lists, boxes = np.zeros((1, 1024), np.int32), np.zeros((2, 1024, 4), np.float32)
        return Grid((0.0, 0.0), 1.0, empty, lists, boxes, 0.0, 0.0)
    low, high = bounds(prims, shapes)
    corner = low[:, [0, 2]].min(axis=0) - 0.01
    extent = float((high[:, [0, 2]].max(axis=0) - corner).max()) + 0.02
    cell = max(cell, extent / most)
    side = max(1, math.ceil(extent / cell))
    members: list[list[int]] = [[] for _ in range(side * side)]
    first = ((low[:, [0, 2]] - corner) // cell).astype(int)
    last = np.minimum(((high[:, [0, 2]] - corner) // cell).astype(int), side - 1)
    for index, prim in enumerate(prims):
        for ix, iz in overlapped_cells(prim, first[index], last[index], corner, cell):
            members[iz * side + ix].append(index)
    cells = np.zeros((side * side, 4), np.float32)
    flat: list[int] = []
    for k, inside in enumerate(members):
        if inside:
            cells[k] = len(flat), len(inside), low[inside, 1].min(), high[inside, 1].max()
            flat += inside
    cells = cells.reshape(side, side, 4)
    empty = cells[..., 1] == 0
    cells[..., 2] = np.where(empty, distance_to_full(~empty), cells[..., 2])
    padded = -(-len(flat) // 1024) * 1024
    lists, boxes = np.zeros(padded, np.int32), np.zeros((padded, 2, 4), np.float32)
    lists[: len(flat)] = np.array(flat) * 16 + shapes[flat]
    boxes[: len(flat), 0, :3] = low[flat] - 1e-3
    boxes[: len(flat), 1, :3] = high[flat] + 1e-3
    return Grid(tuple(corner), cell, cells, lists.reshape(-1, 1024), boxes.reshape(-1, 1024, 4),
                float(low[:, 1].min()) - 0.01, float(high[:, 1].max()) + 0.01)  # fmt: skip


def distance_to_full(full: np.ndarray) -> np.ndarray:
    """Cells (G, G) from each cell to the nearest full one, diagonal steps counted as one."""
    distance = np.where(full, 0, 999)
    for _ in range(full.shape[0]):
        padded = np.pad(distance, 1, constant_values=999)
        nearest = np.min([padded[i : i + full.shape[0], j : j + full.shape[1]]
                          for i in range(3) for j in range(3)], axis=0)  # fmt: skip
        closer = np.minimum(distance, nearest + 1)
        if (closer == distance).all():
            break
        distance = closer
    return distance


def overlapped_cells(prim, first, last, corner, cell):
    """Cells (x, z) of the box's footprint; for upright boxes exact by their own two axes."""
    xs, zs = np.arange(first[0], last[0] + 1), np.arange(first[1], last[1] + 1)
    gx, gz = np.meshgrid(xs, zs)
    gx, gz = gx.ravel(), gz.ravel()
    x, z = corner[0] + (gx + 0.5) * cell, corner[1] + (gz + 0.5) * cell
    keep = np.ones(len(gx), bool)
    for row in prim[0:3]:
        if abs(row[1]) < 1e-9:
            reach = 1.0 + (abs(row[0]) + abs(row[2])) * cell * 0.5
            keep &= np.abs(row[0] * x + row[2] * z + row[3]) <= reach + 1e-4
    return zip(gx[keep], gz[keep], strict=True)
