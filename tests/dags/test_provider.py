"""Installed as a package, guidealign is a provider: connection type, form, test, plugin once."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from airflow.sdk import Connection
from sqlalchemy import make_url

from guidealign.db import schema_revision
from guidealign.errors import ConfigurationError
from guidealign.settings import load_settings
from guidealign_airflow.hooks import GuidealignHook, overlay
from tests.dags.installed_provider import ROOT, Installed, install
from tests.fakes.model_server import serve_model

_FORM = """
import json
from airflow.providers_manager import ProvidersManager
manager = ProvidersManager()
fields = {
    name.removeprefix("extra__guidealign__"): widget.is_sensitive
    for name, widget in manager.connection_form_widgets.items()
    if name.startswith("extra__guidealign__")
}
print(json.dumps({
    "fields": fields,
    "relabeling": manager.field_behaviours["guidealign"]["relabeling"],
    "testable": manager.hooks["guidealign"].connection_testable,
}))
"""
_PLUGINS = """
import json
from airflow import plugins_manager
plugins, errors = plugins_manager._get_plugins()
print(json.dumps({
    "from": [str(p.source) for p in plugins if p.name == "guidealign"], "errors": errors
}))
"""
_TEST = """
import json
from airflow.models.connection import Connection
print(json.dumps(Connection.get_connection_from_secrets("mine").test_connection()))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return install(tmp_path_factory.mktemp("installed"))


def test_airflow_lists_the_provider_and_its_connection_form(installed: Installed) -> None:
    providers = installed.listed("providers", "list")
    (ours,) = [p for p in providers if p["package_name"] == "guidealign"]
    assert ours["version"] == "0.1.0"
    hooks = installed.listed("providers", "hooks")
    (hook,) = [h for h in hooks if h["connection_type"] == "guidealign"]
    assert hook["hook_name"] == "Guidealign"
    form = json.loads(installed.python(_FORM))
    assert form["testable"]
    assert form["relabeling"]["schema"] == "Database"
    assert [name for name, secret in form["fields"].items() if secret] == [
        "mlflow_password",
        "safety_api_key",
        "base_api_key",
    ]
    assert {"mlflow_tracking_uri", "safety_base_url", "sslmode"} <= set(form["fields"])


@pytest.mark.parametrize("folder", ["none", "plugins"])
def test_the_plugin_is_loaded_once_with_or_without_its_folder(
    installed: Installed, tmp_path: Path, folder: str
) -> None:
    plugins = ROOT / "plugins" if folder == "plugins" else tmp_path
    found = json.loads(installed.python(_PLUGINS, AIRFLOW__CORE__PLUGINS_FOLDER=str(plugins)))
    assert found["errors"] == {}
    (source,) = found["from"]
    assert source.startswith("guidealign==0.1.0")


@contextmanager
def _mlflow(answer: str) -> Iterator[str]:
    """A server that says which version of MLflow it is."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answer.encode() if self.path == "/version" else b""
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _tested(installed: Installed, connection: dict) -> tuple[bool, str]:
    said = installed.python(_TEST, AIRFLOW_CONN_MINE=json.dumps(connection))
    good, message = json.loads(said)
    return good, message


def _connection(database_url: str, mlflow: str, model: str) -> dict:
    url = make_url(database_url)
    return {
        "conn_type": "guidealign",
        "host": url.host,
        "port": url.port,
        "login": url.username,
        "password": url.password,
        "schema": url.database,
        "extra": {
            "mlflow_tracking_uri": mlflow,
            "safety_base_url": model,
            "base_base_url": model,
        },
    }


def test_the_test_button_says_what_answers_and_what_does_not(
    installed: Installed, database_url: str, empty_database_url: str
) -> None:
    with serve_model(lambda _: "") as server, _mlflow("3.17.2") as mlflow:
        good = _connection(database_url, mlflow, server.base_url)
        assert _tested(installed, good) == (
            True,
            f"database schema: revision {schema_revision(database_url)[1]};"
            f" pgvector: 0.8.6; 0.8.4 is needed; MLflow: {mlflow}, version 3.17.2;"
            f" safety endpoint: {server.base_url} answers 200;"
            f" base endpoint: {server.base_url} answers 200.",
        )
        away = _connection(empty_database_url, "http://127.0.0.1:9", server.base_url)
        passed, said = _tested(installed, away)
        assert not passed
        assert "database schema: None is not" in said
        assert "MLflow: http://127.0.0.1:9 does not answer" in said
        assert "safety" not in said
    passed, said = _tested(installed, {"conn_type": "guidealign", "host": "db"})
    assert (passed, said) == (
        False,
        "connection 'mine' names no database: fill in Host and Database",
    )
    unset = good | {"extra": {}}
    assert _tested(installed, unset) == (
        False,
        "MLflow: no server's address is set; safety endpoint: no address is set;"
        " base endpoint: no address is set.",
    )


def test_a_connection_goes_in_front_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUIDEALIGN_DATABASE_URL", "postgresql://a@b/c")
    monkeypatch.setenv("GUIDEALIGN_SAFETY__API_KEY", "for-the-settings-server")
    monkeypatch.setenv("GUIDEALIGN_MLFLOW__TRACKING_URI", "http://mlflow")
    before = load_settings()
    given = Connection(
        conn_id="mine",
        conn_type="guidealign",
        host="db",
        login="me",
        password="a/b@c",
        schema="gd",
        extra=json.dumps({"safety_base_url": "https://elsewhere/v1", "sslmode": "require"}),
    )
    after = overlay(before, given)
    assert after.require_database_url() == (
        "postgresql+psycopg://me:a%2Fb%40c@db/gd?sslmode=require"
    )
    assert after.safety.base_url == "https://elsewhere/v1"
    # A key goes to no other server than the one it was set for.
    assert after.safety.api_key.get_secret_value() == "none"
    assert after.mlflow == before.mlflow
    plain = Connection(conn_id="mine", conn_type="postgres", host="db", schema="gd")
    assert make_url(overlay(before, plain).require_database_url()).database == "gd"


def test_a_connection_that_is_missing_is_an_error_unless_it_is_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GUIDEALIGN_DATABASE_URL", "postgresql://a@b/c")
    assert GuidealignHook().settings().require_database_url() == "postgresql://a@b/c"
    with pytest.raises(ConfigurationError, match="no connection 'other': add one"):
        GuidealignHook("other").settings()
    assert asyncio.run(GuidealignHook().asettings()).database_url is not None
