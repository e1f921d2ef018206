"""Draws a `Scene` without a window: moderngl on EGL, one GLSL program per family.

    renderer = WorldRenderer()
    renderer.load(make_scene("lake", 3))
    picture = renderer.render(camera_to_world, fov_y_radians, 144, 256)

Colour, inverse distance and masks come from one pass. Not here: what is in a scene (`scenes`).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import moderngl
import numpy as np

from .builder import LAYER_COUNT, Scene

INCLUDE = re.compile(r'^#include "([^"]+)"\s*$', re.MULTILINE)


@dataclass(frozen=True)
class Picture:
    """image (H, W, 3) uint8, row 0 on top; inverse_depth (H, W) float32 1/metres (0 = sky) of the
    surfaces; seen: the same of what shows there, which in a flat mirror or in still water is the
    mirrored place behind it, and behind a pane what stands there; masks (H, W) uint8 bits (1
    mirror, 2 glass, 4 water, 8 shadow), or None when not asked for."""

    image: np.ndarray
    inverse_depth: np.ndarray
    seen: np.ndarray
    masks: np.ndarray | None = None


def find_shaders() -> Path:
    """Folder of the world shaders, in an installed package or in a checkout.

    Raises:
        ValueError: neither place has them.
    """
    package = Path(__file__).resolve().parent.parent
    for root in (package, package.parent):
        folder = root / "shaders" / "worlds"
        if (folder / "fullscreen.vert").is_file():
            return folder
    raise ValueError(f"no shaders/worlds in {package} or {package.parent}; reinstall the program")


def read_shader(name: str) -> str:
    """Source of shaders/worlds/<name> with its `#include "file"` lines replaced."""
    folder = find_shaders()
    text = (folder / name).read_text()
    while INCLUDE.search(text):
        text = INCLUDE.sub(lambda match: (folder / match.group(1)).read_text(), text)
    return text


class WorldRenderer:
    """Owns a GL context; holds one scene at a time.

    `texture_size` is the side of a material tile in texels: 256 is enough for 256x144 pictures.

    Raises:
        ValueError: no EGL or OpenGL 3.3 on this machine.
    """

    def __init__(self, texture_size: int = 512):
        try:
            self.ctx = moderngl.create_context(standalone=True, backend="egl", require=330)
        except Exception as error:  # moderngl raises bare Exception
            raise ValueError(
                f"cannot draw without a window ({error}); install libegl1 and libgl1-mesa-dri"
            ) from error
        self._programs: dict[str, moderngl.VertexArray] = {}
        self._targets: dict[tuple[int, int], moderngl.Framebuffer] = {}
        self._scene_textures: list[moderngl.Texture] = []
        self._noise = self._bake("bake_noise.glsl", (256, 256), {})
        self._noise.build_mipmaps()
        self._noise.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        self._textures = self._bake_materials(texture_size)
        self.scene: Scene | None = None

    def load(self, scene: Scene) -> None:
        """Upload a scene; the former one is forgotten."""
        for texture in self._scene_textures:
            texture.release()
        self._scene_textures = []
        self._array = self._program(f"{scene.family}.glsl")
        self._units = {"u_noise": self._noise, "u_textures": self._textures}
        prims = scene.prims if len(scene.prims) else np.zeros((1, 7, 4), np.float32)
        self._units["u_prims"] = self._upload(prims)
        self._units["u_cells"] = self._upload(scene.grid.cells)
        self._units["u_bounds"] = self._upload(scene.grid.boxes)
        self._units["u_lists"] = self._upload(scene.grid.lists[..., None])
        if scene.height is not None:
            self._load_ground(scene)
        self._set(self._array.program, scene_uniforms(scene))
        self.scene = scene

    def render(
        self, camera_to_world, fov_y_radians: float, height: int, width: int, masks: bool = False
    ) -> Picture:
        """Draw one view, one ray a pixel; draw larger and use `shrink_image` for smooth edges."""
        assert self.scene is not None, "load a scene first"
        program = self._array.program
        tan_y = math.tan(fov_y_radians / 2)
        pose = np.asarray(camera_to_world, dtype=np.float64)
        self._set(program, {
            "u_eye": tuple(pose[:3, 3]), "u_rotation": tuple(pose[:3, :3].T.ravel()),
            "u_tangent": (tan_y * width / height, tan_y), "u_pixel_angle": 2 * tan_y / height,
            "u_masks": int(masks),
        })  # fmt: skip
        for unit, (name, texture) in enumerate(self._units.items()):
            if name in program:
                texture.use(unit)
                program[name] = unit
        target = self._target(width, height)
        target.use()
        self._array.render(moderngl.TRIANGLES, vertices=3)
        color = np.frombuffer(target.read(components=3, alignment=1), np.uint8)
        extra = np.frombuffer(target.read(attachment=1, components=3, dtype="f4"), np.float32)
        color = color.reshape(height, width, 3)[::-1]
        extra = extra.reshape(height, width, 3)[::-1]
        bits = extra[..., 1].astype(np.uint8) if masks else None
        return Picture(color.copy(), extra[..., 0].copy(), extra[..., 2].copy(), bits)

    def close(self) -> None:
        self.ctx.release()

    def _program(self, name: str) -> moderngl.VertexArray:
        if name not in self._programs:
            program = self.ctx.program(read_shader("fullscreen.vert"), read_shader(name))
            self._programs[name] = self.ctx.vertex_array(program, [])
        return self._programs[name]

    def _target(self, width: int, height: int) -> moderngl.Framebuffer:
        if (width, height) not in self._targets:
            color = self.ctx.texture((width, height), 4)
            extra = self.ctx.texture((width, height), 4, dtype="f4")
            self._targets[width, height] = self.ctx.framebuffer([color, extra])
        return self._targets[width, height]

    def _bake(self, shader: str, size, uniforms: dict) -> moderngl.Texture:
        texture = self.ctx.texture(size, 4)
        target = self.ctx.framebuffer([texture])
        self._draw_into(target, shader, uniforms)
        target.release()
        return texture

    def _draw_into(self, target, shader: str, uniforms: dict) -> None:
        array = self._program(shader)
        target.use()
        self._set(array.program, uniforms)
        array.render(moderngl.TRIANGLES, vertices=3)

    def _bake_materials(self, side: int) -> moderngl.TextureArray:
        size = (side, side)
        layers = []
        target = self.ctx.framebuffer([self.ctx.texture(size, 4)])
        for layer in range(LAYER_COUNT):
            self._draw_into(target, "bake_textures.glsl", {"u_layer": layer, "u_salt": layer * 17})
            layers.append(target.read(components=4))
        target.release()
        array = self.ctx.texture_array((*size, LAYER_COUNT), 4, b"".join(layers))
        array.build_mipmaps()
        array.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        return array

    def _upload(self, values: np.ndarray) -> moderngl.Texture:
        rows, columns, channels = values.shape
        kind = "i4" if values.dtype == np.int32 else "f4"
        data = np.ascontiguousarray(values).tobytes()
        texture = self.ctx.texture((columns, rows), channels, data, dtype=kind)
        texture.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self._scene_textures.append(texture)
        return texture

    def _load_ground(self, scene: Scene) -> None:
        height = self._upload(scene.height[..., None].astype(np.float32))
        height.build_mipmaps()
        height.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        height.use(0)
        light = self._bake("bake_light.glsl", scene.height.shape, {
            "u_height": 0, "u_sun": scene.mood.sun, "u_tile": scene.tile,
            "u_height_max": float(scene.height.max()) + 0.5,
        })  # fmt: skip
        light.build_mipmaps()
        light.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        self._scene_textures.append(light)
        self._units |= {"u_height": height, "u_light": light}

    @staticmethod
    def _set(program, uniforms: dict) -> None:
        for name, value in uniforms.items():
            if name in program:  # a family's compiler drops what the family does not use
                program[name] = value


def scene_uniforms(scene: Scene) -> dict:
    """Everything of a scene that is not a texture, by uniform name."""
    mood, grid = scene.mood, scene.grid
    lamps = np.zeros((16, 7))
    lamps[: len(scene.lamps)] = scene.lamps[:16]
    return {
        "u_grid": (*grid.corner, grid.cell_size, float(grid.cells.shape[0])),
        "u_grid_y": (grid.low, grid.high),
        "u_sun": mood.sun, "u_sun_color": mood.sun_color, "u_zenith": mood.zenith,
        "u_horizon": mood.horizon, "u_fog_color": mood.fog_color, "u_fog": mood.fog,
        "u_cloud": mood.cloud, "u_exposure": mood.exposure, "u_snow": mood.snow_line,
        "u_ambient": mood.ambient, "u_stars": mood.stars, "u_water": scene.water, "u_wave": 0.055,
        "u_room": (0.0, 0.0, 0.0),
        "u_lamp_count": min(len(scene.lamps), 16),
        "u_lamps": [tuple(row[:4]) for row in lamps],
        "u_lamp_colors": [tuple(row[4:]) for row in lamps],
        "u_height_max": 0.0 if scene.height is None else float(scene.height.max()) + 0.5,
        "u_tile": scene.tile,
    } | scene.uniforms  # fmt: skip


def area_weights(size: int, smaller: int) -> np.ndarray:
    """(smaller, size): share of each old pixel in each new one, rows sum to 1."""
    edges = np.linspace(0, size, smaller + 1)
    low, high = edges[:-1, None], edges[1:, None]
    old = np.arange(size)
    return np.clip(np.minimum(high, old + 1) - np.maximum(low, old), 0, 1) * smaller / size


def shrink_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Area mean of an image (h, w, 3) uint8 at a smaller size (height, width, 3) uint8."""
    rows = area_weights(image.shape[0], height).astype(np.float32)
    columns = area_weights(image.shape[1], width).astype(np.float32)
    mean = np.einsum("ij,jkc->ikc", rows, image.astype(np.float32), optimize=True)
    mean = np.einsum("kj,ijc->ikc", columns, mean, optimize=True)
    return np.round(mean).astype(np.uint8)


def shrink_inverse_depth(inverse_depth: np.ndarray, n: int) -> np.ndarray:
    """(nH, nW) -> (H, W): the mean where a block is one surface (exact on planes, where inverse
    depth is linear in the picture), else the nearest thing, so that no depth lies in mid-air."""
    height, width = inverse_depth.shape[0] // n, inverse_depth.shape[1] // n
    blocks = inverse_depth.reshape(height, n, width, n)
    low, high = blocks.min(axis=(1, 3)), blocks.max(axis=(1, 3))
    return np.where(high - low > 0.15 * high, high, blocks.mean(axis=(1, 3))).astype(np.float32)
