"""Passes many rows as one parameter, so that a statement takes one round trip."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any


def json_rows(rows: Iterable[Mapping[str, Any]]) -> str:
    """Writes rows as JSON for `jsonb_to_recordset`.

    What a model wrote loses the characters that no Postgres text holds: NUL and lone surrogates.
    """
    return json.dumps([{name: _storable(value) for name, value in row.items()} for row in rows])


def _storable(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
