"""The stages of a cycle as plain functions, one after the other in one process; prints seconds."""

from __future__ import annotations

import json
import time

from guidealign.cycle import STAGES, local_context, open_services, run_stage
from guidealign.settings import load_settings


def main() -> None:
    services = open_services(load_settings())
    seconds = {}
    for stage in STAGES:
        begun = time.perf_counter()
        run_stage(stage, local_context(services, stage))
        seconds[stage.name] = time.perf_counter() - begun
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
