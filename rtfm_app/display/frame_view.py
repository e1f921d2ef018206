"""Draws the newest model frame from the newest camera (`FrameView`), by `shaders/display/frame.*`.

Rotation is re-projected exactly, so the mouse is answered in the very next display frame; with
`smooth`, the motion since the frame was drawn is followed with the frame's own guess of distance.
"""

from __future__ import annotations

import numpy as np

from ..card import CardPictures, pictures_for_card
from ..frame import Frame
from ..geometry import ASPECT, tangents
from ..resources import shader
from . import warp_grid
from .measurements import Moment

MAX_SHIFT = 0.6
TEXTURES = ("u_frame", "u_soft", "u_planes")


def view_tangents(fov_y_radians: float, window_aspect: float) -> tuple[float, float]:
    """(tan_x, tan_y) of the window's half field of view: the world's 16:9 picture, cropped to the
    window's shape, always fills the window."""
    tan_x, tan_y = tangents(fov_y_radians)
    if window_aspect >= ASPECT:
        return tan_x, tan_x / window_aspect
    return tan_y * window_aspect, tan_y


class FrameView:
    """Holds one frame on the graphics card. `gl` is a moderngl context.

    On a graphics card each pixel is sampled with a bicubic filter. A software renderer has no time
    for that: there the frame comes enlarged (`card.py`) and is sampled bilinearly.
    """

    def __init__(self, gl, *, software: bool = False):
        self._gl = gl
        self._software = software
        self._variants: dict[tuple[str, ...], tuple] = {}
        self._textures: dict[str, object] = {}
        self._triangles = gl.buffer(warp_grid.TRIANGLES.tobytes(), dynamic=True)
        self._roots = np.zeros((1, 1), np.float32)
        self.frame: Frame | None = None
        self.uploading = Moment()

    def show(self, frame: Frame, pictures: CardPictures | None = None) -> None:
        """Put a new model frame on the card; `uploading` adds up the time spent in GL. `pictures`
        are made here, which takes some milliseconds, if the worker has not made them."""
        if pictures is None:
            pictures = pictures_for_card(frame, software=self._software)
        self._upload("u_frame", pictures.picture)
        self._upload("u_soft", pictures.soft)
        self._upload("u_planes", pictures.planes)
        self._roots = pictures.planes[..., 0].astype(np.float32) / 255
        self.frame = frame

    def clear(self) -> None:
        """Show nothing: another world is being opened."""
        self.frame = None

    def draw(
        self,
        camera_to_world: np.ndarray,
        fov_y_radians: float,
        window_size: tuple[int, int],
        *,
        smooth: bool = True,
        heat: float = 0.0,
    ) -> None:
        """Draw over the whole viewport; nothing when there is no frame yet.

        Args:
            camera_to_world: (4, 4), the newest camera.
            fov_y_radians: field of view of a 16:9 window.
            window_size: framebuffer pixels (width, height).
            smooth: follow the translation since the frame was drawn.
            heat: strength 0..1 of the map of what is remembered and what imagined.
        """
        if self.frame is None:
            return
        rotation = self.frame.camera_to_world[:3, :3]
        to_frame = rotation.T @ camera_to_world[:3, :3]
        shift = rotation.T @ (camera_to_world[:3, 3] - self.frame.camera_to_world[:3, 3])
        shift = _limited(shift) if smooth else np.zeros(3)
        tan_view = view_tangents(fov_y_radians, window_size[0] / max(window_size[1], 1))
        tan_frame = tangents(self.frame.fov_y_radians)
        variant = {
            "SHARP": not self._software,
            "SMOOTH": bool(shift.any()),
            "BORDERS": sees_past_border(to_frame, tan_view, tan_frame, bool(shift.any())),
            "HEAT": heat > 0,
        }
        uniforms = {
            "u_to_frame": tuple(to_frame.T.reshape(-1)),
            "u_shift": tuple(shift),
            "u_tan_view": tan_view,
            "u_tan_frame": tan_frame,
            "u_size": self._textures["u_frame"].size,
            "u_heat": heat,
        }
        for unit, name in enumerate(TEXTURES):
            self._textures[name].use(unit)
        if not variant["SMOOTH"]:
            self._render(variant, uniforms, 3)
            return
        inner = 0
        if variant["BORDERS"]:
            cells = warp_grid.inside_cells(to_frame, shift, self._roots, tan_view, tan_frame)
            triangles, inner = warp_grid.sorted_triangles(cells)
            self._triangles.write(triangles)
        if inner:
            self._render({**variant, "BORDERS": False}, uniforms, inner)
        if inner < warp_grid.TRIANGLES.size:
            self._render(variant, uniforms, warp_grid.TRIANGLES.size - inner, inner)

    def _render(self, variant: dict[str, bool], uniforms: dict, vertices: int, first: int = 0):
        """Draw so many vertices, in this variant of the shader."""
        program, triangles = self._variant(tuple(k for k, on in variant.items() if on))
        for name, value in uniforms.items():
            if name in program:
                program[name] = value
        triangles.render(self._gl.TRIANGLES, vertices=vertices, first=first)

    def release(self) -> None:
        for program, triangles in self._variants.values():
            triangles.release()
            program.release()
        self._triangles.release()
        for texture in self._textures.values():
            texture.release()
        self._variants.clear()
        self._textures.clear()

    def _variant(self, defines: tuple[str, ...]) -> tuple:
        """(program, triangles) of the shader with these `#define`s."""
        if defines not in self._variants:
            program = self._gl.program(
                vertex_shader=_source("display/frame.vert", defines),
                fragment_shader=_source("display/frame.frag", defines),
            )
            for unit, name in enumerate(TEXTURES):
                if name in program:
                    program[name] = unit
            cells = self._triangles if "SMOOTH" in defines else None
            self._variants[defines] = (
                program,
                self._gl.vertex_array(program, [], index_buffer=cells),
            )
        return self._variants[defines]

    def _upload(self, name: str, pixels: np.ndarray) -> None:
        """Write (H, W, 4) uint8 into the texture of this name."""
        height, width, components = pixels.shape
        texture = self._textures.get(name)
        if texture is None or texture.size != (width, height):
            if texture is not None:
                texture.release()
            texture = self._gl.texture((width, height), components)
            texture.filter = (self._gl.LINEAR, self._gl.LINEAR)
            texture.repeat_x = texture.repeat_y = False
            self._textures[name] = texture
        started = Moment.now()
        texture.write(np.ascontiguousarray(pixels))
        self.uploading += Moment.now() - started


def _source(path: str, defines: tuple[str, ...]) -> str:
    """A shader's text with `#define`s after its version line."""
    version, rest = shader(path).read_text(encoding="utf-8").split("\n", 1)
    return "\n".join([version, *(f"#define {name}" for name in defines), rest])


def sees_past_border(
    to_frame: np.ndarray,
    tan_view: tuple[float, float],
    tan_frame: tuple[float, float],
    moving: bool,
) -> bool:
    """Whether a corner of the window lies outside the frame; `moving` leaves room for parallax."""
    corners = np.array([[x, y, 0.0] for x in (-1, 1) for y in (-1, 1)])
    rays = (corners * (*tan_view, 0.0) + (0.0, 0.0, -1.0)) @ to_frame.T
    if (rays[:, 2] > -0.05).any():
        return True
    places = np.abs(rays[:, :2] / -rays[:, 2:]) / tan_frame
    return bool(places.max() > (0.97 if moving else 1.0))


def _limited(shift: np.ndarray) -> np.ndarray:
    """Motion that one frame can be asked to follow, in metres."""
    length = float(np.linalg.norm(shift))
    if length < 1e-5:
        return np.zeros(3)
    return shift * (min(length, MAX_SHIFT) / length)
