"""Checkpoints, early stops and data that is refused before a training counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guidealign.errors import BadInputError, IntegrityError
from guidealign.labrador.examples import MASKED, Row, Rows, check_cut, split_held_out
from guidealign.labrador.loop import add_adapters, fit
from guidealign.settings import LabradorSettings
from guidealign.training import Checkpoint, Course, Training

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "fakes" / "labrador_sft.py"


def _start(
    folder: Path, checkpoints: Path, *teacher: str, pause_s: float = 0.0
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(folder), str(checkpoints), str(pause_s), *teacher],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])},
    )


def _result(process: subprocess.Popen[str]) -> tuple[dict[str, Any], list[str]]:
    said = process.communicate(timeout=120)[0].splitlines()
    assert process.returncode == 0
    return json.loads(said[-1]), said[:-1]


@pytest.fixture(scope="module")
def undisturbed(
    tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    """What a training to its end tells, and its checkpoints."""
    checkpoints = tmp_path_factory.mktemp("undisturbed")
    return _result(_start(tiny_folder, checkpoints))[0], checkpoints


@pytest.mark.parametrize("killed_at", [3, 8])
def test_a_training_killed_on_the_way_ends_where_an_undisturbed_one_does(
    tiny_folder: Path, tmp_path: Path, killed_at: int, undisturbed: tuple[dict[str, Any], Path]
) -> None:
    whole, _ = undisturbed
    _kill(_start(tiny_folder, tmp_path / "two", pause_s=0.1), killed_at)
    assert (tmp_path / "two").is_dir()
    resumed, _ = _result(_start(tiny_folder, tmp_path / "two"))
    _assert_same(resumed, whole)


def test_on_policy_the_same_answers_are_sampled_after_a_kill(
    guided_folder: Path, tmp_path: Path
) -> None:
    whole, _ = _result(_start(guided_folder, tmp_path / "one", "frozen"))
    _kill(_start(guided_folder, tmp_path / "two", "frozen", pause_s=0.1), 5)
    resumed, _ = _result(_start(guided_folder, tmp_path / "two", "frozen"))
    _assert_same(resumed, whole)


def _kill(process: subprocess.Popen[str], at: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == str(at):
            process.send_signal(signal.SIGKILL)
            break
    process.wait(timeout=30)
    assert process.returncode == -signal.SIGKILL


def _assert_same(resumed: dict[str, Any], whole: dict[str, Any]) -> None:
    # The curve is whole: what was logged before the kill is logged again.
    assert resumed["losses"] == pytest.approx(whole["losses"], rel=1e-4)
    for name in ("probe_loss_before", "probe_loss_after", "held_out_loss", "best_step", "steps"):
        assert resumed["metrics"][name] == pytest.approx(whole["metrics"][name], rel=1e-4)


def test_a_torn_checkpoint_begins_the_training_anew(
    tiny_folder: Path, tmp_path: Path, undisturbed: tuple[dict[str, Any], Path]
) -> None:
    whole, checkpoints = undisturbed
    (tmp_path / "last.pt").write_bytes((checkpoints / "last.pt").read_bytes()[:1000])
    again, _ = _result(_start(tiny_folder, tmp_path))
    assert again["losses"] == pytest.approx(whole["losses"], rel=1e-4)


class _Scripted:
    """One weight, moved by a gradient of 1 each step; held-out losses as told."""

    def __init__(self, held_out: Sequence[float]) -> None:
        import torch

        self.model = torch.nn.Linear(1, 1, bias=False)
        self._held_out = list(held_out)
        self.seen: list[float] = []

    def course(self, steps: int) -> Course:
        return Course(
            batches=iter([[]] * steps),
            add_gradient=self._add_gradient,
            measure_before=dict,
            evaluate=self._evaluate,
            steps=steps,
            evaluate_every=2,
            patience=2,
            learning_rate=0.1,
            warmup_steps=1,
            seed=13,
        )

    def _add_gradient(self, _: Sequence[Any]) -> dict[str, float]:
        import torch

        self.model.weight.grad = torch.ones(1, 1)
        return {"loss": 1.0, "tokens": 1.0}

    def _evaluate(self) -> float:
        self.seen.append(float(self.model.weight.detach()))
        return self._held_out[len(self.seen) - 1]


@pytest.mark.parametrize(
    ("held_out", "n_looks", "best"),
    [
        ([3.0, 2.0, 1.0, 0.5], 4, 4),
        # worse at the second look and the third: stopped there, the first one's weights
        ([1.0, 2.0, 3.0, 0.5], 3, 1),
        # one bad look is forgiven
        ([2.0, 3.0, 1.0, 1.5], 4, 3),
    ],
)
def test_a_training_stops_when_the_held_out_loss_no_longer_falls(
    held_out: list[float], n_looks: int, best: int
) -> None:
    scripted = _Scripted(held_out)
    done = Training(scripted.model, scripted.course(8), lambda *_: None).run()
    assert len(scripted.seen) == n_looks
    assert (done.step, done.best_step) == (2 * n_looks, 2 * best)
    assert float(scripted.model.weight.detach()) == scripted.seen[best - 1]


def test_a_held_out_loss_that_is_not_finite_is_refused() -> None:
    scripted = _Scripted([float("nan")])
    with pytest.raises(IntegrityError, match="held_out_loss of step 2"):
        Training(scripted.model, scripted.course(2), lambda *_: None).run()


def test_a_checkpoint_of_the_version_before_is_gone_on_from(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    first = _Scripted([1.0])
    Training(first.model, first.course(2), lambda *_: None, checkpoint).run()
    state = checkpoint.load()
    assert state is not None
    del state["course"]
    checkpoint.save(state)
    second = _Scripted([0.5])
    done = Training(second.model, second.course(4), lambda *_: None, checkpoint).run()
    assert (done.step, len(done.losses), done.best) == (4, 4, 0.5)


def _row(length: int) -> Row:
    return Row(tokens=(1,) * length, labels=(MASKED,) * length)


@given(st.lists(st.integers(1, 9), max_size=40), st.floats(0, 0.89), st.integers(0, 3))
def test_what_is_held_out_is_not_learned_and_nothing_is_lost(
    lengths: list[int], share: float, seed: int
) -> None:
    rows = [_row(n) for n in lengths]
    learned, held_out = split_held_out(rows, share=share, seed=seed)
    assert len(held_out) == int(share * len(rows))
    assert {id(r) for r in learned} | {id(r) for r in held_out} == {id(r) for r in rows}
    assert len(learned) + len(held_out) == len(rows)
    assert (learned, held_out) == split_held_out(rows, share=share, seed=seed)


def test_masked_labels_alone_are_refused(tiny: tuple[Any, Any]) -> None:
    settings = LabradorSettings()
    with pytest.raises(IntegrityError, match="all labels are masked"):
        fit(add_adapters(tiny[0], settings), [_row(5)] * 3, settings, lambda *_: None)


def test_data_that_the_length_limit_cuts_too_much_is_refused() -> None:
    rows = Rows(rows=(_row(3),) * 7, n_truncated=1, n_dropped=1)
    check_cut(rows, max_share=0.25)  # 2 of 8
    with pytest.raises(BadInputError, match="2 of 8 examples do not fit"):
        check_cut(rows, max_share=0.2)
