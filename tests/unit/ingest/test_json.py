"""JSON lines and documents: a bad value is one reject, and nothing stops a file."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import time
from pathlib import Path

import pyarrow as pa
import pytest

from guidealign.errors import BadInputError
from guidealign.ingest._json import parse_json
from guidealign.settings import IngestSettings
from tests.unit.ingest.reading import read, write

_GROWING = IngestSettings(quiet_s=3_600)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a big number", "n": ' + "9" * 5_000 + "}", None),
        ('{"text": "not a number beside it", "n": NaN, "m": -Infinity}', None),
        ('{"text": "an odd escape: \\ud83d"}', None),
        ('"a bare text"', None),
        ('{"text": NaN}', "wrong_type"),
        ('{"text": ' + "9" * 5_000 + "}", None),
        ('{"text": "deep", "n": ' + "[" * 100_000 + "]" * 100_000 + "}", "broken_json"),
        ('{"text": "one", "text": "two"}', "duplicate_key"),
        ('{"text": "one"}{"text": "two"}', "broken_json"),
        ('{"text": "one",}', "broken_json"),
        ("{'text': 'one'}", "broken_json"),
        ('{"text": ["one"]}', "wrong_type"),
        ('{"Text": "one"}', "missing_field"),
        ('{"a\\u0000\\ud83d": 1}', "missing_field"),
        ("[1, 2]", "wrong_type"),
        ("", "empty"),
        ("{" + '"x": "' + "y" * (9 << 20) + '"}', "too_long"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_one_line_is_one_record(tmp_path: Path, line: str, reason: str | None) -> None:
    path = write(tmp_path, "in.jsonl", '{"text": "before"}\n' + line + '\n{"text": "behind"}\n')
    found = read(path)
    assert (found.texts[0], found.texts[-1]) == ("before", "behind")
    assert found.rejects == ([] if reason is None else [(2, reason)])
    assert len(found.texts) == (3 if reason is None else 2)


def test_an_object_of_many_names_takes_time_for_each_of_them_alone() -> None:
    # Compared with each other, 100,000 names take minutes.
    began = time.process_time()
    words = ", ".join(f'"{n}": 1' for n in (*range(100_000), 7))
    assert parse_json(f"{{{words}}}").repeated == {"7"}
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    "given",
    ["a\0b", "a\ud83db", "x" * 3_000, 10**300, 1.5],
    ids=["nul", "half", "long", "digits", "float"],
)
def test_any_id_can_be_stored(tmp_path: Path, given: object) -> None:
    line = json.dumps({"text": "what?", "id": given})
    (item,) = read(write(tmp_path, "in.jsonl", line + "\n"), id_field="id").inputs
    assert item.source_id
    assert len(item.source_id.encode()) < 2_000
    assert "\0" not in item.source_id


def test_ids_that_are_cut_stay_apart(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"what {n}?", "id": "x" * 500 + str(n)}) for n in range(2)]
    found = read(write(tmp_path, "in.jsonl", "\n".join(lines)), id_field="id")
    assert len({item.source_id for item in found.inputs}) == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"text": "one"}\n{"text": "tw', 'o"}\n{"text": "three"}\n'),
        ('{"text": "one"}\n{"text": "two"}', '\n{"text": "three"}\n'),
        ('{"text": "one"}\n{"text": "two"}', '\r\n{"text": "three"}\n'),
        ('{"text": "one"}\n{"text": "two"}\n', '{"text": "three"}\n'),
    ],
)
def test_a_line_without_its_end_waits_unless_it_is_whole(
    tmp_path: Path, first: str, second: str
) -> None:
    path = write(tmp_path, "in.jsonl", first)
    begun = read(path, settings=_GROWING)
    with path.open("a", newline="") as file:
        file.write(second)
    rest = read(path, begun.mark, settings=_GROWING)
    assert begun.texts + rest.texts == ["one", "two", "three"]
    assert begun.rejects + rest.rejects == []


def test_a_character_cut_in_half_waits_too(tmp_path: Path) -> None:
    whole = '{"text": "wie gr\u00fc\u00dft man?"}\n'.encode()
    path = write(tmp_path, "in.jsonl", whole[:17])
    begun = read(path, settings=_GROWING)
    assert (begun.texts, begun.rejects) == ([], [])
    path.write_bytes(whole)
    assert read(path, begun.mark, settings=_GROWING).texts == ["wie gr\u00fc\u00dft man?"]


def test_a_broken_last_line_of_a_quiet_file_is_a_reject(tmp_path: Path) -> None:
    path = write(tmp_path, "in.jsonl", '{"text": "one"}\n{"text": "tw')
    assert read(path).rejects == [(2, "broken_json")]


@pytest.mark.parametrize("change", ["truncated", "rotated"])
def test_a_file_that_begins_anew_is_read_anew(tmp_path: Path, change: str) -> None:
    path = write(tmp_path, "in.jsonl", '{"text": "about boats"}\n{"text": "about cars"}\n')
    begun = read(path)
    new = '{"text": "about trains"}\n' * (1 if change == "truncated" else 3)
    path.write_text(new)
    again = read(path, begun.mark)
    assert set(again.texts) == {"about trains"}
    assert "read from its start" in again.notes[0]


def test_other_options_read_a_file_again(tmp_path: Path) -> None:
    path = write(tmp_path, "in.jsonl", '{"question": "how?"}\n')
    begun = read(path)
    assert begun.rejects == [(1, "missing_field")]
    assert read(path, begun.mark, text_field="question").texts == ["how?"]


@pytest.mark.parametrize("name", ["in.json", "in.jsonl"])
@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('[{"text": "one"}, {"text": "two"}]', ["one", "two"]),
        ('[\n {\n  "text": "one"\n },\n {\n  "text": "two"\n }\n]\n', ["one", "two"]),
        ('["one", "two"]', ["one", "two"]),
        ('{\n  "text": "one"\n}\n', ["one"]),
        ('{\n "text": "one"\n}\n{\n "text": "two"\n}\n', ["one", "two"]),
        ('{"text": "one"}\n{"text": "two"}\n', ["one", "two"]),
        ('{"text": "one"}', ["one"]),
        ('[\n"one"\n]\n[\n"two"\n]', ["one", "two"]),
        ('["one"][]["two"]', ["one", "two"]),
    ],
)
def test_documents(tmp_path: Path, name: str, content: str, texts: list[str]) -> None:
    found = read(write(tmp_path, name, content))
    assert (found.texts, found.rejects) == (texts, [])
    assert read(tmp_path / name, found.mark).texts == []


def test_arrays_behind_each_other_are_read_to_the_last(tmp_path: Path) -> None:
    found = read(write(tmp_path, "in.json", '["one", "two"]\n["three"]\n'))
    assert (found.texts, found.rejects) == (["one", "two", "three"], [])


def test_lines_behind_a_line_that_is_a_list_are_read(tmp_path: Path) -> None:
    found = read(write(tmp_path, "in.jsonl", '["x"]\n{"text": "a"}\n'))
    assert (found.texts, found.rejects) == (["a"], [(1, "wrong_type")])
    turns = json.dumps([{"role": "user", "content": "Who?"}])
    assert read(write(tmp_path, "in.jsonl", f"{turns}\n" * 3)).texts == ["Who?"] * 3


def test_a_document_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    found = read(write(tmp_path, "in.json", '[{"text": "one"}, {"text": "tw'))
    assert (found.texts, found.rejects) == (["one"], [(2, "broken_json")])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252"]
)
def test_encodings_are_found_out(tmp_path: Path, encoding: str) -> None:
    texts = ["Wie k\u00fcndige ich?", "Caf\u00e9 \u2013 ja?", "plain"]
    lines = "".join(json.dumps({"text": t}, ensure_ascii=False) + "\n" for t in texts)
    found = read(write(tmp_path, "in.jsonl", lines.encode(encoding)))
    assert (found.texts, found.rejects) == (texts, [])
    assert bool(found.notes) == (encoding == "cp1252")


def test_a_file_whose_encoding_turns_out_another_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path, "in.jsonl", '{"text": "K\u00fcche?"}\n'.encode("cp1252"))
    begun = read(path)
    assert begun.texts == ["K\u00fcche?"]
    with path.open("ab") as file:
        file.write('{"text": "B\u00fcro?"}\n{"text": "wo?"}\n'.encode())
    again = read(path, begun.mark)
    # Lines of both encodings: the file is UTF-8 now, and one line of it is wrong.
    assert (again.texts, again.rejects) == (["B\u00fcro?", "wo?"], [(1, "not_utf8")])
    assert "encoding" in again.notes[0]


def test_an_encoding_that_is_not_sure_is_asked_for_once(tmp_path: Path) -> None:
    words = [
        "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
        "\u043a\u0430\u043a \u0434\u0435\u043b\u0430",
    ] * 5
    raw = "".join(json.dumps({"text": w}, ensure_ascii=False) + "\n" for w in words).encode(
        "cp1251"
    )
    path = write(tmp_path, "in.jsonl", raw)
    with pytest.raises(BadInputError, match="is not UTF-8"):
        read(path)
    assert read(path, encoding="cp1251").texts == words
    with pytest.raises(BadInputError, match="unknown"):
        read(path, encoding="cp99999")


@pytest.mark.parametrize(
    "encoding", ["idna", "punycode", "undefined", "hex", "base64", "rot13", "a\0b", "\udc80", ""]
)
def test_an_encoding_of_no_file_is_one_sentence(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, "in.jsonl", '{"text": "one"}\n')
    with pytest.raises(BadInputError, match="encoding"):
        read(path, encoding=encoding)


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [("utf-32-le", b"\xff\xff\xff\xff"), ("utf-7", b"+\xff\xff"), ("unicode_escape", b"\\ud83d")],
)
@pytest.mark.parametrize("n_before", [0, 20_000])
def test_bytes_that_an_encoding_does_not_have_are_one_sentence(
    tmp_path: Path, encoding: str, raw: bytes, n_before: int
) -> None:
    words = '{"text": "one"}\n'.encode(encoding) * (1 + n_before)
    with pytest.raises(BadInputError, match=r"in\.jsonl is in another encoding"):
        read(write(tmp_path, "in.jsonl", words + raw), encoding=encoding)


def test_single_wrong_bytes_are_single_rejects(tmp_path: Path) -> None:
    lines = [
        '{"text": "gr\u00fcn"}\n'.encode(),
        b'{"text": "\xff\xfe"}\n',
        b'{"text": "k\xfchl"}\n',
    ]
    found = read(write(tmp_path, "in.jsonl", b"".join(lines)))
    assert (found.texts, found.rejects) == (["gr\u00fcn"], [(2, "not_utf8"), (3, "not_utf8")])


def test_a_value_of_a_document_that_is_not_utf8_is_one_reject(tmp_path: Path) -> None:
    raw = b'[{"text": "one"},\n{"text": "\xff\xfe"},\n{"text": "odd \\udc80"},\n{"text": "two"}]'
    found = read(write(tmp_path, "in.json", raw))
    assert (found.texts, found.rejects) == (["one", "odd", "two"], [(2, "not_utf8")])


def _zstd(raw: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(raw)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zst", _zstd)],
)
def test_packed_files(tmp_path: Path, suffix: str, pack: object) -> None:
    raw = "".join(json.dumps({"text": f"question {n}?"}) + "\n" for n in range(2_000)).encode()
    packed = pack(raw)  # type: ignore[operator]
    found = read(write(tmp_path, f"in.jsonl{suffix}", packed))
    assert len(found.texts) == 2_000
    assert read(tmp_path / f"in.jsonl{suffix}", found.mark).texts == []
    with pytest.raises(BadInputError, match="cannot be"):
        read(write(tmp_path, f"cut.jsonl{suffix}", packed[: len(packed) // 2]))
