"""Weights on disk: safetensors only, with the configuration as JSON in the file's metadata."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..config import ModelConfig
from .frame_model import FrameModel

FORMAT = "rtfm-frame-model-1"


def save_weights(state: dict[str, torch.Tensor], config: ModelConfig, path: Path, **notes) -> None:
    """Write float16 weights atomically. `notes` are kept as text beside the configuration."""
    metadata = {"format": FORMAT, "config": json.dumps(asdict(config))}
    metadata |= {key: str(value) for key, value in notes.items()}
    tensors = {name: value.detach().to(torch.float16).contiguous() for name, value in state.items()}
    temporary = Path(f"{path}.{os.getpid()}.part")
    save_file(tensors, temporary, metadata)
    os.replace(temporary, path)


def load_model(path: Path) -> FrameModel:
    """A model in float32, ready for `fast.prepare`.

    Raises:
        ValueError: missing file, not safetensors, or weights of another program.
    """
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError(f"{path} does not hold weights of this program ({FORMAT})")
            config = ModelConfig(**json.loads(metadata["config"]))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path} is not a readable weights file: {error}") from error
    model = FrameModel(config)
    model.load_state_dict({name: value.float() for name, value in tensors.items()})
    return model.eval()


def weights_sha256(path: Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
