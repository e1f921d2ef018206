"""Scripted walks: from words, or a guided tour, to poses. Pure.

The walk language, as `rtfm render --walk` takes it: commands separated by `;`

    w 3        walk 3 metres forward (`s` back, `a` left, `d` right), level, at 1.5 m/s
    turn 90    turn 90 degrees to the right (negative: left), at 60 degrees a second
    look 20    look 20 degrees up (negative: down), at 60 degrees a second
    wait 2     stand still for 2 seconds

The first pose of a walk is where it starts; a pose follows every tenth of a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .config import WALK_SPEED
from .geometry import rotation_angle, rotation_from_yaw_pitch

FRAMES_PER_SECOND = 10
TURN_SPEED = math.radians(60.0)
PITCH_LIMIT = math.radians(89.0)
MAX_FRAMES = 100_000
_DIRECTIONS = {"w": (0.0, 1.0), "s": (0.0, -1.0), "a": (-1.0, 0.0), "d": (1.0, 0.0)}
_WORDS = ("w", "a", "s", "d", "turn", "look", "wait")


@dataclass(frozen=True)
class WalkCommand:
    """One command: a word of the walk language and its amount (metres, degrees, seconds)."""

    word: str
    amount: float

    @property
    def frames(self) -> int:
        """How many poses it takes; an amount of zero takes none."""
        seconds = abs(self.amount)
        if self.word in _DIRECTIONS:
            seconds /= WALK_SPEED
        elif self.word in ("turn", "look"):
            seconds = math.radians(seconds) / TURN_SPEED
        return math.ceil(seconds * FRAMES_PER_SECOND - 1e-9)


def parse_walk(text: str) -> tuple[WalkCommand, ...]:
    """Read the walk language.

    Raises:
        ValueError: an unknown word, a missing or bad number, nothing at all, or a walk of over
            100,000 poses.
    """
    commands = tuple(_parse_command(part) for part in text.split(";") if part.strip())
    if not commands:
        raise ValueError('the walk is empty; write for instance --walk "w 3; turn 90"')
    frames = sum(command.frames for command in commands)
    if frames > MAX_FRAMES:
        raise ValueError(f"the walk has {frames} poses; {MAX_FRAMES} is the most")
    return commands


def _parse_command(text: str) -> WalkCommand:
    words = text.split()
    if len(words) != 2 or words[0].lower() not in _WORDS:
        raise ValueError(
            f'walk: cannot read "{text.strip()}"; a command is one of {", ".join(_WORDS)} and a '
            'number, as in "w 3; turn 90"'
        )
    word, number = words[0].lower(), words[1]
    try:
        amount = float(number)
    except ValueError as error:
        raise ValueError(f'walk: "{number}" in "{text.strip()}" is not a number') from error
    if not math.isfinite(amount) or (word == "wait" and amount < 0):
        raise ValueError(f'walk: the number in "{text.strip()}" must be finite, and not below 0')
    return WalkCommand(word, amount)


@dataclass(frozen=True)
class _Walker:
    """A start pose and what was done since; a roll of the start pose is kept.

    `yaw` (left positive) and `pitch` (up positive) in radians are relative to the start.
    """

    start: np.ndarray
    position: np.ndarray
    yaw: float = 0.0
    pitch: float = 0.0

    @classmethod
    def at(cls, start: np.ndarray) -> _Walker:
        return cls(start, start[:3, 3].copy())

    @property
    def pose(self) -> np.ndarray:
        pose = np.eye(4)
        turned = rotation_from_yaw_pitch(self.yaw, 0.0) @ self.start[:3, :3]
        pose[:3, :3] = turned @ rotation_from_yaw_pitch(0.0, self.pitch)
        pose[:3, 3] = self.position
        return pose

    def moved(self, right: float, forward: float) -> _Walker:
        heading = rotation_from_yaw_pitch(self.yaw, 0.0) @ level_heading(self.start)
        sideways = np.array([-heading[2], 0.0, heading[0]])
        position = self.position + heading * forward + sideways * right
        return _Walker(self.start, position, self.yaw, self.pitch)

    def turned(self, yaw: float, pitch: float) -> _Walker:
        start_pitch = math.asin(float(np.clip(-self.start[1, 2], -1.0, 1.0)))
        low, high = min(-PITCH_LIMIT, start_pitch), max(PITCH_LIMIT, start_pitch)
        pitch = float(np.clip(self.pitch + pitch, low - start_pitch, high - start_pitch))
        return _Walker(self.start, self.position, self.yaw + yaw, pitch)


def level_heading(camera_to_world: np.ndarray) -> np.ndarray:
    """Unit vector (3,) in the ground plane that a walker with this view calls forward."""
    forward, up = -camera_to_world[:3, 2], camera_to_world[:3, 1]
    if math.hypot(forward[0], forward[2]) < 1e-3:
        # Looking straight up or down: the picture's top, or bottom, says where forward is.
        forward = -np.sign(forward[1]) * up
    level = np.array([forward[0], 0.0, forward[2]])
    return level / np.linalg.norm(level)


def walk_poses(start: np.ndarray, commands: tuple[WalkCommand, ...]) -> list[np.ndarray]:
    """The camera_to_world poses (4, 4) of a walk from `start`, ten a second, `start` first."""
    walker = _Walker.at(start)
    poses = [np.array(start, dtype=np.float64)]
    for command in commands:
        origin = walker
        for index in range(1, command.frames + 1):
            walker = _done(origin, command, index / command.frames)
            poses.append(walker.pose)
    return poses


def _done(origin: _Walker, command: WalkCommand, share: float) -> _Walker:
    """The walker after `share` (0..1) of a command."""
    amount = command.amount * share
    if command.word in _DIRECTIONS:
        right, forward = _DIRECTIONS[command.word]
        return origin.moved(right * amount, forward * amount)
    if command.word == "turn":
        return origin.turned(-math.radians(amount), 0.0)
    if command.word == "look":
        return origin.turned(0.0, math.radians(amount))
    return origin


def guided_walk(
    start: np.ndarray, seeds: np.ndarray | None = None, seconds: float = 20.0
) -> list[np.ndarray]:
    """A tour for somebody who just watches, ten poses a second.

    Args:
        start: where the world starts, (4, 4).
        seeds: poses of the real pictures in their order (N, 4, 4). Where they are a walk of their
            own, the tour follows it; else it strolls forward, looks round, and comes back.
    """
    count = max(round(seconds * FRAMES_PER_SECOND), 1)
    if seeds is not None and _is_a_walk(seeds):
        return _along(seeds, count)
    shares = np.linspace(0.0, 1.0, count)
    return [_stroll(start, share) for share in shares]


# Share of the tour -> metres ahead, metres to the right, degrees to the right, degrees up.
_STROLL = (
    (0.00, (0.0, 0.0, 0.0, 0.0)),
    (0.25, (2.5, 0.0, 0.0, 0.0)),
    (0.38, (3.0, 0.4, 35.0, 4.0)),
    (0.52, (3.2, 0.4, -30.0, 0.0)),
    (0.66, (3.2, 0.0, -120.0, 3.0)),
    (0.82, (1.5, 0.0, -240.0, 0.0)),
    (1.00, (0.0, 0.0, -360.0, 0.0)),
)


def _stroll(start: np.ndarray, share: float) -> np.ndarray:
    for (begin, origin), (end, target) in zip(_STROLL, _STROLL[1:], strict=False):
        if share <= end:
            eased = _smooth((share - begin) / (end - begin))
            state = np.array(origin) + eased * (np.array(target) - np.array(origin))
            break
    forward, right, turn, look = state
    walker = _Walker.at(start).moved(right, forward)
    return walker.turned(-math.radians(turn), math.radians(look)).pose


def _smooth(x: float) -> float:
    return x * x * (3 - 2 * x)


def _is_a_walk(poses: np.ndarray) -> bool:
    """Whether cameras (N, 4, 4) follow each other closely enough to be followed."""
    if len(poses) < 8:
        return False
    metres = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    turns = rotation_angle(np.swapaxes(poses[:-1, :3, :3], 1, 2) @ poses[1:, :3, :3])
    close = np.quantile(metres, 0.95) < 1.0 and np.quantile(turns, 0.95) < math.radians(30)
    return bool(close and metres.sum() > 1.0)


def _along(seeds: np.ndarray, count: int) -> list[np.ndarray]:
    """`count` poses along the cameras `seeds`, at walking speed or slower, softly smoothed."""
    turns = np.swapaxes(seeds[:-1, :3, :3], 1, 2) @ seeds[1:, :3, :3]
    metres = np.linalg.norm(np.diff(seeds[:, :3, 3], axis=0), axis=1)
    seconds = np.maximum(metres / WALK_SPEED, rotation_angle(turns) / TURN_SPEED)
    clock = np.concatenate([[0.0], np.cumsum(np.maximum(seconds, 1e-6))])
    times = np.linspace(0.0, min(count / FRAMES_PER_SECOND, clock[-1]), count)
    between = np.array([_blend(seeds, _linear_weights(clock, time)) for time in times])
    frames = np.arange(count)
    return [_blend(between, np.exp(-0.5 * ((frames - frame) / 3.0) ** 2)) for frame in frames]


def _linear_weights(clock: np.ndarray, time: float) -> np.ndarray:
    """Weights (N,) of the two neighbours of `time` in the ascending `clock` (N,)."""
    weights = np.zeros(len(clock))
    after = int(np.clip(np.searchsorted(clock, time), 1, len(clock) - 1))
    share = (time - clock[after - 1]) / (clock[after] - clock[after - 1])
    weights[after - 1], weights[after] = 1 - share, share
    return weights


def _blend(poses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted mean pose; for rotations the rotation nearest to the mean of the matrices."""
    weights = weights / weights.sum()
    u, _, vt = np.linalg.svd(np.einsum("n,nij->ij", weights, poses[:, :3, :3]))
    pose = np.eye(4)
    pose[:3, :3] = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    pose[:3, 3] = weights @ poses[:, :3, 3]
    return pose
