"""An environment in which guidealign is installed from its own wheel, and Airflow run in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Installed:
    """The packages of this environment, with the wheel in place of the checkout."""

    packages: Path
    home: Path

    def airflow(self, *command: str, **env: str) -> str:
        """What a command of Airflow prints; without `site`, so that the checkout is not found."""
        done = subprocess.run(
            [sys.executable, "-S", "-m", "airflow", *command],
            env=self._env() | env,
            cwd=self.home,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
        return done.stdout

    def listed(self, *command: str, **env: str) -> Any:
        """As `airflow`, of a command that lists as JSON."""
        said = self.airflow(*command, "-o", "json", **env)
        return json.loads(said[said.index("[") :])

    def python(self, code: str, **env: str) -> str:
        """What a program prints last."""
        done = subprocess.run(
            [sys.executable, "-S", "-c", code],
            env=self._env() | env,
            cwd=self.home,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        return done.stdout.splitlines()[-1]

    def _env(self) -> dict[str, str]:
        return os.environ | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "PYTHONPATH": str(self.packages),
        }


def install(folder: Path) -> Installed:
    """Builds the wheel and unpacks it beside links to every other package."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel")],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    packages = folder / "packages"
    packages.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "guidealign" not in entry.name:
            (packages / entry.name).symlink_to(entry)
    (wheel,) = (folder / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    home = folder / "airflow"
    home.mkdir()
    return Installed(packages, home)
