"""`down`: ends what was started here, whole, and nothing else."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from guidealign.platform._processes import end, family, marked
from guidealign.platform.home import Home, State

_STOP_S = 12.0


def down(report: Callable[[str, str], None] | None = None) -> int:
    """Stops every service and leftover of this home folder; data stays.

    Works from any state, also after a kill -9 of any part or with the state file gone.

    Returns:
        How many services were running.

    Raises:
        PlatformError: an `up` or `down` is at work in the same folder.
    """
    home = Home.current()
    if not (home.root / "run").is_dir():
        return 0
    with home.lock():
        state = State.load(home)
        count = stop_services(home, state, list(state.services), report)
        end(marked(home), signal.SIGTERM, timeout_s=5)
        state.services.clear()
        state.save(home)
    return count


def stop_services(
    home: Home,
    state: State,
    names: Sequence[str],
    report: Callable[[str, str], None] | None = None,
) -> int:
    """Ends services, the database last; returns how many had processes."""
    say = report or (lambda _name, _state: None)
    groups = {name: family(name, state.services.get(name), home) for name in names}
    first = [p for name, group in groups.items() if name != "postgres" for p in group]
    for name, group in groups.items():
        if group:
            say(name, "stopping")
    end(first, signal.SIGTERM, timeout_s=_STOP_S)
    # SIGINT is PostgreSQL's fast shutdown; its own processes follow the first one.
    record = state.services.get("postgres")
    server = [p for p in groups.get("postgres", []) if record and p.pid == record.pid]
    end(server, signal.SIGINT, timeout_s=_STOP_S)
    end(family("postgres", record, home) if "postgres" in groups else [], signal.SIGQUIT, 5)
    for name, group in groups.items():
        state.services.pop(name, None)
        if group:
            say(name, "stopped")
    return sum(bool(group) for group in groups.values())
