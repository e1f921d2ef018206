"""The CPU's way of composing a picture, held to the plain one."""

import shutil

import cv2
import numpy as np
import pytest
import torch

from rtfm_app.geometry import pose_from_yaw_pitch
from rtfm_app.model.cameras import relative_views
from rtfm_app.model.fast_compose import compose_quickly
from rtfm_app.model.fast_kernels import kernels
from rtfm_app.model.fast_picture import Readable
from rtfm_app.model.frame_model import Pages, Prediction, compose
from rtfm_app.model.pointer import Pointer
from rtfm_app.training.data import cameras_of
from rtfm_app.training.metrics import psnr

TAN = 0.6
HEIGHT, WIDTH = 288, 512


def pictures(count: int, height: int, width: int) -> list[np.ndarray]:
    """Smooth colours with fine lines and grain, as photographs have them."""
    rng = np.random.default_rng(4)
    made = []
    for _ in range(count):
        broad = rng.uniform(40, 215, (9, 16, 3)).astype(np.float32)
        middle = rng.uniform(-40, 40, (54, 96, 3)).astype(np.float32)
        image = cv2.resize(broad, (width, height), interpolation=cv2.INTER_CUBIC)
        image += cv2.resize(middle, (width, height), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            start, end = rng.integers(0, (width, height), (2, 2)).tolist()
            cv2.line(image, start, end, rng.uniform(0, 255, 3).tolist(), 2, cv2.LINE_AA)
        made.append(np.clip(image, 0, 255).astype(np.uint8))
    return made


def smooth(generator, channels: int, low: float, high: float) -> torch.Tensor:
    coarse = torch.rand(1, channels, 9, 16, generator=generator) * (high - low) + low
    size = {"size": (72, 128), "mode": "bilinear"}
    return torch.nn.functional.interpolate(coarse, **size)


def scene(yaw: float, pitch: float, gate: tuple[float, float], memory_pitch: float = 0.0):
    """A prediction as the model makes them, for three memory frames and a turned target."""
    poses = np.stack(
        [pose_from_yaw_pitch((0.4 * i, 1.6, 0.3 * i), 0.2 * i, memory_pitch) for i in range(3)]
    )
    target = pose_from_yaw_pitch((0.2, 1.6, -0.2), yaw, pitch)[None]
    views = relative_views(target, np.array([TAN]), poses[None], np.full((1, 3), TAN))
    cameras = cameras_of(target, np.array([TAN]))
    up = cameras_of(poses, np.full(3, TAN)).up[None]
    nothing = torch.zeros(0)
    pages = Pages((), nothing, nothing, nothing, up, anchor=torch.tensor([1]))
    generator = torch.Generator().manual_seed(1)
    pointer = Pointer(
        logits=nothing, sweep_logits=nothing, u_coarse=nothing,
        u=smooth(generator, 1, 0.1, 0.6), view_logits=smooth(generator, 3, -6, 6),
        inside=torch.ones(1, 3, 72, 128), gate_logit=smooth(generator, 1, *gate),
    )  # fmt: skip
    state = smooth(generator, 3, -1, 1)[:, :, ::2, ::2].contiguous()
    return Prediction(state, pointer), pages, views, cameras


@pytest.fixture(params=["opencv", "kernels"])
def compiled(request):
    """What draws: OpenCV, or compiled kernels."""
    if request.param == "opencv":
        return None
    if shutil.which("cc") is None:
        pytest.fail("this test needs a C compiler: sudo apt install gcc libc6-dev")
    assert kernels(torch.bfloat16) is not None
    return kernels(torch.bfloat16)


def both(arguments, images, compiled, imagination=0.1):
    readable = [Readable(image) for image in images]
    size = (HEIGHT, WIDTH, imagination)
    tensors = [picture.tensor(torch.device("cpu")) for picture in readable]
    picture, gate, share = compose(*arguments, tensors, *size)
    plain = ((picture[0].clamp(-1, 1) + 1) * 127.5).round().permute(1, 2, 0).numpy()
    quick = compose_quickly(*arguments, readable, *size, compiled)
    assert np.abs(gate[0, 0].numpy() - quick.gate).max() < 1e-4
    assert np.abs((share * gate).mean((0, 2, 3)).numpy() - quick.weights).max() < 1e-4
    return plain.astype(np.uint8), quick.image


@pytest.mark.parametrize(
    "view",
    [
        {"yaw": 0.1, "pitch": 0.0, "gate": (4, 9)},  # all remembered
        {"yaw": 0.4, "pitch": 0.1, "gate": (-6, 6)},  # half of it
        {"yaw": 2.6, "pitch": -0.4, "gate": (-9, -8)},  # behind the walker, nothing
        {"yaw": -1.2, "pitch": 0.7, "gate": (-9, -8), "memory_pitch": -0.2},  # the sky
    ],
)
@pytest.mark.parametrize("imagination", [0.0, 1.0])
def test_quick_and_plain_composition_agree(view, imagination, compiled):
    plain, quick = both(scene(**view), pictures(3, HEIGHT, WIDTH), compiled, imagination)
    assert psnr(quick, plain) > 45


def test_pictures_of_twice_the_resolution_are_not_aliased(compiled):
    """Stripes too fine to be drawn become grey instead of a moiré pattern."""
    stripes = np.zeros((576, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    plain, quick = both(scene(0.1, 0.0, (8, 9)), [stripes] * 3, compiled)
    inner = (slice(60, -60), slice(60, -60))
    assert plain[inner].std() > 40
    assert quick[inner].std() < 20
    assert abs(float(quick[inner].mean()) - 127.5) < 3


def test_a_frame_that_cannot_be_seen_is_not_read(compiled):
    arguments = scene(0.1, 0.0, (4, 9))
    arguments[0].pointer.view_logits[:, 2] = -30
    readable = [Readable(image) for image in pictures(3, HEIGHT, WIDTH)]
    compose_quickly(*arguments, readable, HEIGHT, WIDTH, 0.1, compiled)
    assert readable[0]._levels and not readable[2]._levels


def test_pictures_are_enlarged_to_the_same_bits():
    """Also at their borders, where values are rounded up and down, and of the smallest."""
    compiled = kernels(torch.bfloat16)
    assert compiled is not None, "this test needs a C compiler: sudo apt install gcc libc6-dev"
    rng = np.random.default_rng(0)
    for height, width in ((288, 512), (2, 2), (7, 33)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        wanted = Readable(pixels).level(1.0)
        found = Readable(pixels).level(1.0, compiled)
        assert np.array_equal(found.pixels, wanted.pixels)
        assert (found.half, found.offset) == (wanted.half, wanted.offset)
