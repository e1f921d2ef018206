"""Benchmarks: names, units, comparison."""

import json

import numpy as np
import pytest

from rtfm_app.bench import bench_world, compared, synthetic_table, time_engine, time_retrieval
from rtfm_app.config import GenerationSettings
from rtfm_app.engine import FrameEngine
from rtfm_app.geometry import check_pose
from rtfm_app.training.machine import describe_machine


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
    # Every page was there: encoding is no part of an inter frame.
    assert result["encode_ms_p50"] < 0.2 * result["memory_pass_ms_p50"]


def test_the_machine_is_described():
    described = describe_machine()
    assert described["cores"] >= 1 and described["torch"]
