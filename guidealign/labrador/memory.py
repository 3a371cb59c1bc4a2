"""How much memory the process has held."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_resident_gb() -> float:
    """Largest resident memory of this program so far, in 10^9 bytes.

    The maximum that `getrusage` tells goes over from a program to those it starts: behind a large
    parent it would be the parent's. Linux's high-water mark (VmHWM, proc(5)) begins anew.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
        mark = next((line for line in lines if line.startswith("VmHWM:")), None)
        if mark is not None:
            return int(mark.split()[1]) * 1024 / 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e9 if sys.platform == "darwin" else peak * 1024 / 1e9
