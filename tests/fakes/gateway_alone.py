"""A gateway on a database of its own, in front of a model that repeats what it was sent.

    python -m tests.fakes.gateway_alone [PORT]

Serves six guidelines, about nicknames and about knives, until Ctrl-C; asks for no keys.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from guidealign.db import make_engine, migrate
from guidealign.platform import temporary_postgres
from guidealign.serving import serve
from guidealign.settings import load_settings
from tests.fakes.model_server import ChatRequest, serve_model
from tests.integration.running_gateway import publish

_PORT = 8093
_QUESTION = "Is it a kind nickname?"


def _repeat(request: ChatRequest) -> str:
    return json.dumps(request.messages, indent=2)


def main(port: int) -> None:
    """Until Ctrl-C."""
    body = {"model": "any", "messages": [{"role": "user", "content": _QUESTION}]}
    with (
        tempfile.TemporaryDirectory() as folder,
        temporary_postgres({"fsync": "off"}) as url,
        serve_model(_repeat) as model,
    ):
        migrate(url)
        publish(make_engine(url), Path(folder) / "starter")
        os.environ |= {
            "GUIDEALIGN_HOME": f"{folder}/home",
            "GUIDEALIGN_DATABASE_URL": url,
            "GUIDEALIGN_SERVE__PORT": str(port),
            "GUIDEALIGN_SERVE__REQUIRE_KEYS": "false",
            "GUIDEALIGN_SERVE__UNPROVEN": "inject",
            "GUIDEALIGN_SERVE__UPSTREAMS": json.dumps(
                [{"name": "repeating", "base_url": model.base_url, "models": ["any"]}]
            ),
        }
        ask = (
            f"curl -s http://127.0.0.1:{port}/v1/chat/completions"
            f" -H 'content-type: application/json' -d '{json.dumps(body)}'"
        )
        console = Console()
        serve(load_settings(), begins=lambda: console.print(ask, highlight=False, soft_wrap=True))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else _PORT)
