"""Labelled rows from files: what is read, and what is said of rows that are wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from guidealign.errors import BadInputError
from guidealign.judges import HeldOut, read_labelled_file


def _jsonl(folder: Path, *rows: object) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text(
        "prompt,answer,harmful,declines,guidelines,keeps,origin\n"
        '"Hi, you","Hello",no,FALSE,"Be kind\nBe short",1,people\n'
        "Bye,Off with you,true,,,,people\n"
    )
    lines = _jsonl(
        tmp_path,
        {
            "prompt": "Hi, you",
            "answer": "Hello",
            "harmful": False,
            "declines": False,
            "guidelines": ["Be kind", "Be short"],
            "keeps": True,
            "origin": "people",
        },
        {"prompt": "Bye", "answer": "Off with you", "harmful": True, "origin": "people"},
    )
    read = read_labelled_file(table, labeller="anna")
    assert read == read_labelled_file(lines, labeller="anna")
    assert (read[0].guidelines, read[0].keeps) == (("Be kind", "Be short"), True)
    assert (read[1].harmful, read[1].declines, read[1].labeller) == (True, None, "anna")
    # Without clusters of their own, answers to one prompt are never on both sides of a split.
    again = _jsonl(tmp_path, {"prompt": " hi,  YOU ", "answer": "What?", "harmful": True})
    assert read_labelled_file(again, labeller="anna")[0].cluster == read[0].cluster


def test_a_mark_of_byte_order_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    for name, content in (
        ("rows.csv", "prompt,answer,harmful\nHi,Hello,no\n"),
        ("rows.jsonl", '{"prompt": "Hi", "answer": "Hello", "harmful": false}\n'),
    ):
        (tmp_path / name).write_text(content, encoding="utf-8-sig")
        assert read_labelled_file(tmp_path / name, labeller="anna")[0].prompt == "Hi"


def test_a_line_of_brackets_is_a_wrong_row(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("[" * 100_000 + "\n")
    with pytest.raises(BadInputError, match=r"rows\.jsonl:1: is no JSON object"):
        read_labelled_file(tmp_path / "rows.jsonl", labeller="anna")


def test_each_wrong_row_has_a_line_and_nothing_is_taken(tmp_path: Path) -> None:
    file = _jsonl(
        tmp_path,
        {"prompt": "a", "answer": "b", "harmful": True},
        {"prompt": "", "answer": "b", "harmful": True},
        {"prompt": "a", "answer": "b"},
        {"prompt": "a", "harmful": True},
        {"prompt": "a", "answer": "b", "harmful": "maybe"},
        {"prompt": "a", "answer": "b", "harmfull": True},
        {"prompt": "a", "answer": "b", "keeps": True},
        ["a"],
        {"prompt": 7, "answer": "b", "harmful": True},
    )
    with pytest.raises(BadInputError) as refused:
        read_labelled_file(file, labeller="anna")
    said = str(refused.value).splitlines()
    assert [line.partition(": ")[0] for line in said] == [f"rows.jsonl:{n}" for n in range(2, 10)]
    for line, words in zip(
        said,
        ("prompt is empty", "no label", "answer is empty", "'maybe'", "harmfull is no column",
         "guidelines are empty", "no JSON object", "prompt is 7"),
        strict=True,
    ):  # fmt: skip
        assert words in line


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name, content in (("rows.txt", "x"), ("rows.jsonl", ""), ("rows.csv", "prompt\n")):
        (tmp_path / name).write_text(content)
        with pytest.raises(BadInputError):
            read_labelled_file(tmp_path / name, labeller="anna")
    with pytest.raises(BadInputError, match="cannot be read"):
        read_labelled_file(tmp_path / "none.csv", labeller="anna")


def test_what_is_held_out_is_found_by_cluster_and_by_prompt(tmp_path: Path) -> None:
    rows = read_labelled_file(
        _jsonl(
            tmp_path,
            {"prompt": "How  do I?", "answer": "So.", "helps": True},
            {"prompt": "Why?", "answer": "So.", "helps": True, "cluster": "Insult/mockery"},
            {"prompt": "When?", "answer": "Now.", "helps": True},
        ),
        labeller="anna",
    )
    held = HeldOut(clusters=frozenset({"Insult/mockery"}), prompts=frozenset({"how do i?"}))
    assert [held.holds(row) for row in rows] == [True, True, False]
    # A prompt's rows are on one side and in one cluster: one that is held out, else one by name.
    named = [replace(rows[2], cluster="Insult/rumours"), replace(rows[1], cluster="mine")]
    nameless = replace(rows[2], prompt=" WHEN?", answer="Later.")
    seen, unseen = held.split([nameless, named[1], *rows, named[0]])
    assert [row.cluster for row in seen] == ["Insult/rumours"] * 3
    assert [row.cluster for row in unseen][0::2] == ["Insult/mockery"] * 2
