"""Compares what a package's files give with what the model in memory gave before they were saved.

It catches what saving and loading do silently, such as re-initialising weights whose names do not
fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from guidealign.errors import IntegrityError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[np.generic]]

RELOAD_FILE = "reload_check.safetensors"
"""In a package: what its model gave, by name."""


def save_outputs(folder: Path, arrays: Arrays) -> None:
    """Keeps in a package what its model gave for a few inputs, and the inputs where it takes them.

    Args:
        folder: of the package.
        arrays: contiguous, by name.
    """
    from safetensors.numpy import save_file

    save_file(dict(arrays), folder / RELOAD_FILE)


def compare_outputs(
    folder: Path, again: Callable[[Arrays], Arrays], *, tolerance: float, what: str
) -> float:
    """Largest difference between what a package keeps and what its loaded model gives.

    Args:
        folder: of the package.
        again: given what was kept, the loaded model's outputs under the names that they have there.
        tolerance: the largest difference that is none.
        what: is compared, in the plural, for the message.

    Raises:
        IntegrityError: the difference is above the tolerance, or nothing was kept.
    """
    from safetensors.numpy import load_file

    if not (folder / RELOAD_FILE).is_file():
        raise IntegrityError(f"the registered model has no {RELOAD_FILE}: train it again")
    kept = load_file(folder / RELOAD_FILE)
    # A NaN compares with nothing: it must not pass for a small difference.
    worst = max(_difference(kept[name], given) for name, given in again(kept).items())
    if not worst <= tolerance:
        raise IntegrityError(
            f"the registered model is not the trained one: {what} differ by {worst:.2e}"
            f" (at most {tolerance:g}): train it again"
        )
    return worst


def _difference(kept: NDArray[np.generic], given: NDArray[np.generic]) -> float:
    import numpy as np

    worst = float(np.abs(given.astype(np.float64) - kept.astype(np.float64)).max())
    return float("inf") if np.isnan(worst) else worst
