"""Benchmarks: names, units, comparison."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from rtfm_app.bench import compared
from rtfm_app.bench_engine import (
    achieved_over_peak,
    bench_world,
    matmul_peak,
    standard_walk,
    time_engine,
)
from rtfm_app.bench_growth import plot_growth, synthetic_table, time_growth, time_retrieval
from rtfm_app.bench_roofline import roofline
from rtfm_app.config import PRESETS, GenerationSettings
from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import check_pose
from rtfm_app.training.machine import describe_machine

CPU = torch.device("cpu")


def test_comparison_gives_ratios_of_common_numbers(tmp_path):
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    a.write_text(json.dumps({"x": 2.0, "y": 1.0, "machine": {}}))
    b.write_text(json.dumps({"x": 3.0, "machine": {}}))
    assert compared(a, b) == {"x": 1.5}
    b.write_text("no result")
    with pytest.raises(ValueError, match="b.json"):
        compared(a, b)


def test_synthetic_worlds_hold_proper_poses():
    table = synthetic_table(50)
    for pose in table.camera_to_world:
        assert np.allclose(check_pose(pose), pose)


def test_retrieval_is_named_by_world_size():
    result = time_retrieval((1_000,))
    assert 0 < result["retrieval_ms_p50_1k"] <= result["retrieval_ms_p99_1k"]


def test_stages_of_a_frame_add_up(tmp_path):
    with FrameEngine.open(bench_world(tmp_path / "b.rtfm")) as engine:
        result = time_engine(engine, GenerationSettings(), 6)
    stages = sum(result[f"{s}_ms_p50"] for s in ("retrieve", "encode", "denoise", "compose"))
    assert 0.3 < stages / result["inter_frame_ms_p50"] < 1.7
    assert result["inter_frame_ms_p50"] <= result["inter_frame_ms_p99"]
    # Products do not run faster than the measured peak, nor are the operations miscounted wildly.
    with_peak = result | {"matmul_peak_gflops": matmul_peak(CPU, 0.3)}
    assert 0.001 < achieved_over_peak(engine, GenerationSettings(), with_peak) < 1.1
    # Every page was there: encoding is no part of an inter frame.
    assert result["encode_ms_p50"] < 0.2 * result["memory_pass_ms_p50"]
    assert result["memory_pass_ms_p50"] < result["page_ms_p50"]


def test_growth_is_measured_in_the_same_pictures_and_drawn(tmp_path):
    settings = GenerationSettings()
    with FrameEngine.open(bench_world(tmp_path / "b.rtfm")) as engine:
        before = engine.step(standard_walk(1)[0], settings, follow=False).image
        result = time_growth(engine, settings, (1_000, 10_000), 2)
        after = engine.step(standard_walk(1)[0], settings, follow=False).image
    assert np.array_equal(before, after)
    assert set(result) == {"inter_frame_ms_p50_1k", "inter_frame_ms_p50_10k"}
    result |= {"retrieval_ms_p50_1k": 0.5, "retrieval_ms_p50_10k": 0.6}
    plot_growth(result, tmp_path / "growth.png")
    with Image.open(tmp_path / "growth.png") as plot:
        assert plot.format == "PNG" and len(plot.getcolors(1 << 20)) > 4
    with pytest.raises(ValueError, match="nowhere"):
        plot_growth(result, tmp_path / "nowhere" / "growth.png")


def test_base_draws_sixty_keyframes_a_second_on_paper():
    base = roofline("base")
    assert 0.9e9 <= base["parameters"] <= 1.1e9
    assert base["target_tokens"] >= 576
    assert base["settings"] == {"preset": "base", "memory_frames": 8, "steps": 4}
    assert base["predicted_fps"] >= 60
    # The large products alone: two operations a weight and token, in blocks and attention.
    config = PRESETS["base"]
    blocks = 12 * config.dim**2 * config.depth
    attention = 2 * config.tokens * 9 * config.dim * config.depth
    expected = 2 * config.tokens * (blocks + attention)
    assert 0.98 < base["step_flops"] / expected < 1.06
    with pytest.raises(ValueError, match="enormous"):
        roofline("enormous")


def test_the_machine_is_described():
    described = describe_machine()
    assert described["cores"] >= 1 and described["torch"]
