"""Labrador: how fast it is fine-tuned, and what guidelines and fine-tuning do to answers.

`--scale small` does less of the same; `--part` measures some parts anew and leaves the other
figures as they are.
"""

from __future__ import annotations

from benchmarks._labrador_alignment import measure_alignment
from benchmarks._labrador_throughput import measure_throughput
from benchmarks._parts import run_parts

if __name__ == "__main__":
    run_parts("labrador", {"throughput": measure_throughput, "alignment": measure_alignment})
