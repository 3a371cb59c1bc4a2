"""Who may do what here: three permissions, asked of Airflow's auth manager.

| permission | asked as | simple auth manager | FAB |
| read | GET on the DAG `guidealign_library` | viewer | can read on DAG |
| review | PUT on the DAG `guidealign_library` | user | can edit on DAG |
| operate | PUT on the variable `guidealign_operate` | op | can edit on Variables |

The variable need not exist: it names the permission in whatever auth manager there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails, VariableDetails
from airflow.api_fastapi.core_api.security import get_user
from fastapi import Depends, HTTPException, Request

Permission = Literal["read", "review", "operate"]

_DAG = "guidealign_library"
_VARIABLE = "guidealign_operate"
_HEADER = "x-guidealign-page"
_WHAT = {
    "read": f"read the DAG {_DAG}",
    "review": f"edit the DAG {_DAG}",
    "operate": f"edit the variable {_VARIABLE}",
}


@dataclass(frozen=True)
class Person:
    """Who asks, and what she may do."""

    name: str
    may_review: bool
    may_operate: bool

    @property
    def actor(self) -> str:
        """For the ledgers: an Airflow user, not a program."""
        return f"airflow-user:{self.name}"


def _may(user: Any, permission: Permission) -> bool:
    manager = get_auth_manager()
    if permission == "operate":
        details = VariableDetails(key=_VARIABLE)
        return bool(manager.is_authorized_variable(method="PUT", details=details, user=user))
    method: Literal["GET", "PUT"] = "GET" if permission == "read" else "PUT"
    return bool(manager.is_authorized_dag(method=method, details=DagDetails(id=_DAG), user=user))


def require(permission: Permission) -> Callable[..., Person]:
    """A dependency: the person, if she may.

    It is a plain function, so that an auth manager that asks its database blocks nobody else.
    """

    def allowed(user: Annotated[Any, Depends(get_user)]) -> Person:
        if not _may(user, "read") or not _may(user, permission):
            raise HTTPException(
                403, f"You need the permission to {_WHAT[permission]}: ask who runs Airflow here."
            )
        return Person(user.get_name(), _may(user, "review"), _may(user, "operate"))

    return allowed


def require_own_page(request: Request) -> None:
    """Lets only our own pages change something: another site cannot set a header of its own.

    Raises:
        HTTPException: 403, it comes from elsewhere.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.headers.get(_HEADER) != "1" or site not in {"same-origin", "none"}:
        raise HTTPException(403, f"Changes come from these pages only (header {_HEADER}: 1).")


Reader = Annotated[Person, Depends(require("read"))]
Reviewer = Annotated[Person, Depends(require("review"))]
Operator = Annotated[Person, Depends(require("operate"))]
OwnPage = Depends(require_own_page)
