"""Training in two processes is training in one: losses, gradients, files, and how it resumes."""

import json
import os
import shutil
import time
from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from test_training import TINY, wall_clip

from rtfm_app.model.fast import compile_for_training
from rtfm_app.training.clips import save_clip
from rtfm_app.training.data import ClipPool
from rtfm_app.training.distributed import Share, full, process_group
from rtfm_app.training.train import TrainConfig, Trainer

STEPS = 3


def config_of(clips, out, sharded=False) -> TrainConfig:
    return TrainConfig(
        clips, out, model=TINY, targets=8, warmup_steps=2, own_frames=0.7, matching=0.4, seed=3,
        compile=False, own_distance=0.0, sharded=sharded,
    )  # fmt: skip


def train_and_save(clips, out, steps: int, sharded=False, compiled=False) -> None:
    """Steps, then a checkpoint; rows.json gets the losses, gradient.pt the last gradient."""
    torch.set_num_threads(1)
    pool = ClipPool(clips, "train")
    trainer = Trainer(config_of(clips, out, sharded))
    if compiled:
        compile_for_training(trainer.model)
    rows = [trainer.train_step(pool) for _ in range(steps)]
    gradient = full({n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None})
    trainer.save()
    if trainer.share.rank == 0:
        (out / "rows.json").write_text(json.dumps(rows))
        torch.save(gradient, out / "gradient.pt")


def run_until_done(clips, out, late_s: float) -> None:
    """A whole run that saves every second, in a process that comes to it late."""
    config = replace(config_of(clips, out), total_targets=120, save_minutes=1 / 60)
    trainer = Trainer(config)
    time.sleep(late_s)
    trainer.run(ClipPool(clips, "train"))


def _process(rank: int, clips, out, port: int) -> None:
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    with process_group():
        assert Share.of_this_process() == Share(rank, 2)
        train_and_save(clips, out / "replicated", 1)
        train_and_save(clips, out / "replicated", STEPS - 1)
        train_and_save(clips, out / "sharded", 1, sharded=True)
        train_and_save(clips, out / "sharded", 1, sharded=True)
        train_and_save(clips, out / "compiled", 2, compiled=True)
        run_until_done(clips, out / "whole", late_s=1.5 * rank)
    assert not dist.is_initialized()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same run by one process, by two with DDP (resumed after the first step) and by two with
    FSDP2 (resumed too)."""
    clips, out = tmp_path_factory.mktemp("clips"), tmp_path_factory.mktemp("runs")
    for seed in range(3):
        save_clip(wall_clip(seed), clips)
    train_and_save(clips, out / "one2", 2)
    shutil.copytree(out / "one2", out / "one3")
    train_and_save(clips, out / "one3", 1)
    mp.spawn(_process, (clips, out, free_port()), nprocs=2)
    return out


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def rows_of(folder):
    return json.loads((folder / "rows.json").read_text())


def assert_same_row(a: dict, b: dict, tolerance: float) -> None:
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert b[name] == pytest.approx(value, rel=tolerance, abs=1e-5), name


def test_two_processes_see_the_losses_of_one_over_the_whole_batch(runs):
    one = rows_of(runs / "one2") + rows_of(runs / "one3")
    resumed = rows_of(runs / "replicated")
    assert len(resumed) == STEPS - 1
    # bf16 products of other batch sizes round otherwise, and optimizers amplify it.
    for a, b in zip(one[1:], resumed, strict=True):
        assert_same_row(a, b, 0.03)
    assert {"state", "total"} <= one[0].keys() | one[1].keys()


def test_a_whole_run_saves_though_its_processes_do_not_start_together(runs):
    """Clocks of their own would send one process to save and the other to the next step."""
    saved = torch.load(runs / "whole" / "checkpoint.pt")
    assert saved["targets"] >= 120
    assert (runs / "whole" / "log.jsonl").exists()


def test_compiled_parts_of_two_processes_see_the_same(runs):
    for a, b in zip(rows_of(runs / "one2"), rows_of(runs / "compiled"), strict=True):
        assert_same_row(a, b, 0.05)


@pytest.mark.parametrize("kind", ["replicated", "sharded"])
def test_gradients_and_weights_are_those_of_one_process(runs, kind):
    steps = STEPS if kind == "replicated" else 2
    one = torch.load(runs / f"one{steps}" / "gradient.pt")
    two = torch.load(runs / kind / "gradient.pt")
    assert one.keys() == two.keys()
    a, b = (torch.cat([g[n].flatten() for n in one]) for g in (one, two))
    assert torch.cosine_similarity(a, b, 0) > 0.995
    assert a.norm() <= 1.0001 and b.norm() == pytest.approx(float(a.norm()), rel=0.02)
    saved = [torch.load(runs / name / "checkpoint.pt") for name in (f"one{steps}", kind)]
    assert saved[0]["step"] == saved[1]["step"] == steps
    assert saved[0]["targets"] == saved[1]["targets"]
    assert saved[0]["rng"] == saved[1]["rng"]
    moved = []
    for name, value in saved[0]["model"].items():
        if value.is_floating_point():
            moved.append((saved[1]["model"][name] - value).abs().max())
    assert max(moved) < 0.004, "two steps at a rate of 0.001 part further only with other gradients"


def test_shares_of_a_batch_are_equal_and_together_whole():
    shares = [Share(rank, 3) for rank in range(3)]
    scenes = shares[0].whole_scenes(4)
    assert [i for share in shares for i in share.scenes(scenes)] == list(range(6))
    x = torch.arange(12)
    assert torch.equal(torch.cat([share.of(x) for share in shares]), x)
