"""Messages to grow from: prompts of public data sets where a folder is given, then made ones.

GUIDEALIGN_BENCH_PROMPTS names a folder; its JSON, JSONL and gzipped JSONL files are searched for
prompts. Made ones are word chains over those prompts and the starter library's inputs: each word
follows the two before it as it does somewhere in them, so that messages share beginnings, phrases
and frequent words as those of a model do.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from guidealign.ingest import normalize_text
from guidealign.library import read_starter

FOLDER_VARIABLE = "GUIDEALIGN_BENCH_PROMPTS"
_CHARS = (11, 600)
_FIELDS = ("prompt", "instruction", "question", "turns")
_DIALOGUES = ("chosen", "rejected")
_TURN = re.compile(r"\n\n(Human|Assistant): ")
_Chain = dict[tuple[str, str], list[str]]


def real_prompts() -> list[str]:
    """Distinct prompts of the data sets, in a fixed random order; none without a folder."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return []
    found: dict[str, None] = {}
    for file in sorted(Path(folder).rglob("*.json*")):
        for prompt in _prompts(_read(file)):
            found.setdefault(normalize_text(prompt))
    texts = [text for text in found if _CHARS[0] <= len(text) <= _CHARS[1]]
    random.Random(13).shuffle(texts)  # noqa: S311
    return texts


def synthetic_prompts(texts: list[str], seed: int = 13) -> Iterator[str]:
    """Messages without end that begin, go on and end as the given ones do."""
    chain: _Chain = defaultdict(list)
    for text in texts:
        words = text.split()
        for before, last, word in zip(["", "", *words], ["", *words], [*words, ""], strict=False):
            chain[before, last].append(word)
    draw = random.Random(seed)  # noqa: S311
    while True:
        made = " ".join(islice(_walk(chain, draw), 80))
        if _CHARS[0] <= len(made) <= _CHARS[1]:
            yield made


def starter_prompts() -> list[str]:
    """Inputs of the starter library."""
    return [item.text for file in read_starter() for item in file.inputs]


def _walk(chain: _Chain, draw: random.Random) -> Iterator[str]:
    before = last = ""
    while word := draw.choice(chain[before, last]):
        yield word
        before, last = last, word


def _read(file: Path) -> Any:
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt", encoding="utf-8") as lines:
        if ".jsonl" in file.name:
            return [json.loads(line) for line in lines if line.strip()]
        return json.load(lines)


def _prompts(value: Any) -> Iterator[str]:
    """Strings of a tree of lists; of a list's records what users say."""
    if isinstance(value, dict):
        for branch in value.values():
            yield from _prompts(branch)
    elif isinstance(value, list):
        for part in value:
            if isinstance(part, str):
                yield part
            elif isinstance(part, dict):
                yield from _said(part)


def _said(record: dict[str, Any]) -> Iterator[str]:
    for name in _FIELDS:
        said = record.get(name)
        yield from [said] if isinstance(said, str) else said or []
    for name in _DIALOGUES:
        turns = _TURN.split(record.get(name, ""))
        for who, said in zip(turns[1::2], turns[2::2], strict=True):
            if who == "Human":
                yield said
