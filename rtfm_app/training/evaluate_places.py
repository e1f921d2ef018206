"""Quality on the stored test places: covered, reflective, single, and never-seen views.

Every family has equal weight; a metric that a family has no pixels for leaves that family out.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ..config import GenerationSettings
from .eval_set import MASK_REFLECTIVE, MASK_SEEN, PARALLAX_PIXELS, Place
from .evaluate_sheets import Sheet
from .evaluate_worlds import Posed, Subject, best_homography
from .features import FeatureStatistics, PictureFeatures
from .metrics import border_gradients, gradient_energy, psnr, ssim

LEAST_PIXELS = 500
LEAST_UNSEEN = 0.5


@dataclass
class Scores:
    """Values by metric and family; the mean of a metric is the mean of its families' means."""

    values: dict[str, dict[str, list[float]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def add(self, metric: str, family: str, value: float) -> None:
        self.values[metric][family].append(value)

    def flat(self) -> dict[str, float]:
        """{metric: mean, metric/family: mean of the family}."""
        result = {}
        for metric, families in self.values.items():
            means = {family: float(np.mean(values)) for family, values in families.items()}
            result[metric] = float(np.mean(list(means.values())))
            result |= {f"{metric}/{family}": value for family, value in sorted(means.items())}
        return result


def evaluate_walk(
    subject: Subject, place: Place, settings: GenerationSettings, scores: Scores,
    sheet: Sheet | None = None,
) -> None:  # fmt: skip
    """`covered_*` and `reflective_*`: targets between the memory frames of a walk."""
    with subject.engine(place.memory) as engine:
        for target in place.of_role("between"):
            truth = target.posed
            drawn = engine.step(
                truth.camera_to_world, settings, fov_y_radians=truth.fov_y_radians, follow=False
            )
            used = [place.memory[a.frame_id - 1] for a in drawn.attended]
            baseline = best_homography(truth, used)
            score = psnr(drawn.image, truth.image)
            scores.add("covered_psnr", place.family, score)
            scores.add("covered_ssim", place.family, ssim(drawn.image, truth.image))
            if target.parallax > PARALLAX_PIXELS:
                scores.add("covered_gain", place.family, score - baseline.psnr)
            _reflective(target, drawn.image, used, place.family, scores)
            if sheet is not None:
                caption = f"{place.family} {score:.1f} dB, homography {baseline.psnr:.1f}"
                sheet.add(
                    caption, baseline.memory.image, truth.image, drawn.image, baseline.picture
                )


def _reflective(target, image, used: list[Posed], family: str, scores: Scores) -> None:
    mask = (target.mask & MASK_REFLECTIVE) > 0
    if mask.sum() < LEAST_PIXELS:
        return
    score = psnr(image, target.posed.image, mask)
    scores.add("reflective_psnr", family, score)
    if target.parallax > PARALLAX_PIXELS:
        baseline = best_homography(target.posed, used, mask)
        scores.add("reflective_gain", family, score - baseline.psnr)


def evaluate_single(
    subject: Subject, place: Place, settings: GenerationSettings, scores: Scores,
    sheet: Sheet | None = None,
) -> None:  # fmt: skip
    """`single_forward_psnr`, `single_turn_psnr`: one memory frame, on the pixels that it sees."""
    for role in ("forward", "turn"):
        for target in place.of_role(role):
            seen = (target.mask & MASK_SEEN) > 0
            if seen.sum() < LEAST_PIXELS:
                continue
            truth, memory = target.posed, place.memory[target.source]
            with subject.engine([memory]) as engine:
                drawn = engine.step(
                    truth.camera_to_world, settings, fov_y_radians=truth.fov_y_radians,
                    follow=False,
                )  # fmt: skip
            baseline = best_homography(truth, [memory], seen)
            score = psnr(drawn.image, truth.image, seen)
            scores.add(f"single_{role}_psnr", place.family, score)
            scores.add(f"single_{role}_gain", place.family, score - baseline.psnr)
            if sheet is not None:
                caption = f"{place.family} {role} {score:.1f} dB, homography {baseline.psnr:.1f}"
                sheet.add(caption, memory.image, truth.image, drawn.image, baseline.picture)


@dataclass
class Novel:
    """Gathers never-seen regions over all places; `finish` gives the metrics."""

    features: PictureFeatures = field(default_factory=PictureFeatures)
    drawn: FeatureStatistics = field(default_factory=FeatureStatistics)
    truth: tuple[FeatureStatistics, FeatureStatistics] = field(
        default_factory=lambda: (FeatureStatistics(), FeatureStatistics())
    )
    energies: list[tuple[float, float]] = field(default_factory=list)
    borders: list[tuple[float, float]] = field(default_factory=list)
    _count: int = 0

    def add(
        self, subject: Subject, place: Place, settings: GenerationSettings,
        sheet: Sheet | None = None,
    ) -> None:  # fmt: skip
        """Views turned far away from the only memory frame, drawn as keyframes."""
        for target in place.of_role("novel"):
            unseen = (target.mask & MASK_SEEN) == 0
            if unseen.mean() < LEAST_UNSEEN:
                continue
            truth, memory = target.posed, place.memory[target.source]
            with subject.engine([memory]) as engine:
                drawn = engine.step(
                    truth.camera_to_world, settings, fov_y_radians=truth.fov_y_radians,
                    kind="key", follow=False,
                )  # fmt: skip
            self._gather(drawn.image, truth.image, unseen)
            if sheet is not None:
                baseline = best_homography(truth, [memory])
                sheet.add(place.family, memory.image, truth.image, drawn.image, baseline.picture)

    def _gather(self, drawn: np.ndarray, truth: np.ndarray, unseen: np.ndarray) -> None:
        self.drawn.add(self.features(drawn, unseen))
        self.truth[self._count % 2].add(self.features(truth, unseen))
        self._count += 1
        self.energies.append((gradient_energy(drawn, unseen), gradient_energy(truth, unseen)))
        self.borders.append(border_gradients(drawn, unseen))

    def finish(self) -> dict[str, float]:
        if not self.energies:
            return {}
        both = self.truth[0].joined(self.truth[1])
        mine, true = np.mean(self.energies, axis=0)
        on, off = np.mean(self.borders, axis=0)
        return {
            "novel_frechet": self.drawn.distance(both) / self.truth[0].distance(self.truth[1]),
            "novel_sharpness": float(mine / true),
            "blockiness": float(on / max(off, 1e-6)),
        }
