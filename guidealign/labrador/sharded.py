"""A base of which each process holds a share, for bases that do not fit one of them."""

from __future__ import annotations

from typing import Any

from guidealign.errors import BadInputError
from guidealign.settings import LabradorSettings
from guidealign.training import Processes, compute_device


def shard_base(model: Any, processes: Processes) -> None:
    """Spreads the frozen weights over the processes (FSDP, arXiv 2304.11277), in place.

    Each layer's weights are gathered when it runs and dropped behind it. The adapters are few and
    stay whole in every process: their gradients, optimizer and checkpoints are those of an
    unsharded base.

    Args:
        model: with adapters, on the processor: a layer at a time moves to the device.
        processes: all of them; each calls this, and makes the same passes afterwards.
    """
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from transformers.modeling_layers import GradientCheckpointingLayer

    mesh = init_device_mesh(torch.device(compute_device()).type, (processes.n,))
    adapters = {weight for weight in model.parameters() if weight.requires_grad}
    layers = [
        module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)
    ]
    for module in (*layers, model):
        fully_shard(module, mesh=mesh, reshard_after_forward=True, ignored_params=adapters)


def check_processes(processes: Processes, settings: LabradorSettings) -> None:
    """Refuses what this number of processes cannot do.

    Raises:
        BadInputError: what to do instead.
    """
    if processes.n > 1 and settings.objective == "sft_dpo":
        raise BadInputError(
            "preferences are learned in one process: start one, or set LABRADOR__OBJECTIVE=sft"
        )
    if processes.n == 1 and settings.shard_base:
        raise BadInputError(
            "one process has nobody to share the base with: start several"
            " (mlflow run mlflow_projects/labrador -e several), or set LABRADOR__SHARD_BASE=false"
        )
    if settings.shard_base and settings.objective == "on_policy":
        raise BadInputError(
            "a base in shares does not sample answers: set LABRADOR__SHARD_BASE=false or"
            " LABRADOR__OBJECTIVE=sft"
        )
    if settings.shard_base and settings.quantization != "none":
        raise BadInputError(
            "a base in 4 bits is not sharded: set LABRADOR__QUANTIZATION=none or"
            " LABRADOR__SHARD_BASE=false"
        )
