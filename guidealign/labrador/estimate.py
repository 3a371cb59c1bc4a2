"""What a training will take, before it starts: memory by counting, time by a measured step."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from guidealign.alignment import load_dataset
from guidealign.labrador.examples import (
    Row,
    as_learned,
    batches,
    check_cut,
    split_by_tokens,
    tokenize,
)
from guidealign.labrador.lessons import Lessons, tokenize_lessons
from guidealign.labrador.likelihood import free_cores
from guidealign.labrador.loop import add_adapters, gradient_of
from guidealign.labrador.on_policy import time_step
from guidealign.labrador.quantized import NF4_BYTES, load_base
from guidealign.platform import find_base
from guidealign.settings import LabradorSettings, Settings

_FLOAT_BYTES = 4
_ADAPTER_COPIES = 5
"""Weights, gradient, two moments of the optimizer, and the best so far."""
_HIDDEN_KEPT, _HEADS_KEPT, _INNER_KEPT = 12, 4, 4
"""Vectors a layer keeps a token for the backward pass, by their width: hidden, keys and values,
and the middle of the feed-forward part; with adapters beside all linear layers."""
_FIXED_BYTES = 600_000_000
"""Libraries that training loads and buffers that it keeps, whatever the model: what a model of 26
million weights took beyond what is counted."""
_KEPT_ALLOWANCE = 2
"""Times what is counted of that: what the backward pass and the allocator hold beside. The bundled
model peaked at 5.1 GB where this, with the fixed part, says 5.2."""
_LOGITS_KEPT = {"sft": 3, "sft_dpo": 3, "on_policy": 7}
"""Logits, their probabilities and their gradient; on-policy those of answers alone, those of all
but the teacher's tokens, and the gradients of each."""
_FORWARD_SHARE = 1 / 3
"""Of a step's time: the backward pass is two forward ones."""
_MEASURED_ROWS = 2
_EVALUATIONS_BESIDE = 2
"""At the fixed rows, before and after."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one training is expected to take here and now."""

    n_examples: int
    n_truncated: int
    n_dropped: int
    parameters: int
    trained_parameters: int
    steps: int
    tokens_per_step: float
    memory_gb: float
    """Peak of the process, in 10^9 bytes."""
    memory_free_gb: float
    checkpoint_mb: float
    train_seconds: float | None
    """All steps and evaluations; None: it does not fit into memory, and nothing was measured."""
    load_seconds: float | None
    """To load the base; writing and checking the result take about as long again, each."""

    @property
    def fits(self) -> bool:
        """Whether the memory that is free now holds it."""
        return self.memory_gb <= self.memory_free_gb

    def as_dict(self) -> dict[str, Any]:
        """For output."""
        return {**asdict(self), "fits": self.fits}


def estimate_training(
    *, engine: Engine, settings: Settings, dataset_id: int | None = None
) -> Estimate:
    """Counts what a training keeps in memory, and times a step on a few rows if that fits.

    Preferences, where they are learned behind the answers, are not part of it. Of on-policy
    learning the step that is timed samples answers as the training does.

    Args:
        engine: the guidealign database.
        settings: `labrador` holds the base and the training's settings.
        dataset_id: None: the newest aligned data set.

    Raises:
        BadInputError: there is no data set, or too little of it fits the length limit.
        ConfigurationError: the base named in the settings is not there.
    """
    data = load_dataset(dataset_id, engine=engine, settings=settings)
    folder, wanted = find_base(settings).folder, settings.labrador
    if wanted.objective == "on_policy":
        lessons = tokenize_lessons(data.examples, _tokenizer(folder), wanted)
        check_cut(lessons.rows(), max_share=wanted.max_cut_share)
        return estimate_lessons(folder, lessons, wanted)
    examples = as_learned(data.examples, wanted)
    tokens = tokenize(examples, _tokenizer(folder), max_length=wanted.max_length)
    check_cut(tokens, max_share=wanted.max_cut_share)
    return estimate_rows(
        folder, tokens.rows, wanted, n_truncated=tokens.n_truncated, n_dropped=tokens.n_dropped
    )


def estimate_rows(
    folder: Path,
    rows: Sequence[Row],
    settings: LabradorSettings,
    *,
    n_truncated: int = 0,
    n_dropped: int = 0,
) -> Estimate:
    """The estimate for a base in a folder and rows that are tokenised."""
    plan = _Plan.of(rows, settings)
    told = _count(folder, plan, settings)
    told = replace(told, n_examples=len(rows), n_truncated=n_truncated, n_dropped=n_dropped)
    if not told.fits:
        return told
    load_s, token_s = _measure(folder, rows, settings)
    return replace(told, load_seconds=load_s, train_seconds=token_s * plan.paid_tokens)


