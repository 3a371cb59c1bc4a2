"""Style, script and icons: routes like all others, so that nothing here answers a stranger."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import Response

router = APIRouter()

_FOLDER = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FILES = {file.name: file for file in _FOLDER.iterdir() if file.suffix in _TYPES}


@router.get("/static/{name}")
def static(name: str) -> Response:
    """A file by its name.

    Raises:
        HTTPException: 404, there is none.
    """
    file = _FILES.get(name)
    if file is None:
        raise HTTPException(404)
    return Response(
        file.read_bytes(),
        media_type=_TYPES[file.suffix],
        headers={"Cache-Control": "private, max-age=300"},
    )
