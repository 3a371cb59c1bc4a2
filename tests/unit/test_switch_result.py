"""What a switch says it did."""

from __future__ import annotations

import pytest

from guidealign.promotion import SwitchResult


@pytest.mark.parametrize(
    ("action", "versions", "said"),
    [
        ("promote", (2, 3), "m: version 3 serves in place of version 2 (release 7): why"),
        ("promote", (0, 1), "m: version 1 serves in place of the untrained base (release 7): why"),
        ("rollback", (3, 0), "m: the untrained base serves again in place of version 3"),
        ("hold", (2, 3), "m: version 3 is held, version 2 serves on: why"),
        ("keep", (2, 2), "m: nothing moved: why"),
    ],
)
def test_a_switch_is_told_in_a_sentence(action: str, versions: tuple[int, int], said: str) -> None:
    before, after = versions
    done = SwitchResult("m", action, before, after, 7, "why")
    assert done.in_words().startswith(said)
