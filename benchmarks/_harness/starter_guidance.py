"""The starter library as one release, in memory: what guidance gives without a database."""

from __future__ import annotations

import numpy as np
import yaml

from guidealign.guidance import Live, Snapshot, Texts
from guidealign.library.starter import STARTER_FOLDER
from guidealign.records import UNTRAINED_VERSION, GuidancePolicy, Release
from guidealign.registry import Registry
from guidealign.retriever import load_serving_encoder
from guidealign.settings import Settings


def starter_live(settings: Settings, policy: GuidancePolicy) -> Live:
    """All starter guidelines, embedded by the untrained encoder, under a policy."""
    library = [
        (guideline["title"], guideline["text"], content["category"])
        for file in sorted(STARTER_FOLDER.glob("*.yaml"))
        for content in [yaml.safe_load(file.read_text("utf-8"))]
        for guideline in content["guidelines"]
    ]
    # The base is on this machine: no registry is asked.
    registry = Registry("http://127.0.0.1:9")
    encoder = load_serving_encoder(UNTRAINED_VERSION, settings=settings, registry=registry)
    texts = [f"{title}: {text}" for title, text, _ in library]
    snapshot = Snapshot(
        release=Release(
            release_id=0,
            library_version=0,
            retriever_version=UNTRAINED_VERSION,
            labrador_version=0,
            policy_version=0,
            policy=policy,
        ),
        guidelines=Texts(
            ids=np.arange(len(library)),
            titles=tuple(title for title, _, _ in library),
            texts=tuple(text for _, text, _ in library),
            categories=tuple(category for _, _, category in library),
        ),
        vectors=encoder.encode(texts, side="guideline"),
        in_memory=True,
    )
    return Live(snapshot=snapshot, encoder=encoder)
