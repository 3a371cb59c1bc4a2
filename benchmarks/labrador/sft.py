"""One fine-tuning in a process of its own: `python -m benchmarks.labrador.sft WAY FOLDER JOB`.

WAY is `loop` (guidealign's), `trl` (a plain SFTTrainer) or `trl-rows` (the same with one row at a
time and gradients accumulated over the batch); JOB is a JSON file with settings and rows. Prints
one line of JSON: seconds of processor time, tokens, loss and the process's peak memory. All get the
same adapters, rows and batches, on one thread, so that processor time is what they would take on a
machine of their own. `dry-run` tells what guidealign expects its own to hold.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from guidealign.labrador import peak_resident_gb
from guidealign.labrador.estimate import estimate_rows
from guidealign.labrador.examples import Row, batches
from guidealign.labrador.loop import (
    LAST_RATE_SHARE,
    WARMUP_SHARE,
    add_adapters,
    gradient_of,
    mean_loss,
)
from guidealign.platform import load_files
from guidealign.settings import LabradorSettings
from guidealign.training import Course, Training

_PROBE_ROWS = 4


def with_loop(model: Any, rows: Sequence[Row], settings: LabradorSettings) -> float:
    """The steps alone: what is looked at before and after them, a trainer does not do."""
    course = _course(rows, settings, lambda batch: gradient_of(model, batch, settings))
    training = Training(model, course, lambda *_: None)
    begun = time.process_time()
    training.run()
    return time.process_time() - begun


def _course(
    rows: Sequence[Row],
    settings: LabradorSettings,
    add_gradient: Callable[[Sequence[Row]], dict[str, float]],
) -> Course:
    size, steps = settings.batch_size, settings.max_steps
    return Course(
        batches=batches(rows, size=size, steps=steps, seed=settings.seed),
        add_gradient=add_gradient,
        measure_before=dict,
        evaluate=None,
        steps=steps,
        evaluate_every=settings.check_every,
        patience=settings.patience,
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(WARMUP_SHARE * steps),
        last_rate_share=LAST_RATE_SHARE,
        seed=settings.seed,
    )


def with_trl(
    model: Any, rows: Sequence[Row], settings: LabradorSettings, tokenizer: Any, *, at_once: int
) -> float:
    """TRL's trainer with the same optimizer and rates."""
    import datasets
    import torch
    from transformers.utils import logging as transformers_logging
    from trl import SFTConfig, SFTTrainer

    transformers_logging.set_verbosity_error()
    size, steps = settings.batch_size, settings.max_steps
    ordered = [
        {"input_ids": list(row.tokens), "labels": list(row.labels)}
        for batch in batches(rows, size=size, steps=steps, seed=settings.seed)
        for row in batch
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=size // at_once,
            max_steps=steps,
            max_length=settings.max_length,
            learning_rate=settings.learning_rate,
            max_grad_norm=1.0,
            train_sampling_strategy="sequential",
            gradient_checkpointing=False,
            use_cpu=True,
            bf16=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=settings.seed,
        )
        weights = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(
            weights, lr=settings.learning_rate, weight_decay=0.0, fused=True
        )
        course = _course(rows, settings, lambda _: {})
        rates = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: course.rate(step) / settings.learning_rate
        )
        trainer = SFTTrainer(
            model=model,
            args=config,
            train_dataset=datasets.Dataset.from_list(ordered),
            processing_class=tokenizer,
            optimizers=(optimizer, rates),
        )
        begun = time.process_time()
        trainer.train()
        return time.process_time() - begun


def main() -> None:
    import torch

    way, folder, job = sys.argv[1:]
    told = json.loads(Path(job).read_text(encoding="utf-8"))
    settings = LabradorSettings.model_validate(told["settings"])
    rows = [Row(tokens=tuple(r["tokens"]), labels=tuple(r["labels"])) for r in told["rows"]]
    torch.set_num_threads(1)
    if way == "dry-run":
        print(json.dumps({"memory_gb": estimate_rows(Path(folder), rows, settings).memory_gb}))
        return
    model, tokenizer = load_files(Path(folder))
    model = add_adapters(model, settings)
    probe = rows[:_PROBE_ROWS]
    before = mean_loss(model, probe, settings)
    if way == "loop":
        seconds = with_loop(model, rows, settings)
    else:
        at_once = settings.batch_size if way == "trl" else 1
        seconds = with_trl(model, rows, settings, tokenizer, at_once=at_once)
    chosen = batches(rows, size=settings.batch_size, steps=settings.max_steps, seed=settings.seed)
    done = {
        "seconds": seconds,
        "tokens": sum(len(row.tokens) for batch in chosen for row in batch),
        "peak_gb": peak_resident_gb(),
        "loss_before": before,
        "loss": mean_loss(model, probe, settings),
    }
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main()
