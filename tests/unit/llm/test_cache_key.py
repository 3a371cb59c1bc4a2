"""What makes two questions the same one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guidealign.llm import CacheScope, cache_key

NONCE = st.text(alphabet="0123456789abcdef", min_size=16, max_size=16)


def key(text: str, nonce: str, **changes: Any) -> str:
    values = {"model": "m", "version": "v1", "temperature": 0.0, "seed": 1, **changes}
    messages = [
        {"role": "system", "content": f"Data stands between {nonce} and {nonce}."},
        {"role": "user", "content": f"{nonce}\n{text}\n{nonce}"},
    ]
    parameters = {"temperature": values["temperature"], "max_tokens": 9, "seed": values["seed"]}
    scope = CacheScope(prompt_version=str(values["version"]), nonce=nonce)
    return cache_key(str(values["model"]), messages, parameters, scope)


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"])), first=NONCE, second=NONCE)
def test_a_nonce_does_not_change_the_key(text: str, first: str, second: str) -> None:
    # A text that holds the very nonce would be another question; nobody can write one.
    if first not in text and second not in text:
        assert key(text, first) == key(text, second)


def test_everything_else_changes_it() -> None:
    nonce = "00ff00ff00ff00ff"
    keys = {
        key("a", nonce),
        key("b", nonce),
        key("a", nonce, model="n"),
        key("a", nonce, version="v2"),
        key("a", nonce, temperature=0.5),
        key("a", nonce, seed=2),
    }
    assert len(keys) == 6
    assert all(len(one) == 64 for one in keys)


def test_turns_do_not_run_into_each_other() -> None:
    scope = CacheScope(prompt_version="v")
    one = [{"role": "user", "content": "ab"}, {"role": "user", "content": "c"}]
    other = [{"role": "user", "content": "a"}, {"role": "user", "content": "bc"}]
    assert cache_key("m", one, {}, scope) != cache_key("m", other, {}, scope)


def test_the_order_of_parameters_does_not_matter() -> None:
    scope = CacheScope(prompt_version="v")
    assert cache_key("m", [], {"a": 1, "b": 2}, scope) == cache_key(
        "m", [], {"b": 2, "a": 1}, scope
    )
