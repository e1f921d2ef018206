"""Tests marked `gpu` are left out, and counted as deselected, where there is no CUDA device."""

import torch


def pytest_collection_modifyitems(config, items):
    if torch.cuda.is_available():
        return
    left_out = [item for item in items if item.get_closest_marker("gpu")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
