"""`Frame`: what the engine returns for one pose. No torch, so that the display may import it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Attended:
    """One memory frame of the context: its id in the world file and the share (0..1) of the
    picture that was read from it."""

    frame_id: int
    weight: float


@dataclass(frozen=True)
class Known:
    """What is known of a picture before it is drawn: as in `Frame`, and `remembered`, the share of
    each pixel (H, W) float32 that is read from memory."""

    novelty: float
    unseen: np.ndarray
    given: np.ndarray | None
    inverse_depth: np.ndarray
    confidence: np.ndarray
    remembered: np.ndarray

    def for_frame(self) -> dict:
        """The attributes that `Frame` has too."""
        return {name: value for name, value in vars(self).items() if name != "remembered"}


@dataclass(frozen=True)
class Frame:
    """One generated picture and what is known about it.

    Attributes:
        image: (H, W, 3) uint8 sRGB.
        camera_to_world: (4, 4) float64, the pose it was drawn for.
        fov_y_radians: field of view of the picture as drawn (overscan included).
        kind: "inter" (display only) or "key" (may be committed).
        novelty: share of the picture (0..1) that no memory frame shows.
        unseen: (h, w) uint8, 255 where the picture is imagined, 0 where it is remembered.
        inverse_depth: (h, w) float32, 1/metres, the model's own guess for this view; never stored.
        confidence: (h, w) float32 in 0..1 for `inverse_depth`.
        attended: the memory frames used, heaviest first.
        given: (h, w) uint8, 255 where the picture is read from frames that were given or painted
            on; None where that is not told.
        timings_ms: stage name -> milliseconds.
    """

    image: np.ndarray
    camera_to_world: np.ndarray
    fov_y_radians: float
    kind: str
    novelty: float
    unseen: np.ndarray
    inverse_depth: np.ndarray
    confidence: np.ndarray
    attended: tuple[Attended, ...] = ()
    given: np.ndarray | None = None
    timings_ms: dict[str, float] = field(default_factory=dict)
