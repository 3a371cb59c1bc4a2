"""Fine-tuning of the bundled model beside TRL's trainer: tokens a second, memory, loss."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks._harness.report import ROOT, Figure
from guidealign.alignment import AlignedExample
from guidealign.evaluation import load_cases
from guidealign.labrador.examples import Row, tokenize
from guidealign.platform import find_base
from guidealign.settings import LabradorSettings, load_settings

_NOISE = 0.02
"""Of the final loss, relative: sums in another order."""
_LONGEST_S = 1_800
_WAYS = ("loop", "trl", "trl-rows")


def measure_throughput(full: bool) -> list[Figure]:
    """Each way in a process of its own, taking turns; medians of the turns."""
    turns, steps = (2, 2) if full else (1, 1)
    console = Console(stderr=True)
    settings = LabradorSettings(max_steps=steps, precision="float32", held_out_share=0.0)
    base = find_base(load_settings())
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        rows = [asdict(row) for row in _rows(base.folder, settings)]
        told = {"settings": settings.model_dump(mode="json"), "rows": rows}
        job.write_text(json.dumps(told), encoding="utf-8")
        runs: dict[str, list[dict[str, float]]] = {}
        for turn in range(turns):
            for way in _WAYS:
                runs.setdefault(way, []).append(_run(way, base.folder, job))
                console.print(f"labrador: turn {turn + 1}: {way}: {runs[way][-1]}", highlight=False)
        expected_gb = _run("dry-run", base.folder, job)["memory_gb"]
    return _figures(runs, steps, expected_gb)


def _rows(folder: Path, settings: LabradorSettings) -> tuple[Row, ...]:
    """Half short requests, half long ones, as inputs of users are; the same every time."""
    from transformers import AutoTokenizer

    cases = load_cases(at_most=48)
    examples = []
    for number, case in enumerate(cases):
        around = " ".join(other.better for other in cases[number : number + 3])
        prompt = case.prompt if number % 2 else f"{case.prompt}\n{around}"
        examples.append(AlignedExample(input_id=number, prompt=prompt, response=case.better))
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenize(examples, tokenizer, max_length=settings.max_length).rows


def _run(way: str, base: Path, job: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.labrador.sft", way, str(base), str(job)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=_LONGEST_S,
    )
    if done.returncode:
        raise SystemExit(f"labrador: {way} failed: {done.stderr[-2000:]}")
    read: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return read


def _figures(
    runs: dict[str, list[dict[str, float]]], steps: int, expected_gb: float
) -> list[Figure]:
    n = len(runs["loop"])
    speed = {w: statistics.median(r["tokens"] / r["seconds"] for r in rs) for w, rs in runs.items()}
    peak = {w: statistics.median(r["peak_gb"] for r in rs) for w, rs in runs.items()}
    loss = {w: rs[-1]["loss"] for w, rs in runs.items()}
    setting = (
        f"{steps} steps of 4 rows, rank 8, fp32, one thread, processor time; median of {n} turns"
    )
    figures = [
        Figure(figure="throughput: guidealign", value=speed["loop"], unit="tokens/s", n=n,
               note=setting),
        Figure(figure="throughput: guidealign, peak memory", value=peak["loop"], unit="GB", n=n,
               note="resident, whole process"),
        Figure(figure="throughput: memory that the dry run expects, over that peak",
               value=expected_gb / peak["loop"], unit="ratio", n=n, target=">= 1.0",
               met=expected_gb >= peak["loop"]),
    ]  # fmt: skip
    trl = f"TRL {version('trl')}"
    names = {"trl": f"{trl}, whole batches", "trl-rows": f"{trl}, row by row"}
    for way, name in names.items():
        ratio, memory = speed["loop"] / speed[way], peak["loop"] / peak[way]
        apart = abs(loss["loop"] - loss[way]) / loss[way]
        figures += [
            Figure(figure=f"throughput: {name}", value=speed[way], unit="tokens/s", n=n),
            Figure(figure=f"throughput: {name}, peak memory", value=peak[way], unit="GB", n=n),
            Figure(figure=f"throughput: guidealign over {name}", value=ratio, unit="ratio", n=n,
                   target=">= 1.0", met=ratio >= 1.0),
            Figure(figure=f"throughput: memory of guidealign over {name}", value=memory,
                   unit="ratio", n=n, target="<= 1.0", met=memory <= 1.0),
            Figure(figure=f"throughput: final loss apart from {name}", value=apart,
                   unit="share", n=n, target=f"<= {_NOISE}", met=apart <= _NOISE,
                   note=f"{loss['loop']:.4f} against {loss[way]:.4f},"
                   f" from {runs['loop'][-1]['loss_before']:.4f}"),
        ]  # fmt: skip
    return figures