def estimate_lessons(folder: Path, lessons: Lessons, settings: LabradorSettings) -> Estimate:
    """Likewise of on-policy learning; memory is counted for answers as long as they may get."""
    rows = lessons.longest(settings)
    told = _count(folder, _Plan.of(rows, settings), settings)
    told = replace(told, n_examples=len(rows), n_dropped=lessons.n_dropped)
    if not told.fits:
        return told
    begun = time.monotonic()
    model, _ = load_base(folder, settings)
    load_s = time.monotonic() - begun
    size, steps = settings.batch_size, settings.max_steps
    with free_cores():
        step_s = time_step(add_adapters(model, settings), lessons, settings)
    # Looking at what is held out samples answers, too.
    n_held_out = int(settings.held_out_share * len(rows))
    looks = -(-steps // settings.check_every) * -(-n_held_out // size)
    return replace(told, load_seconds=load_s, train_seconds=step_s * (steps + looks))


def _count(folder: Path, plan: _Plan, settings: LabradorSettings) -> Estimate:
    """All but the examples and the time, which are 0 and unknown."""
    import psutil

    free = psutil.virtual_memory().available
    resident = _resident()
    shape = _Shape.of(folder, settings.rank)
    memory = resident + _FIXED_BYTES + shape.bytes(plan, settings)
    return Estimate(
        n_examples=0,
        n_truncated=0,
        n_dropped=0,
        parameters=shape.parameters,
        trained_parameters=shape.trained,
        steps=settings.max_steps,
        tokens_per_step=plan.step_tokens / settings.max_steps,
        memory_gb=memory / 1e9,
        # What the process holds already is not asked for again.
        memory_free_gb=(free + resident) / 1e9,
        checkpoint_mb=(_ADAPTER_COPIES - 1) * shape.trained * _FLOAT_BYTES / 1e6,
        train_seconds=None,
        load_seconds=None,
    )


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """The tokens that a training passes through the model."""

    step_tokens: int
    """Padded, of all steps."""
    evaluation_tokens: float
    """Of held-out and fixed rows, all evaluations together."""
    most_at_once: int
    """Padded tokens of the largest pass."""
    most_places: int
    """Of which logits are taken in the largest pass, rows times places."""

    @property
    def paid_tokens(self) -> float:
        """In tokens of a step: an evaluation costs a third."""
        return self.step_tokens + _FORWARD_SHARE * self.evaluation_tokens

    @classmethod
    def of(cls, rows: Sequence[Row], settings: LabradorSettings) -> _Plan:
        size, steps = settings.batch_size, settings.max_steps
        chosen = batches(rows, size=size, steps=steps, seed=settings.seed)
        parts = [part for batch in chosen for part in split_by_tokens(batch, settings.pass_tokens)]
        widths = [len(part) * max(row.n_tokens for row in part) for part in parts]
        places = [len(part) * max(row.n_learned for row in part) for part in parts]
        mean = sum(row.n_tokens for row in rows) / len(rows)
        n_held_out = int(settings.held_out_share * len(rows))
        n_evaluations = -(-steps // settings.check_every) if n_held_out else 0
        return cls(
            step_tokens=sum(widths),
            evaluation_tokens=mean
            * (n_evaluations * n_held_out + _EVALUATIONS_BESIDE * settings.batch_size),
            most_at_once=max(widths),
            most_places=max(places),
        )


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """What of a model decides how much memory it takes."""

    parameters: int
    in_linear: int
    """Of them in the layers that may be held in 4 bits."""
    trained: int
    token_floats: int
    """Kept for the backward pass, a token."""
    vocabulary: int

    @classmethod
    def of(cls, folder: Path, rank: int) -> _Shape:
        """Read off a model without weights."""
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM

        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        head = model.get_output_embeddings()
        linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
        text = config.get_text_config()
        kv_share = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
        kv_width = text.hidden_size * kv_share // text.num_attention_heads
        kept = (
            _HIDDEN_KEPT * text.hidden_size
            + _HEADS_KEPT * kv_width
            + _INNER_KEPT * text.intermediate_size
        )
        return cls(
            parameters=sum(p.numel() for p in model.parameters()),
            in_linear=sum(m.weight.numel() for m in linear),
            trained=sum(rank * (m.in_features + m.out_features) for m in linear),
            token_floats=text.num_hidden_layers * kept,
            vocabulary=text.vocab_size,
        )

    def bytes(self, plan: _Plan, settings: LabradorSettings) -> int:
        """At the peak, beside what the process holds before it."""
        floats = (
            _ADAPTER_COPIES * self.trained
            + _KEPT_ALLOWANCE * self.token_floats * plan.most_at_once
            + _LOGITS_KEPT[settings.objective] * self.vocabulary * plan.most_places
        )
        full = _FLOAT_BYTES * self.parameters
        if settings.quantization == "none":
            return full + _FLOAT_BYTES * floats
        held = full - round((_FLOAT_BYTES - NF4_BYTES) * self.in_linear)
        # Behind the training the base is loaded in full, beside the one that was trained on.
        return held + max(_FLOAT_BYTES * floats, full)


def _measure(folder: Path, rows: Sequence[Row], settings: LabradorSettings) -> tuple[float, float]:
    """Seconds to load the base, and of a step a padded token."""
    begun = time.monotonic()
    model, _ = load_base(folder, settings)
    load_s = time.monotonic() - begun
    adapted = add_adapters(model, settings)
    middle = sorted(rows, key=lambda row: row.n_tokens)[len(rows) // 2]
    few = [middle] * _MEASURED_ROWS
    with free_cores():
        # The first one is slower than those that follow.
        for _ in itertools.repeat(None, 2):
            begun = time.monotonic()
            gradient_of(adapted, few, settings)
            step_s = time.monotonic() - begun
    return load_s, step_s / (_MEASURED_ROWS * middle.n_tokens)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def _resident() -> int:
    """Bytes that the process holds once what it computes with is loaded."""
    import peft  # noqa: F401 - part of what a training holds
    import psutil
    import torch  # noqa: F401 - likewise

    resident: int = psutil.Process().memory_info().rss
    return resident
