"""`status` and `doctor`: what runs, and what is wrong and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import httpx
import psutil
from sqlalchemy import text

from guidealign.db import make_engine, schema_revision, views_are_current
from guidealign.errors import GuidealignError, PlatformError
from guidealign.platform._models import PACKAGES, cache_folder, is_checked
from guidealign.platform._processes import alive, family
from guidealign.platform.home import Home, State
from guidealign.settings import Settings, load_settings, setting_values, unknown_variables

Level = Literal["ok", "warn", "fail"]
_GIB = 1 << 30


@dataclass(frozen=True)
class ServiceStatus:
    """One service as it is now."""

    name: str
    running: bool
    pid: int
    port: int | None
    rss_bytes: int
    uptime_s: float

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def status() -> list[ServiceStatus]:
    """Every service that was started in this home folder."""
    home = Home.current()
    services = []
    for name, record in State.load(home).services.items():
        running = alive(record)
        rss = sum(_rss(process) for process in family(name, record, home)) if running else 0
        uptime = time.time() - record.created if running else 0.0
        services.append(ServiceStatus(name, running, record.pid, record.port, rss, uptime))
    return services


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@dataclass(frozen=True)
class Finding:
    """One check: how it went and what to do."""

    level: Level
    about: str
    detail: str


def doctor() -> list[Finding]:
    """Looks at everything a cycle needs; where settings are wrong, at nothing else."""
    said = [Finding("warn", "settings", line) for line in unknown_variables(Settings).values()]
    try:
        settings = load_settings()
    except GuidealignError as error:
        return said + [Finding("fail", "settings", line) for line in str(error).splitlines()]
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        _check_settings,
        _check_machine,
        _check_home,
        _check_models,
        _check_services,
        _check_database,
        _check_endpoints,
    ]
    return said + [finding for check in checks for finding in check(settings)]


def check_services(settings: Settings) -> list[Finding]:
    """Asks what a scheduler's tasks need: database, MLflow and model servers.

    What is not set is wrong here: a task that needs it would fail.
    """
    return [
        *_check_database(settings),
        *_check_mlflow(settings),
        *_check_endpoints(settings),
        *(
            Finding("fail", f"{name} endpoint", "no address is set")
            for name in ("safety", "base")
            if getattr(settings, name).base_url is None
        ),
    ]


def _check_settings(settings: Settings) -> Iterator[Finding]:
    n_changed = sum(value.is_changed for value in setting_values(settings))
    detail = f"{n_changed} differ from their defaults: `guidealign settings --changed` shows them"
    yield Finding("ok", "settings", detail)


def _check_machine(_settings: Settings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Finding("ok" if fits else "fail", "Python", f"{version}; 3.11 or 3.12 is needed")
    memory = psutil.virtual_memory().total / _GIB
    detail = f"{memory:.0f} GiB, {os.cpu_count()} cores; the embedded cycle takes up to 14 GiB"
    yield Finding("ok" if memory >= 15 else "warn", "machine", detail)


def _check_home(_settings: Settings) -> Iterator[Finding]:
    home = Home.current()
    try:
        home.prepare()
    except PlatformError as error:
        yield Finding("fail", "home folder", str(error))
        return
    free = shutil.disk_usage(home.root).free / _GIB
    detail = f"{home.root}, {free:.0f} GiB free; a few cycles take 10"
    yield Finding("ok" if free >= 10 else "warn", "home folder", detail)


def _check_models(settings: Settings) -> Iterator[Finding]:
    for name, package in PACKAGES.items():
        if getattr(settings.platform, f"{name}_gguf") or _is_elsewhere(settings, name):
            yield Finding("ok", f"model {name}", "replaced by a setting")
        elif is_checked(cache_folder(settings) / package.file, package):
            yield Finding("ok", f"model {name}", f"{package.file}, checked")
        else:
            detail = f"not fetched yet: `guidealign up` does ({package.size >> 20} MiB)"
            yield Finding("warn", f"model {name}", detail)


def _is_elsewhere(settings: Settings, name: str) -> bool:
    url = getattr(settings, name).base_url
    return url is not None and "127.0.0.1" not in url


def _check_services(_settings: Settings) -> Iterator[Finding]:
    services = status()
    if not services:
        yield Finding("warn", "services", "nothing is running: `guidealign up` starts it")
    for service in services:
        detail = f"process {service.pid}" if service.running else "is gone: run `guidealign up`"
        yield Finding("ok" if service.running else "fail", service.name, detail)


def _check_database(settings: Settings) -> Iterator[Finding]:
    if settings.database_url is None:
        yield Finding("warn", "database", "none yet: `guidealign up` makes one")
        return
    try:
        url = settings.require_database_url()
        current, head = schema_revision(url)
        with make_engine(url).connect() as connection:
            version = connection.execute(
                text("select extversion from pg_extension where extname = 'vector'")
            ).scalar_one_or_none()
    except GuidealignError as error:
        yield Finding("fail", "database", str(error))
        return
    if current != head:
        yield Finding("fail", "database schema", f"{current} is not {head}: run `guidealign up`")
    elif not views_are_current(url):
        found = "views are of another version: run `guidealign migrate`"
        yield Finding("fail", "database schema", found)
    else:
        yield Finding("ok", "database schema", f"revision {current}")
    new_enough = version is not None and tuple(map(int, version.split("."))) >= (0, 8, 4)
    yield Finding("ok" if new_enough else "fail", "pgvector", f"{version}; 0.8.4 is needed")


def _check_mlflow(settings: Settings) -> Iterator[Finding]:
    uri = settings.mlflow.tracking_uri
    if uri is None:
        yield Finding("fail", "MLflow", "no server's address is set")
        return
    if not uri.startswith(("http://", "https://")):
        yield Finding("warn", "MLflow", "a store without a server: for one process at a time")
        return
    page, login = f"{uri.rstrip('/')}/version", settings.mlflow.login
    try:
        answer = httpx.get(page, timeout=10.0, auth=login)
        is_open = login is not None and httpx.get(page, timeout=10.0).status_code == 200
    except httpx.HTTPError:
        yield Finding("fail", "MLflow", f"{uri} does not answer")
        return
    if is_open:
        yield Finding("fail", "MLflow", f"{uri} answers without the log-in: start it anew")
        return
    good = answer.status_code == 200
    if answer.status_code == 401:
        yield Finding(
            "fail", "MLflow", f"{uri} refuses the log-in: set GUIDEALIGN_MLFLOW__PASSWORD"
        )
        return
    detail = f"version {answer.text.strip()[:20]}" if good else f"answers {answer.status_code}"
    yield Finding(
        "ok" if good else "fail", "MLflow", f"{uri}, {detail}" if good else f"{uri} {detail}"
    )


def _check_endpoints(settings: Settings) -> Iterator[Finding]:
    for name in ("safety", "base"):
        endpoint = getattr(settings, name)
        if endpoint.base_url is None:
            continue
        headers = {"Authorization": f"Bearer {endpoint.api_key.get_secret_value()}"}
        try:
            answer = httpx.get(f"{endpoint.base_url}/models", headers=headers, timeout=10.0)
        except httpx.HTTPError:
            yield Finding("fail", f"{name} endpoint", f"{endpoint.base_url} does not answer")
            continue
        good = answer.status_code == 200
        detail = f"{endpoint.base_url} answers {answer.status_code}"
        yield Finding("ok" if good else "fail", f"{name} endpoint", detail)
