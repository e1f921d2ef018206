"""Training on several devices: `torchrun --nproc-per-node 8 -m rtfm_app train …`.

Every process draws the same global batch from the same generators and makes only its share of the
scenes. Masked means divide by the global batch's weights, so that N processes give the losses and
gradients of one. Gradients are complete (DDP) or gathered by the operations that need them (FSDP2)
when they are clipped and before Muon orthogonalises them: both see whole matrices of the mean
gradient, never a process's own.

Works with any process group; without one everything here is the identity.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def active() -> bool:
    return dist.is_available() and dist.is_initialized()


@contextmanager
def process_group() -> Iterator[torch.device]:
    """The device of this process; under torchrun, the process group too (nccl on GPUs, else gloo).

    Raises:
        ValueError: more processes on this machine than it has GPUs.
    """
    local = int(os.environ.get("LOCAL_RANK", 0))
    gpus = torch.cuda.device_count()
    if gpus and local >= gpus:
        raise ValueError(f"process {local} has no GPU: this machine has {gpus}; "
                         f"use torchrun --nproc-per-node {gpus}")  # fmt: skip
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if "RANK" not in os.environ or active():
        yield device
        return
    if gpus:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if gpus else "gloo")
    try:
        yield device
    finally:
        dist.destroy_process_group()


@dataclass(frozen=True)
class Share:
    """This process's part of the global batch: the `rank`-th of `ranks` equal parts."""

    rank: int = 0
    ranks: int = 1

    @classmethod
    def of_this_process(cls) -> Share:
        return cls(dist.get_rank(), dist.get_world_size()) if active() else cls()

    def whole_scenes(self, scenes: int) -> int:
        """Scenes of the global batch, so that every process has equally many."""
        return -(-scenes // self.ranks) * self.ranks

    def scenes(self, scenes: int) -> range:
        """Which scenes of the global batch this process makes."""
        each = scenes // self.ranks
        assert each * self.ranks == scenes, (scenes, self.ranks)
        return range(self.rank * each, (self.rank + 1) * each)

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """The part of a tensor (N * ranks, …) that belongs to this process's targets."""
        return x.chunk(self.ranks)[self.rank]


def share_of_total(weight: torch.Tensor, least: float = 1.0) -> torch.Tensor:
    """What to divide a masked sum by, so that the mean over processes of the quotients is the
    masked mean over the global batch: the global weight (at least `least`) over the processes."""
    if not active():
        return weight.clamp(min=least)
    total = weight.detach().clone()
    dist.all_reduce(total)
    return total.clamp(min=least) / dist.get_world_size()


def mean_over_processes(values: dict[str, float]) -> dict[str, float]:
    """Numbers of all processes (the same names everywhere), averaged."""
    if not active():
        return values
    names = sorted(values)
    total = torch.tensor([values[name] for name in names], dtype=torch.float64)
    total = total.float().cuda() if dist.get_backend() == "nccl" else total
    dist.all_reduce(total)
    return dict(zip(names, (total / dist.get_world_size()).tolist(), strict=True))


def from_first(value: Any) -> Any:
    """The first process's value, everywhere: clocks and folder listings differ."""
    if not active():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


class Losses(nn.Module):
    """A model as DDP and FSDP2 want it: one module whose forward computes the losses."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, compute, *args):
        return compute(self.model, *args)


def wrapped(model: nn.Module, device: torch.device, sharded: bool) -> nn.Module:
    """`Losses` of a model, replicated (DDP) or with its parameters, gradients and optimizer state
    sharded block by block (FSDP2); plain without a process group.

    Raises:
        ValueError: sharding without torchrun.
    """
    losses = Losses(model)
    if sharded:
        if not active():
            raise ValueError("--sharded needs several processes; start it with torchrun")
        return _sharded(losses)
    if not active():
        return losses
    ids = [device.index] if device.type == "cuda" else None
    # Its way to split compiled graphs fails on whole numbers in them; ours are small.
    torch._dynamo.config.optimize_ddp = False
    # Steps of matching alone leave the transformer out.
    return DistributedDataParallel(losses, device_ids=ids, find_unused_parameters=True)


def _sharded(losses: Losses) -> nn.Module:
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    for block in losses.model.transformer.blocks:
        fully_shard(block, reshard_after_forward=False)
        # A block is called by its two halves; the first gathers the weights for both.
        register_fsdp_forward_method(block, "project")
        register_fsdp_forward_method(block, "finish")
    fully_shard(losses, reshard_after_forward=False)
    return losses


def full(value: Any) -> Any:
    """Sharded tensors in a nest of dicts, lists and tuples gathered whole (all processes call)."""
    if isinstance(value, dict):
        return {key: full(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(full(item) for item in value)
    return value.full_tensor() if hasattr(value, "full_tensor") else value


def sharded_like(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor cut as `like` is."""
    if not hasattr(like, "full_tensor") or value.shape != like.shape:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value, like.device_mesh, like.placements)


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict) -> None:
    """Load an optimizer's state that was saved whole (by `full`)."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state = {
        index: {
            name: sharded_like(value, parameters[index]) if torch.is_tensor(value) else value
            for name, value in entry.items()
        }
        for index, entry in saved["state"].items()
    }
    optimizer.load_state_dict({**saved, "state": state})


def moved(value: Any, device: torch.device) -> Any:
    """A frozen dataclass of tensors (and of such dataclasses) on another device."""
    if torch.is_tensor(value):
        return value.to(device, non_blocking=True)
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: moved(getattr(value, f.name), device) for f in fields(value) if f.init}
        return replace(value, **changed)
    return value
