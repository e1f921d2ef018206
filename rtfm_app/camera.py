"""The walker: `step(state, controls, dt, surroundings) -> state`, pure.

Walk mode moves on the level at a constant height above the ground; where the newest frame's own
guess of distance is sure enough, the height follows the ground when that clearly rises or falls,
and the walk slows to a stop in front of obstacles. Fly mode goes where the camera looks, without
limits. Nothing of the geometry is kept: `Surroundings` belongs to one frame and goes with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from .config import EYE_HEIGHT, WALK_SPEED
from .frame import Frame
from .geometry import pixel_rays, rotation_from_yaw_pitch, yaw_pitch_of

MAX_PITCH = math.radians(85)
RUN_FACTOR = 2.5
SPEED_STEP = 1.15
SPEED_RANGE = (0.1, 20.0)
ACCELERATION_TIME_S = 0.09
ROLL_TIME_S = 0.6
STOP_DISTANCE = 0.4
SLOW_DISTANCE = 1.2
BODY_RADIUS = 0.25
STEP_HEIGHT = 0.35
GROUND_REACH = 6.0
FARTHEST = 10.0
GROUND_TIME_S = 0.5
GROUND_SLACK = 0.3  # metres: on level ground a frame's guess of its height is this far off
GROUND_LEARNT_M = 2.0
MIN_CONFIDENCE = 0.35
MIN_POINTS = 12


@dataclass(frozen=True)
class CameraState:
    """Where the walker is and how it moves.

    Attributes:
        position: (3,) metres. velocity: (3,) metres per second.
        yaw, pitch, roll: radians; roll comes from an imported start pose and dies away.
        yaw_rate: radians per second, smoothed.
        flying: fly mode; else walk mode.
        solid: walk mode follows the ground and respects obstacles.
        speed: walking speed, metres per second.
        eye_height: metres above the ground that walk mode keeps; None until the ground has been
            seen, then the height at which the walker was found, averaged over the first
            GROUND_LEARNT_M metres. ground_learnt: how many of them have been walked.
    """

    position: np.ndarray
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    yaw_rate: float = 0.0
    flying: bool = False
    solid: bool = True
    speed: float = WALK_SPEED
    eye_height: float | None = None
    ground_learnt: float = 0.0

    @property
    def rotation(self) -> np.ndarray:
        """Camera-to-world rotation (3, 3)."""
        rotation = rotation_from_yaw_pitch(self.yaw, self.pitch)
        if not self.roll:
            return rotation
        c, s = math.cos(self.roll), math.sin(self.roll)
        return rotation @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    @property
    def camera_to_world(self) -> np.ndarray:
        pose = np.eye(4)
        pose[:3, :3] = self.rotation
        pose[:3, 3] = self.position
        return pose


def camera_at(camera_to_world: np.ndarray, **fields) -> CameraState:
    """State of a resting camera with exactly this pose."""
    yaw, pitch = yaw_pitch_of(camera_to_world)
    level = rotation_from_yaw_pitch(yaw, pitch)
    rolled = level.T @ camera_to_world[:3, :3]
    roll = math.atan2(rolled[1, 0], rolled[0, 0])
    return CameraState(
        position=np.array(camera_to_world[:3, 3], dtype=np.float64),
        yaw=yaw,
        pitch=pitch,
        roll=roll if abs(roll) > 1e-9 else 0.0,
        **fields,
    )


@dataclass(frozen=True)
class Surroundings:
    """What one frame guesses about the space in front: points (N, 3) in the world, metres, with
    confidence (N,) in 0..1, and the horizontal direction in which the frame looked (3,)."""

    points: np.ndarray
    confidence: np.ndarray
    looking: np.ndarray

    @classmethod
    def of_frame(cls, frame: Frame, most: int = 2304) -> Surroundings:
        """Points of a frame, thinned to about `most`, the far and the unsure left out."""
        rows, columns = frame.inverse_depth.shape
        stride = max(1, int(math.sqrt(rows * columns / most)))
        rays = _thinned_rays(rows, columns, frame.fov_y_radians, stride)
        inverse = frame.inverse_depth[::stride, ::stride].reshape(-1)
        confidence = frame.confidence[::stride, ::stride].reshape(-1)
        near = np.isfinite(inverse) & (inverse > 1 / FARTHEST) & (confidence > MIN_CONFIDENCE)
        points = rays[near] / inverse[near, None]
        pose = frame.camera_to_world
        forward = -pose[:3, 2] * (1.0, 0.0, 1.0)
        length = float(np.linalg.norm(forward))
        return cls(
            points=points @ pose[:3, :3].T + pose[:3, 3],
            confidence=confidence[near],
            looking=forward / length if length > 1e-6 else np.zeros(3),
        )


@lru_cache(maxsize=2)
def _thinned_rays(rows: int, columns: int, fov_y_radians: float, stride: int) -> np.ndarray:
    """(N, 3): `pixel_rays` of every stride-th row and column; the same for frame after frame."""
    rays = pixel_rays(rows, columns, fov_y_radians)[::stride, ::stride].reshape(-1, 3)
    rays.flags.writeable = False
    return rays


def step(
    state: CameraState, controls, dt: float, surroundings: Surroundings | None = None
) -> CameraState:
    """The state `dt` seconds later. `controls` is `input.Controls`."""
    dt = min(max(dt, 1e-4), 0.1)
    state = _apply_actions(state, controls)
    state = _turn(state, controls, dt)
    wanted = _wanted_velocity(state, controls)
    walking_on = surroundings if state.solid and not state.flying else None
    if walking_on is not None:
        wanted = wanted * clearance(state, wanted, walking_on)
    blend = 1 - math.exp(-dt / ACCELERATION_TIME_S)
    velocity = state.velocity + (wanted - state.velocity) * blend
    if np.linalg.norm(velocity) < 1e-3 and not wanted.any():
        velocity = np.zeros(3)
    moved = replace(state, position=state.position + velocity * dt, velocity=velocity)
    if walking_on is None or not velocity.any():
        return moved
    return _follow_ground(moved, walking_on, dt)


def _apply_actions(state: CameraState, controls) -> CameraState:
    for action in controls.actions:
        if action == "toggle_fly":
            state = replace(state, flying=not state.flying, eye_height=None)
    if controls.speed_steps:
        speed = state.speed * SPEED_STEP**controls.speed_steps
        state = replace(state, speed=min(max(speed, SPEED_RANGE[0]), SPEED_RANGE[1]))
    return state


def _turn(state: CameraState, controls, dt: float) -> CameraState:
    yaw = math.remainder(state.yaw + controls.yaw_radians, math.tau)
    pitch = state.pitch + controls.pitch_radians
    if controls.pitch_radians:
        pitch = min(max(pitch, -MAX_PITCH), MAX_PITCH)
    roll = state.roll
    if roll and not controls.idle:
        roll *= math.exp(-dt / ROLL_TIME_S)
        roll = roll if abs(roll) > 1e-4 else 0.0
    rate = state.yaw_rate + (controls.yaw_radians / dt - state.yaw_rate) * min(dt / 0.1, 1.0)
    return replace(state, yaw=yaw, pitch=pitch, roll=roll, yaw_rate=rate)


def _wanted_velocity(state: CameraState, controls) -> np.ndarray:
    """(3,) metres per second."""
    pitch = state.pitch if state.flying else 0.0
    axes = rotation_from_yaw_pitch(state.yaw, pitch)
    wish = axes[:, 0] * controls.right - axes[:, 2] * controls.forward
    if state.flying:
        wish = wish + np.array([0.0, controls.up, 0.0])
    length = float(np.linalg.norm(wish))
    if length > 1:
        wish = wish / length
    return wish * state.speed * (RUN_FACTOR if controls.run else 1.0)


def clearance(state: CameraState, wanted: np.ndarray, surroundings: Surroundings) -> float:
    """Share (0..1) of the wanted speed that obstacles ahead allow. 1 where the frame looks
    another way or is unsure."""
    speed = float(np.linalg.norm(wanted))
    if speed < 1e-6 or not len(surroundings.points):
        return 1.0
    direction = wanted / speed
    if direction @ surroundings.looking < 0.5:
        return 1.0
    offset = surroundings.points - state.position
    ahead, height = offset @ direction, offset[:, 1]
    feet = (state.eye_height or EYE_HEIGHT) - STEP_HEIGHT - GROUND_SLACK
    near = (ahead > 0.02) & (ahead < 4.0) & (height > -feet) & (height < 0.2)
    (chosen,) = (near & (surroundings.confidence > MIN_CONFIDENCE)).nonzero()
    chosen = chosen[_sideways(offset[chosen], ahead[chosen], direction) < BODY_RADIUS]
    if len(chosen) < MIN_POINTS:
        return 1.0
    tenth = len(chosen) // 10
    distance = float(np.partition(ahead[chosen], tenth)[tenth])
    sure = float(surroundings.confidence[chosen].mean())
    free = min(max((distance - STOP_DISTANCE) / (SLOW_DISTANCE - STOP_DISTANCE), 0.0), 1.0)
    sure = min(max((sure - MIN_CONFIDENCE) / (0.6 - MIN_CONFIDENCE), 0.0), 1.0)
    return 1.0 - sure * (1.0 - free)


def _sideways(offset: np.ndarray, ahead: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """(N,) horizontal distance of the offsets (N, 3) from the line along `direction`."""
    x = offset[:, 0] - ahead * direction[0]
    z = offset[:, 2] - ahead * direction[2]
    return np.sqrt(x * x + z * z)


def ground_height(state: CameraState, surroundings: Surroundings) -> tuple[float, float] | None:
    """(height of the ground under the walker in metres, confidence 0..1), from the ground ahead;
    None where it cannot be told."""
    if not len(surroundings.points):
        return None
    offset = surroundings.points - state.position
    ahead = offset @ surroundings.looking
    sideways = _sideways(offset, ahead, surroundings.looking)
    reach = (ahead > 0.3) & (ahead < GROUND_REACH) & (sideways < 0.8)
    low = (offset[:, 1] < -0.5) & (offset[:, 1] > -4.0)
    chosen = reach & low & (surroundings.confidence > MIN_CONFIDENCE)
    if int(chosen.sum()) < MIN_POINTS:
        return None
    slope, height = _fit_line(ahead[chosen], offset[chosen, 1], surroundings.confidence[chosen])
    if abs(slope) > 0.7:
        return None
    return state.position[1] + height, float(surroundings.confidence[chosen].mean())


def _fit_line(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Weighted least squares (slope, intercept), twice, the second time without outliers."""
    keep = np.ones(len(x), bool)
    slope = height = 0.0
    for _ in range(2):
        w, u, v = weight[keep], x[keep], y[keep]
        total = w.sum()
        mean_u, mean_v = (w @ u) / total, (w @ v) / total
        spread = w @ (u - mean_u) ** 2
        slope = float(w @ ((u - mean_u) * (v - mean_v)) / spread) if spread > 1e-6 else 0.0
        height = float(mean_v - slope * mean_u)
        error = np.abs(y - (slope * x + height))
        middle = len(error) // 2
        inner = error <= max(2.5 * float(np.partition(error, middle)[middle]), 0.02)
        if int(inner.sum()) < MIN_POINTS // 2:
            break
        keep = inner
    return slope, height


def _follow_ground(state: CameraState, surroundings: Surroundings, dt: float) -> CameraState:
    found = ground_height(state, surroundings)
    if found is None:
        return state
    ground, confidence = found
    travelled = float(np.linalg.norm(state.velocity)) * dt
    height = float(state.position[1] - ground)
    if state.eye_height is None:
        return replace(state, eye_height=height, ground_learnt=0.0)
    if state.ground_learnt < GROUND_LEARNT_M:
        learnt = state.ground_learnt + travelled
        eye_height = state.eye_height + (height - state.eye_height) * travelled / learnt
        return replace(state, eye_height=eye_height, ground_learnt=learnt)
    rate = (1 - math.exp(-dt / GROUND_TIME_S)) * min(max((confidence - 0.3) / 0.3, 0.0), 1.0)
    wrong = state.eye_height - height
    change = math.copysign(max(abs(wrong) - GROUND_SLACK, 0.0), wrong) * rate
    change = min(max(change, -0.6 * travelled), 0.6 * travelled)
    position = state.position + np.array([0.0, change, 0.0])
    return replace(state, position=position)
