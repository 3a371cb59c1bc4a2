"""The compose file names settings that exist, publishes on loopback, and holds no secret."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from typer.main import get_command

from guidealign.cli._app import app
from guidealign.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))


def _field_of(variable: str) -> bool:
    kind: Any = Settings
    for part in variable.removeprefix("GUIDEALIGN_").lower().split("__"):
        if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
            return False
        field = kind.model_fields.get(part)
        if field is None:
            return False
        kind = field.annotation
    return True


def test_every_setting_of_the_compose_file_exists() -> None:
    names = [n for n in COMPOSE["x-environment"] if n.startswith("GUIDEALIGN_")]
    assert len(names) > 8
    assert [name for name in names if not _field_of(name)] == []
    assert not _field_of("GUIDEALIGN_SAFETY__NO_SUCH")


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_ports_are_published_on_loopback_only(name: str) -> None:
    for port in COMPOSE["services"][name].get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_no_secret_has_a_default_and_the_example_names_each() -> None:
    text = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{([A-Z_]+):\?\}", text))
    assert used
    assert set(re.findall(r"\$\{([A-Z_]+)", text)) == used
    example = (DOCKER / ".env.example").read_text(encoding="utf-8")
    assert dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.M)) == dict.fromkeys(used, "")


def test_the_set_up_calls_commands_that_exist() -> None:
    script = COMPOSE["services"]["setup"]["command"][-1]
    called = [shlex.split(line)[1] for line in script.splitlines() if line.startswith("guidealign")]
    assert called == ["migrate"]
    assert set(called) <= set(get_command(app).commands)  # type: ignore[attr-defined]
