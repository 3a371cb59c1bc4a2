"""Fine-tuning in several processes: the same adapters as in one, and one that reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from guidealign.alignment import AlignedExample
from guidealign.errors import BadInputError
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.labrador.sharded import check_processes
from guidealign.platform import load_files
from guidealign.settings import LabradorSettings
from guidealign.training import Processes
from tests.fakes.two_processes import in_two_processes

pytestmark = pytest.mark.slow

EXAMPLES = [
    AlignedExample(
        input_id=i, prompt=f"Question {i} " * (1 + i % 3), response="Be kind. " * (1 + i % 4)
    )
    for i in range(12)
]
SETTINGS: dict[str, Any] = {
    "rank": 4, "learning_rate": 1e-2, "max_steps": 6, "batch_size": 3, "held_out_share": 0.2,
    "check_every": 2, "precision": "float32",
}  # fmt: skip
_SCRIPT = """
import json, sys, torch
from pathlib import Path
from guidealign.platform import load_files
from guidealign.labrador.examples import tokenize
from guidealign.labrador.loop import add_adapters, fit
from guidealign.training import Checkpoint, together
from guidealign.settings import LabradorSettings
from tests.unit.labrador.test_processes import EXAMPLES
folder, base = Path(sys.argv[1]), Path(sys.argv[2])
settings = LabradorSettings(**json.loads(sys.argv[3]))
torch.set_num_threads(1)
steps = []
with together() as processes:
    model, tokenizer = load_files(base)
    rows = tokenize(EXAMPLES, tokenizer, max_length=256).rows
    checkpoint = Checkpoint(folder / "kept") if processes.is_first else None
    done = fit(
        add_adapters(model, settings), rows, settings, lambda _, step: steps.append(step),
        checkpoint=checkpoint, processes=processes,
    )
weights = {n: p.detach() for n, p in done.model.named_parameters() if p.requires_grad}
held = [p.to_local() if hasattr(p, "to_local") else p for p in done.model.parameters()]
told = {
    "weights": weights, "steps": steps, "metrics": done.metrics,
    "held": sum(p.numel() for p in held),
    "of": sum(p.numel() for p in done.model.parameters()),
}
torch.save(told, folder / f"{processes.rank}.pt")
"""


# Of one row a step, one process has nothing to do but to give its share of the weights.
@pytest.mark.parametrize(("batch_size", "sharded"), [(3, False), (3, True), (1, True)])
def test_two_processes_train_the_adapters_that_one_does(
    tiny_folder: Path, tmp_path: Path, batch_size: int, sharded: bool
) -> None:
    wanted = {**SETTINGS, "batch_size": batch_size}
    told = json.dumps({**wanted, "shard_base": sharded})
    first, second = in_two_processes(_SCRIPT, tmp_path, str(tiny_folder), told)
    settings = LabradorSettings(**wanted)
    model, tokenizer = load_files(tiny_folder)
    rows = tokenize(EXAMPLES, tokenizer, max_length=256).rows
    alone = fit(add_adapters(model, settings), rows, settings, lambda *_: None)
    expected = {n: p.detach() for n, p in alone.model.named_parameters() if p.requires_grad}
    assert first["weights"].keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        assert torch.allclose(first["weights"][name], value, atol=1e-4), name
    for figure in ("loss_first", "loss_last", "held_out_loss", "probe_loss_after"):
        assert first["metrics"][figure] == pytest.approx(alone.metrics[figure], abs=1e-3)
    # One of them reports, and keeps what it would go on from.
    assert set(first["steps"]) == set(range(1, 7))
    assert second["steps"] == []
    assert (tmp_path / "kept" / "last.pt").exists()
    for held in (first, second):
        assert (held["held"] < 0.7 * held["of"]) == sharded


@pytest.mark.parametrize(
    ("n", "settings", "why"),
    [
        (1, {"objective": "sft_dpo"}, None),
        (2, {"objective": "sft"}, None),
        (2, {"shard_base": True}, None),
        (2, {"objective": "sft_dpo"}, "preferences are learned in one process"),
        (1, {"shard_base": True}, "start several"),
        (2, {"shard_base": True, "quantization": "nf4"}, "LABRADOR__QUANTIZATION=none"),
        (2, {"objective": "on_policy"}, None),
        (2, {"shard_base": True, "objective": "on_policy"}, "does not sample answers"),
    ],
)
def test_what_a_number_of_processes_cannot_do_is_refused(
    n: int, settings: dict[str, Any], why: str | None
) -> None:
    wanted = LabradorSettings(**settings)
    if why is None:
        check_processes(Processes(0, n), wanted)
        return
    with pytest.raises(BadInputError, match=why):
        check_processes(Processes(0, n), wanted)
