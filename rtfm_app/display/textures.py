"""Small pictures for the interface: numpy in, ImGui texture out, least recently used goes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from imgui_bundle import imgui

from .measurements import Moment


class TextureCache:
    """Textures by key. A key's picture is uploaded once, and again when another array is given.
    `uploading` adds up the time spent in GL: a software renderer first finishes what it has to
    draw, some milliseconds."""

    def __init__(self, gl, capacity: int = 256):
        self._gl = gl
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, tuple] = OrderedDict()
        self.uploading = Moment()

    def get(self, key: Hashable, image: np.ndarray) -> imgui.ImTextureRef:
        """Texture of an (H, W, 3) uint8 picture."""
        entry = self._entries.get(key)
        if entry is None or entry[1] is not image:
            if entry is not None:
                entry[0].release()
            entry = self._upload(image)
            self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)[1][0].release()
        return imgui.ImTextureRef(entry[0].glo)

    def release(self) -> None:
        for texture, _ in self._entries.values():
            texture.release()
        self._entries.clear()

    def _upload(self, image: np.ndarray) -> tuple:
        begun = Moment.now()
        height, width = image.shape[:2]
        texture = self._gl.texture(
            (width, height), 3, np.ascontiguousarray(image).tobytes(), alignment=1
        )
        texture.build_mipmaps()
        texture.filter = (self._gl.LINEAR_MIPMAP_LINEAR, self._gl.LINEAR)
        texture.repeat_x = texture.repeat_y = False
        self.uploading += Moment.now() - begun
        return texture, image
