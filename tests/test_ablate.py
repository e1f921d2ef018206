"""Ablations differ in one thing, cost what is counted, and are told in a table and a picture."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from PIL import Image
from test_training import TINY, clips  # noqa: F401  (a fixture)

from rtfm_app.cli import run
from rtfm_app.config import PRESETS
from rtfm_app.training.ablate import REPORTED, SIZES, VARIANTS, table_of
from rtfm_app.training.data import ClipPool, Shape
from rtfm_app.training.dry_run import training_estimate
from rtfm_app.training.flops import memory_flops, target_flops
from rtfm_app.training.scaling_plot import fitted_exponent, plot_scaling
from rtfm_app.training.train import TrainConfig, Trainer


def test_every_variant_changes_one_thing():
    plain = asdict(PRESETS["embedded"])
    for name, variant in VARIANTS.items():
        changed = {k for k, v in asdict(variant.model).items() if v != plain[k]}
        if name in SIZES:
            assert changed <= {"dim", "depth", "heads"}
        else:
            assert len(changed) + (variant.most_memory < 6) == 1, name


def test_a_model_without_pointer_or_prope_and_a_capped_memory_train(clips, tmp_path):  # noqa: F811
    torch.set_num_threads(1)
    pool = ClipPool(clips, "train")
    config = TrainConfig(
        clips, tmp_path / "a", model=replace(TINY, pointer=False, prope=False), targets=2,
        most_memory=1, matching=1.0, own_frames=1.0, compile=False, total_targets=5,
    )  # fmt: skip
    trainer = Trainer(config)
    assert trainer.make_batch(pool, Shape(1, 2, 4)).memory_count == 1
    trainer.run(pool)
    assert trainer.targets >= 5 and trainer.done >= 1 and trainer.flops > 0
    again = Trainer(config)
    assert (again.targets, again.flops) == (trainer.targets, trainer.flops)
    log = (tmp_path / "a" / "log.jsonl").read_text()
    assert "flops_per_s" in log and "photometric" not in log


def test_counted_operations_are_those_of_the_formula():
    config = PRESETS["embedded"]
    tokens, dim, depth = config.tokens, config.dim, config.depth
    weights = depth * tokens * 2 * 12 * dim * dim
    attention = depth * 4 * tokens * tokens * dim
    # The memory pass stops at the last block's keys and values.
    last = tokens * 2 * 9 * dim * dim + attention // depth
    assert memory_flops(config) > weights + attention - last
    assert target_flops(config, 0) == pytest.approx(weights + attention, rel=0.05)
    assert target_flops(config, 3) - target_flops(config, 2) > depth * 4 * tokens * tokens * dim
    assert target_flops(replace(config, pointer=False), 2) < target_flops(config, 2)


def test_dry_run_tells_what_a_preset_takes(capsys):
    estimates = {name: training_estimate(name, gpus=8) for name in ("embedded", "base")}
    base = estimates["base"]
    assert 0.9e9 < base["parameters"] < 1.1e9
    assert base["memory_gb_per_gpu_fsdp"] < base["memory_gb_per_gpu_ddp"]
    assert base["flops_per_target"] > 50 * estimates["embedded"]["flops_per_target"]
    assert training_estimate("base", gpus=16)["predicted_targets_per_s"] == pytest.approx(
        2 * base["predicted_targets_per_s"]
    )
    assert run(["train", "--dry-run", "--preset", "embedded"]) == 0
    assert "flops_per_target" in capsys.readouterr().out
    assert run(["train", "--dry-run", "--preset", "huge"]) == 2
    assert run(["train", "--preset", "embedded"]) == 2
    assert "--data" in capsys.readouterr().err


def test_table_and_picture_of_results(tmp_path):
    results = {name: dict.fromkeys(REPORTED, 1.5) for name in SIZES}
    table = table_of(results, "10 target frames each")
    assert table.count("\n| ") == len(SIZES) + 1 and "10 target frames" in table
    flops = [1e12, 2e12, 8e12]
    losses = [3 * f**-0.1 for f in flops]
    assert fitted_exponent(flops, losses) == pytest.approx((-0.1, 3.0))
    path = tmp_path / "scaling.png"
    points = list(zip(SIZES, flops, losses, strict=True))
    assert plot_scaling(points, "10 target frames", path) == pytest.approx(-0.1)
    assert (np.asarray(Image.open(path)) < 128).any(-1).mean() > 0.005
    with pytest.raises(ValueError, match="two points"):
        plot_scaling(points[:1], "", path)
