"""Distillation brings the student nearer to the teacher's many-step sample and resumes."""

import numpy as np
import pytest
import torch
from test_training import TINY, clips  # noqa: F401  (a fixture)

from rtfm_app.model.checkpoint import save_weights
from rtfm_app.model.frame_model import FrameModel
from rtfm_app.training.data import ClipPool, Shape, make_batch
from rtfm_app.training.distill import DistillConfig, Distiller, distill_losses_of, teach


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Weights whose one-step and many-step samples differ."""
    torch.manual_seed(5)
    model = FrameModel(TINY)
    torch.nn.init.normal_(model.state_head.weight, std=0.1)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_weights(model.state_dict(), TINY, path)
    return path


def config_of(clips, teacher, out, **changes) -> DistillConfig:  # noqa: F811
    return DistillConfig(
        clips, out, init_from=teacher, teacher_steps=4, targets=2, warmup_steps=1, compile=False,
        learning_rate=5e-4, **changes,
    )  # fmt: skip


def held_out_losses(distiller: Distiller, pool: ClipPool) -> dict[str, float]:
    batch = make_batch(pool, Shape(2, 2, 1), np.random.default_rng(9), augment=False)
    noise = torch.randn(4, 3, 36, 64, generator=torch.Generator().manual_seed(9))
    taught = teach(distiller.teacher, batch, noise, 4)
    with torch.no_grad():
        losses = distill_losses_of(distiller.model, batch, noise, taught)
    return {name: float(value) for name, value in losses.items()}


def test_the_student_comes_nearer_and_a_resumed_run_is_the_same_run(clips, teacher, tmp_path):  # noqa: F811
    torch.set_num_threads(1)
    pool = ClipPool(clips, "train")
    whole = Distiller(config_of(clips, teacher, tmp_path / "whole"))
    before = held_out_losses(whole, pool)
    assert before["one_step"] > 1e-4 and before["pointer"] == pytest.approx(0, abs=1e-6)
    rows = [whole.train_step(pool) for _ in range(6)]
    after = held_out_losses(whole, pool)
    assert after["one_step"] < 0.9 * before["one_step"]
    # A teacher of four steps is hardly ahead of two: the student must only not lose much there.
    both = [losses["one_step"] + losses["two_step"] for losses in (before, after)]
    assert both[1] < 0.9 * both[0]
    assert not any(p.requires_grad for p in whole.teacher.parameters())

    first = Distiller(config_of(clips, teacher, tmp_path / "parts"))
    for _ in range(4):
        first.train_step(pool)
    first.save()
    second = Distiller(config_of(clips, teacher, tmp_path / "parts"))
    assert second.step == 4
    resumed = [second.train_step(pool) for _ in range(2)]
    assert resumed == rows[4:]
    for (name, a), b in zip(whole.model.named_parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b), name


def test_a_teacher_must_take_more_steps_than_the_student(clips, teacher, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match="more than 2 steps"):
        DistillConfig(clips, tmp_path, init_from=teacher, teacher_steps=2)
    with pytest.raises(ValueError, match="teacher's weights"):
        DistillConfig(clips, tmp_path)
