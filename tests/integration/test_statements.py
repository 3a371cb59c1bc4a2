"""Every SQL statement of the package is prepared against the migrated database.

A name that a migration changed fails here, also in a statement that no other test runs. Nobody
lists statements: they are found in the modules' constants and in literal calls of `text`.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import psycopg
import pytest
from sqlalchemy import TextClause, text
from sqlalchemy.dialects.postgresql import psycopg as dialect

import guidealign

# PREPARE takes these and no others: `set`, `lock` and `create` are left to the tests that run them.
_PREPARED = re.compile(r"\s*(select|insert|update|delete|with)\s", re.IGNORECASE)
_TEMPORARY = re.compile(r"\s*create temporary table\s", re.IGNORECASE)
_PARAMETER = re.compile(r"%\((\w+)\)[sb]|%[sb]|%%")
_QUOTED = re.compile(r"'(?:[^']|'')*'")
_BLANK = re.compile(r"\{\w+\}")
"""Where a function puts in columns or conditions: what it makes of it is not known here."""


def _modules() -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(guidealign.__path__, "guidealign."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def _constants(value: object) -> Iterator[str]:
    """Statements of a module's constant, as psycopg wants them."""
    if isinstance(value, TextClause):
        compiled = value.compile(
            dialect=dialect.dialect(), compile_kwargs={"render_postcompile": True}
        )
        yield str(compiled)
    elif isinstance(value, str) and _PREPARED.match(value):
        yield from (value,) if "%(" in value else _constants(text(value))
    elif isinstance(value, dict):
        yield from (found for part in value.values() for found in _constants(part))
    elif isinstance(value, tuple | list):
        yield from (found for part in value for found in _constants(part))


def _literals(module: ModuleType) -> Iterator[str]:
    """Statements in calls of `text` with nothing but a literal, in functions."""
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id="text"), args=[ast.Constant(value=str(literal))]):
                yield from _constants(text(literal))


def _statements() -> dict[str, str]:
    """Where each was found first, by statement; without those that are filled in later."""
    found: dict[str, str] = {}
    for module in _modules():
        for name, value in vars(module).items():
            if not name.startswith("__"):
                for statement in _constants(value):
                    found.setdefault(statement, f"{module.__name__}.{name}")
        for statement in _literals(module):
            found.setdefault(statement, module.__name__)
    return {s: place for s, place in found.items() if not _BLANK.search(_QUOTED.sub("", s))}


def _numbered(statement: str) -> str:
    """Its parameters as PREPARE numbers them."""
    names: list[str] = []

    def number(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        name = match[1] or f"%{len(names)}"
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}"

    return _PARAMETER.sub(number, statement)


def test_every_statement_of_the_package_can_be_prepared(database_url: str) -> None:
    statements = _statements()
    prepared = {s: place for s, place in statements.items() if _PREPARED.match(s)}
    wrong = []
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in filter(_TEMPORARY.match, statements):
            connection.execute(statement.replace(" on commit drop", ""))
        for statement, place in prepared.items():
            try:
                _prepare(connection, _numbered(statement))
            except psycopg.Error as error:
                wrong.append(f"{place}: {error}")
    assert len(prepared) > 200
    assert not wrong, "\n".join(wrong)


def _prepare(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    try:
        connection.execute(f"prepare checked as {statement}")
    except psycopg.errors.SyntaxError as error:
        # Expressions of `with` that several statements stand behind.
        if "at end of input" not in str(error):
            raise
        connection.execute(f"prepare checked as {statement} select 1")
    connection.execute("deallocate checked")


def test_statement_with_a_wrong_name_is_found(database_url: str) -> None:
    with (
        psycopg.connect(database_url, autocommit=True) as connection,
        pytest.raises(psycopg.errors.UndefinedColumn),
    ):
        _prepare(connection, _numbered("select txt from core.inputs where id = %(id)s"))
