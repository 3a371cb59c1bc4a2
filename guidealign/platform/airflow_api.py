"""The part of Airflow's REST API that following a cycle, and notes on its runs, take."""

from __future__ import annotations

from typing import Any

import httpx

from guidealign.errors import ConfigurationError, PermanentError, ServiceUnavailableError
from guidealign.settings import Settings

_TIMEOUT_S = 20.0
_NOTE_CHARS = 1_000


class AirflowApi:
    """Airflow's API under one log-in; logs in again when the token has run out."""

    def __init__(self, settings: Settings) -> None:
        if settings.airflow.base_url is None:
            raise ConfigurationError(
                "Airflow is not running here: run `guidealign up`, or set"
                " GUIDEALIGN_AIRFLOW__BASE_URL and GUIDEALIGN_AIRFLOW__PASSWORD"
            )
        self.base_url = settings.airflow.base_url.rstrip("/")
        self._login = {
            "username": settings.airflow.username,
            "password": settings.airflow.password.get_secret_value(),
        }
        self._client = httpx.Client(base_url=self.base_url, timeout=_TIMEOUT_S)

    def dag_is_known(self, dag_id: str) -> bool:
        """Whether Airflow has parsed the DAG, without an import error."""
        answer = self._request("GET", f"/api/v2/dags/{dag_id}", accept=(404,))
        return answer.status_code == 200 and not answer.json().get("has_import_errors", False)

    def import_errors(self) -> list[str]:
        """File and last line of each DAG file that does not parse."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return [f"{e['filename']}: {e['stack_trace'].strip().splitlines()[-1]}" for e in errors]

    def trigger(self, dag_id: str, conf: dict[str, Any]) -> str:
        """Starts a run; returns its id.

        Raises:
            PermanentError: Airflow refuses the parameters.
        """
        body = {"logical_date": None, "conf": conf}
        answer = self._request("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        return str(answer.json()["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """One run: state, start_date, end_date ..."""
        return self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")

    def set_note(self, dag_id: str, run_id: str, note: str) -> None:
        """Puts a note on a run, in place of an earlier one; Airflow takes 1,000 characters."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        body = {"note": note[:_NOTE_CHARS]}
        self._request("PATCH", path, params={"update_mask": "note"}, json=body)

    def runs(self, dag_id: str, limit: int = 10) -> list[dict[str, Any]]:
        """A DAG's runs, newest first."""
        path = f"/api/v2/dags/{dag_id}/dagRuns"
        return list(self._get(path, {"order_by": "-run_after", "limit": limit})["dag_runs"])

    def is_paused(self, dag_id: str) -> bool:
        """Whether nothing starts a run of the DAG until somebody unpauses it."""
        return bool(self._get(f"/api/v2/dags/{dag_id}")["is_paused"])

    def sources(self, dag_id: str, run_id: str) -> set[tuple[str, str]]:
        """DAG and run of each asset event that started a run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/upstreamAssetEvents"
        events = self._get(path)["asset_events"]
        return {(event["source_dag_id"], event["source_run_id"]) for event in events}

    def run_started_by(self, dag_id: str, source_dag: str, source_run: str) -> str | None:
        """The run of a DAG that an asset event of another DAG's run started, if there is one."""
        for run in self.runs(dag_id):
            if (source_dag, source_run) in self.sources(dag_id, run["dag_run_id"]):
                return str(run["dag_run_id"])
        return None

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        return list(self._get(path, {"limit": 100})["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task_id: str) -> Any:
        """What a task returned; None when it returned nothing."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        answer = self._request(
            "GET", f"{path}/xcomEntries/return_value", params={"deserialize": True}, accept=(404,)
        )
        return answer.json()["value"] if answer.status_code == 200 else None

    def log_tail(self, task: dict[str, Any], lines: int = 15) -> list[str]:
        """The last lines of a task's log."""
        path = (
            f"/api/v2/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}"
            f"/taskInstances/{task['task_id']}/logs/{max(1, task['try_number'])}"
        )
        answer = self._request(
            "GET",
            path,
            params={"map_index": task["map_index"], "full_content": True},
            accept=(404,),
        )
        content = answer.json().get("content", []) if answer.status_code == 200 else []
        return [line for entry in content for line in _log_lines(entry)][-lines:]

    def _get(self, path: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = self._request("GET", path, params=params).json()
        return answer

    def _request(
        self, method: str, path: str, *, accept: tuple[int, ...] = (), **options: Any
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **options)
            if answer.status_code == 401:
                self._authenticate()
                answer = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise ServiceUnavailableError(
                f"Airflow at {self.base_url} does not answer: run `guidealign up`"
            ) from error
        if answer.status_code >= 500 or answer.status_code in {408, 429}:
            raise ServiceUnavailableError(f"Airflow answered {answer.status_code} to {path}")
        if answer.status_code >= 400 and answer.status_code not in accept:
            raise PermanentError(f"Airflow refused {path}: {answer.text[:300]}")
        return answer

    def _authenticate(self) -> None:
        answer = self._client.post("/auth/token", json=self._login)
        if answer.status_code not in {200, 201}:
            raise ConfigurationError(
                "Airflow refused the log-in: check GUIDEALIGN_AIRFLOW__USERNAME and __PASSWORD"
            )
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def _log_lines(entry: Any) -> list[str]:
    if isinstance(entry, str):
        return entry.splitlines()
    details = entry.get("error_detail") or []
    errors = [f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in details]
    return [str(entry.get("event", "")), *errors]
