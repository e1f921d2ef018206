"""What pages weigh after the pointer head has said it, by compiled kernels where there are any:
`stretching.without_stretched` and `settling.with_even_borders`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from . import settling, stretching
from .cameras import Views, rho_of
from .fast import best_precision
from .fast_head import lines_of
from .fast_kernels import MOST_FRAMES, Kernels, kernels
from .pointer import Pointer
from .stretching import GATE_LOGIT, PAGE_LOGIT, given_way


def without_stretched(
    pointer: Pointer, views: Views, given: Sequence[bool], pages_per_drawn: Sequence[float]
) -> Pointer:
    """As the plain one; the pointer itself where no page is stretched."""
    compiled = _compiled_for(pointer)
    if compiled is None:
        return stretching.without_stretched(pointer, views, given, pages_per_drawn)
    return _without_stretched(compiled, pointer, views, given, pages_per_drawn)


def with_even_borders(pointer: Pointer) -> Pointer:
    """As the plain one."""
    compiled = _compiled_for(pointer)
    if compiled is None:
        return settling.with_even_borders(pointer)
    return _with_even_borders(compiled, pointer)


def _compiled_for(pointer: Pointer) -> Kernels | None:
    """The kernels if they can take the pointer of a target."""
    logits = pointer.view_logits
    even = pointer.u_coarse.shape[-1] % 16 == logits.shape[-1] % 16 == 0
    if logits.device.type != "cpu" or not even or len(logits) > 1 or len(logits[0]) > MOST_FRAMES:
        return None
    return kernels(best_precision(logits.device))


def _with_even_borders(compiled: Kernels, pointer: Pointer) -> Pointer:
    logits = pointer.view_logits.contiguous()
    even = torch.empty_like(logits)
    compiled("even_borders", *logits.shape[1:], logits, pointer.gate.contiguous(), even)
    return replace(pointer, view_logits=even)


def _without_stretched(
    compiled: Kernels, pointer: Pointer, views: Views, given, pages_per_drawn
) -> Pointer:
    frames, rows, columns = len(given), *pointer.u_coarse.shape[-2:]
    lines = lines_of(views, rows, columns)
    least = torch.empty(frames, rows, columns)
    compiled(
        "stretches", frames, rows, columns, lines.origin[0].contiguous(),
        lines.step[0].contiguous(), rho_of(pointer.u_coarse).contiguous(), least,
    )  # fmt: skip
    lost = given_way(least.numpy(), given, pages_per_drawn)
    if not lost.any():
        return pointer
    logits, gate = pointer.view_logits.contiguous(), pointer.gate_logit.contiguous()
    view_logits, gate_logit = torch.empty_like(logits), torch.empty_like(gate)
    compiled(
        "give_way", frames, rows, columns, torch.from_numpy(lost), *logits.shape[-2:], logits, gate,
        PAGE_LOGIT, GATE_LOGIT, view_logits, gate_logit,
    )  # fmt: skip
    return replace(pointer, view_logits=view_logits, gate_logit=gate_logit)
