"""Training in several processes: the same model as in one, and one that reports."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from guidealign.errors import BadInputError
from guidealign.retriever.fit import fit
from guidealign.settings import RetrieverSettings
from guidealign.training import Processes
from tests.fakes.two_processes import in_two_processes
from tests.unit.retriever.test_fit import DATA, SMALL, _encoder

pytestmark = pytest.mark.slow

_SCRIPT = """
import json, sys, torch
from pathlib import Path
from guidealign.retriever.fit import fit
from guidealign.settings import RetrieverSettings
from guidealign.training import Checkpoint, together
from tests.unit.retriever.test_fit import DATA, _encoder
folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
torch.set_num_threads(1)
steps = []
with together() as processes:
    encoder = _encoder()
    figures = fit(
        encoder, DATA, RetrieverSettings(**settings), lambda _, step: steps.append(step),
        checkpoint=Checkpoint(folder / "kept") if processes.is_first else None, processes=processes,
    )
torch.save(
    {"weights": encoder.model.state_dict(), "steps": steps, "figures": figures},
    folder / f"{processes.rank}.pt",
)
"""


def test_two_processes_train_the_model_that_one_does(tmp_path: Path) -> None:
    # Sums in another order are rounded another way, and bfloat16 rounds by far more.
    settings = {**SMALL, "epochs": 2, "precision": "float32"}
    first, second = in_two_processes(_SCRIPT, tmp_path, json.dumps(settings))
    alone = _encoder()
    expected = fit(alone, DATA, RetrieverSettings(**settings), lambda *_: None)
    for name, value in alone.model.state_dict().items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        assert torch.allclose(first["weights"][name], value, atol=2e-5), name
    assert first["figures"]["loss_last"] == pytest.approx(expected["loss_last"], abs=1e-3)
    # One of them reports, and keeps what it would go on from.
    assert (first["steps"], second["steps"]) == ([1, 2, 3, 4], [])
    assert (tmp_path / "kept" / "last.pt").exists()


def test_more_processes_than_texts_are_refused() -> None:
    with pytest.raises(BadInputError, match="start fewer"):
        fit(
            _encoder(), DATA, RetrieverSettings(**SMALL), lambda *_: None,
            processes=Processes(0, 5),
        )  # fmt: skip


def test_alone_nothing_is_exchanged() -> None:
    alone = Processes()
    own = torch.ones(3, 2, requires_grad=True)
    assert alone.is_first
    assert alone.share_of(["a", "b", "c"]) == ["a", "b", "c"]
    assert alone.gather(own, 3) is own
    assert alone.broadcast(7) == 7
