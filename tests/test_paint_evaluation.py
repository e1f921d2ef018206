"""The measure of painting finds a mark that is there, and says so when it is not."""

import json

import numpy as np
import pytest

from rtfm_app.resources import asset
from rtfm_app.training.evaluate_paint import (
    COLOUR,
    LOST_PX,
    PAINT_FILE,
    disc,
    find_mark,
    load_truth,
)


def pictures(centre, strength: float):
    before = np.random.default_rng(1).integers(0, 200, (288, 512, 3)).astype(np.uint8)
    mark = disc(centre)[..., None] * strength
    return before, (before * (1 - mark) + np.array(COLOUR) * mark).round().astype(np.uint8)


def test_offset_and_contrast_are_measured():
    found = find_mark(*pictures((206, 100), 0.8), disc((200, 100)))
    assert found.error_px == pytest.approx(6, abs=0.3)
    assert found.contrast == pytest.approx(0.8, abs=0.03)


def test_a_lost_mark_counts():
    before, _ = pictures((200, 100), 0.0)
    found = find_mark(before, before, disc((200, 100)))
    assert found.error_px == LOST_PX and found.contrast == 0


def test_other_changes_do_not_move_the_mark():
    before, after = pictures((200, 100), 1.0)
    after[200:206, 400:404] = COLOUR
    assert find_mark(before, after, disc((200, 100))).error_px < 0.5


def test_the_evaluation_set_says_where_marks_belong():
    folders = sorted(path.parent for path in asset("paint").glob(f"*/{PAINT_FILE}"))
    assert len(folders) >= 4
    widest = []
    for folder in folders:
        truth = load_truth(folder)
        assert 4 <= len(truth.views) <= 6
        assert all(mask.sum() > 0.2 * disc((256, 144)).sum() for _, mask in truth.views)
        views = json.loads((folder / PAINT_FILE).read_text())["views"]
        widest.append(max(abs(view["degrees"]) for view in views))
        assert widest[-1] <= 48
    assert max(widest) > 25


def test_a_damaged_truth_is_refused(tmp_path):
    (tmp_path / PAINT_FILE).write_text('{"views": [{}]}')
    with pytest.raises(ValueError, match=PAINT_FILE):
        load_truth(tmp_path)
