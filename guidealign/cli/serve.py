"""`guidealign serve`: the gateway."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from guidealign.cli._shared import console
from guidealign.settings import load_settings


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535)] = None,
    no_keys: Annotated[
        bool, typer.Option("--no-keys", help="Ask for no keys: on a loopback address only.")
    ] = False,
) -> None:
    """Serve OpenAI's API with guidelines in front of models they are proven for, until Ctrl-C."""
    from guidealign.serving import serve as run_gateway

    # Worker processes read the settings themselves.
    for name, value in (
        ("HOST", host),
        ("PORT", port),
        ("REQUIRE_KEYS", False if no_keys else None),
    ):
        if value is not None:
            os.environ[f"GUIDEALIGN_SERVE__{name}"] = str(value)
    settings = load_settings()
    address = f"http://{settings.serve.host}:{settings.serve.port}/v1  (Ctrl-C ends it)"
    run_gateway(settings, begins=lambda: console.print(address, highlight=False))
