"""The serving form: one ONNX graph from token ids to vectors, beside its tokenizer."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from guidealign.errors import ConfigurationError, IntegrityError

if TYPE_CHECKING:
    from guidealign.retriever.encode import TransformerEncoder

Form = Literal["float32", "int8"]
FORMAT = 1
"""Of the folder; a reader refuses one it does not know."""
EXPORTER = "onnx-2"
"""Bump it when the same model would be exported to another graph."""
GRAPH_FILE, TOKENIZER_FILE, DESCRIPTION_FILE = "model.onnx", "tokenizer.json", "serving.json"
_OPSET = 23
"""The first with an Attention operator; what it replaces costs a tenth of a query."""


@dataclass(frozen=True, kw_only=True)
class ServingDescription:
    """What `serving.json` says of the files beside it."""

    form: Form
    dimensions: int
    max_length: int
    """In tokens; what lies behind is cut off."""
    pad_id: int
    threshold: float | None = None
    """Cosine below which no unsafe-topic guideline fits an input; None: not calibrated."""
    risk_threshold: float | None = None
    """The same for the probability that the input is unsafe, which tells them apart better."""
    quality_threshold: float | None = None
    """Cosine below which no guideline about quality fits an input; None: not calibrated."""
    topic_rule: Literal["risk", "cosine"] | None = None
    """Which of the two tells unsafe inputs from benign ones better; None: an older version, whose
    risk counts where it was calibrated."""
    risk_weights: Sequence[float] = ()
    risk_bias: float = 0.0
    input_prefix: str = ""
    """Read in front of every input."""
    guideline_prefix: str = ""
    digests: dict[str, str]
    """SHA-256 (hex) by file name."""
    format: int = FORMAT


def export_float(encoder: TransformerEncoder, folder: Path) -> ServingDescription:
    """Writes an encoder's graph in float32 and its tokenizer; needs torch.

    Mean pooling and normalisation are part of the graph; batch and length are free.

    Raises:
        ConfigurationError: the tokenizer has no fast form, or the graph cannot be traced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = getattr(encoder.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise ConfigurationError(
            "the encoder's tokenizer has no fast form (tokenizer.json), which serving needs:"
            " set retriever.base_model to one that has"
        )
    tokenizer.save(str(folder / TOKENIZER_FILE))
    _trace(encoder, folder / GRAPH_FILE)
    return describe(
        folder,
        ServingDescription(
            form="float32",
            dimensions=int(encoder.model.config.hidden_size),
            max_length=encoder.max_length,
            pad_id=int(encoder.tokenizer.pad_token_id or 0),
            input_prefix=encoder.prefixes.input,
            guideline_prefix=encoder.prefixes.guideline,
            digests={},
        ),
    )


def _trace(encoder: TransformerEncoder, target: Path) -> None:
    import torch

    class _Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = encoder.model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return encoder.pool(input_ids=input_ids, attention_mask=attention_mask)

    example = encoder.tokenizer(["one", "one and another"], padding=True, return_tensors="pt")
    shape = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=encoder.max_length)}
    encoder.model.eval()
    try:
        with warnings.catch_warnings(), _quiet("onnx_ir", "onnxscript", "torch.onnx"):
            # Of torch to itself, about its own internals.
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _Pooled().eval(),
                (example["input_ids"], example["attention_mask"]),
                input_names=["input_ids", "attention_mask"],
                output_names=["vectors"],
                dynamic_shapes=(shape, shape),
                opset_version=_OPSET,
                dynamo=True,
                verbose=False,
            )
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        raise ConfigurationError(
            f"the encoder cannot be exported for serving: {str(error).splitlines()[0][:200]}"
        ) from error
    if program is None:
        raise AssertionError("the dynamo exporter returns its program")
    program.save(str(target), external_data=False)


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keeps a task's log readable: an exporter reports hundreds of its own steps."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def describe(folder: Path, description: ServingDescription) -> ServingDescription:
    """Writes `serving.json` for the files as they are now; returns it with their digests."""
    digests = {name: _digest(folder / name) for name in (GRAPH_FILE, TOKENIZER_FILE)}
    described = replace(description, digests=digests)
    content = json.dumps(asdict(described), indent=2, sort_keys=True)
    (folder / DESCRIPTION_FILE).write_text(content + "\n", encoding="utf-8")
    return described


def read_description(folder: Path) -> ServingDescription:
    """What a serving folder holds, with every file checked.

    Raises:
        IntegrityError: something is missing, differs, or is of another format.
    """
    try:
        raw: dict[str, Any] = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
        found = ServingDescription(**raw)
    except (OSError, ValueError, TypeError) as error:
        raise IntegrityError(
            f"{folder} holds no readable {DESCRIPTION_FILE}: register the retriever again, or"
            " delete the folder if it is in the cache"
        ) from error
    if found.format != FORMAT:
        raise IntegrityError(
            f"{folder} is of serving format {found.format}, this guidealign reads {FORMAT}:"
            " upgrade it"
        )
    for name in (GRAPH_FILE, TOKENIZER_FILE):
        file = folder / name
        if not file.is_file() or _digest(file) != found.digests.get(name):
            raise IntegrityError(
                f"{file} is missing or differs from what {DESCRIPTION_FILE} says: register the"
                " retriever again, or delete the folder if it is in the cache"
            )
    return found


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
