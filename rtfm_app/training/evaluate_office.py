"""The office walk's last 30%, never trained on: every Nth frame is memory, the rest the truth."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from ..config import GenerationSettings
from ..geometry import check_pose
from ..resources import asset
from .evaluate_sheets import Sheet
from .evaluate_worlds import HEIGHT, WIDTH, Posed, Subject, best_homography, nearest
from .metrics import psnr, ssim

HELD_OUT_FROM = 0.7


def held_out_frames(folder: Path | None = None) -> list[Posed]:
    """The last 30% of the walk, cropped to 16:9 about the principal point, at 512x288.

    Raises:
        ValueError: the walk is not there or not readable.
    """
    folder = folder or asset("office_walk")
    try:
        walk = json.loads((folder / "transforms.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"{folder} is not a posed walk: {error}") from error
    cx, cy, w, h = (walk[key] for key in ("cx", "cy", "w", "h"))
    half_width = min(cx, w - cx, min(cy, h - cy) * 16 / 9)
    half_height = half_width * 9 / 16
    box = (cx - half_width, cy - half_height, cx + half_width, cy + half_height)
    fov = 2 * math.atan(half_height / walk["fl_y"])
    frames = []
    for frame in walk["frames"][math.floor(len(walk["frames"]) * HELD_OUT_FROM) :]:
        with Image.open(folder / frame["file_path"]) as picture:
            image = picture.convert("RGB").resize((WIDTH, HEIGHT), Image.Resampling.BOX, box=box)
        frames.append(Posed(np.asarray(image), check_pose(frame["transform_matrix"]), fov))
    return frames


def evaluate_office(
    subject: Subject, every: int, settings: GenerationSettings, sheet: Sheet | None = None,
    share: int = 1,
) -> dict[str, float]:  # fmt: skip
    """PSNR at every `share`-th left-out pose, absolute and over two plain baselines.

    Returns:
        psnr, ssim, gain (over the best re-projected frame of the K retrieved), gain_nearest (over
        the nearest memory frame as it is), homography_psnr, nearest_psnr; in dB, means over frames.
    """
    frames = held_out_frames()
    memory = frames[::every]
    targets = [frame for index, frame in enumerate(frames) if index % every][::share]
    rows = []
    with subject.engine(memory) as engine:
        for truth in targets:
            drawn = engine.step(
                truth.camera_to_world, settings, fov_y_radians=truth.fov_y_radians, follow=False
            )
            used = [memory[attended.frame_id - 1] for attended in drawn.attended]
            homography = best_homography(truth, used)
            as_it_is = nearest(truth, memory)
            rows.append(
                (
                    psnr(drawn.image, truth.image),
                    ssim(drawn.image, truth.image),
                    homography.psnr,
                    psnr(as_it_is.image, truth.image),
                )
            )
            if sheet is not None:
                caption = f"{rows[-1][0]:.1f} dB, homography {homography.psnr:.1f}"
                sheet.add(
                    caption, homography.memory.image, truth.image, drawn.image, homography.picture
                )
    model, similarity, homography_psnr, nearest_psnr = np.mean(rows, axis=0)
    return {
        "psnr": model,
        "ssim": similarity,
        "gain": model - homography_psnr,
        "gain_nearest": model - nearest_psnr,
        "homography_psnr": homography_psnr,
        "nearest_psnr": nearest_psnr,
    }


def evaluate_office_single(
    subject: Subject, settings: GenerationSettings, share: int = 1
) -> dict[str, float]:
    """`office_single_psnr`: from one memory frame the next frames of the walk, on the pixels that
    its homography shows (there is no dense truth of what a real frame sees)."""
    frames = held_out_frames()
    scores, gains = [], []
    for index in range(0, len(frames) - 2, 3 * share):
        memory, truth = frames[index], frames[index + 2]
        baseline = best_homography(truth, [memory])
        if baseline.inside.mean() < 0.3:
            continue
        with subject.engine([memory]) as engine:
            drawn = engine.step(
                truth.camera_to_world, settings, fov_y_radians=truth.fov_y_radians, follow=False
            )
        score = psnr(drawn.image, truth.image, baseline.inside)
        scores.append(score)
        gains.append(score - psnr(baseline.picture, truth.image, baseline.inside))
    return {
        "office_single_psnr": float(np.mean(scores)),
        "office_single_gain": float(np.mean(gains)),
    }
