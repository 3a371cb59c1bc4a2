"""The encoder that is trained; what serves is its export."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guidealign.errors import IntegrityError
from guidealign.guidance import Side
from guidealign.retriever.model import Prefixes

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_BATCH = 64
_NONE = Prefixes()
PROMPTS_FILE = "config_sentence_transformers.json"


class TransformerEncoder:
    """Mean pooling over a transformer's last layer; both sides share its weights."""

    def __init__(
        self, tokenizer: Any, model: Any, *, max_length: int, prefixes: Prefixes = _NONE
    ) -> None:
        self.tokenizer = tokenizer
        self.prefixes = prefixes
        self.model = model
        self.max_length = max_length

    def encode(self, texts: Sequence[str], *, side: Side) -> NDArray[np.float32]:
        """L2-normalised vectors, (len(texts), dimensions); one model serves both sides."""
        import numpy as np
        import torch

        texts = self.prefixes.put(texts, side)
        # Texts of like length share a batch, so that little is padded.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        result = np.zeros((len(texts), self.model.config.hidden_size), dtype=np.float32)
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(order), _BATCH):
                chosen = order[start : start + _BATCH]
                result[chosen] = self.forward([texts[i] for i in chosen]).cpu().numpy()
        return result

    def forward(self, texts: list[str]) -> torch.Tensor:
        """L2-normalised vectors with their gradient, (len(texts), dimensions), of texts as read."""
        batch = self.tokenizer(
            texts, padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        )
        return self.pool(**batch.to(self.model.device))

    def pool(self, **tokens: torch.Tensor) -> torch.Tensor:
        """The same for tokens: `input_ids` and `attention_mask`, (batch, tokens)."""
        import torch

        hidden = self.model(**tokens).last_hidden_state  # (batch, tokens, dimensions)
        mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)  # (batch, tokens, 1)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.normalize(mean, dim=1)


def load_folder(
    folder: str | Path, *, max_length: int, prefixes: Prefixes | None = None
) -> TransformerEncoder:
    """An encoder of a model folder, in float32.

    Args:
        folder: local, or a Hugging Face id.
        max_length: in tokens; what lies behind is cut off. Not more than the model has places for.
        prefixes: None: those that the folder names.

    Raises:
        IntegrityError: the folder holds no model that can be loaded.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        model = AutoModel.from_pretrained(str(folder), dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        raise IntegrityError(f"{folder} holds no encoder that can be loaded") from error
    read = own_prefixes(folder) if prefixes is None else prefixes
    most = min(max_length, _places(model))
    return TransformerEncoder(tokenizer, model, max_length=most, prefixes=read)


def _places(model: Any) -> int:
    """The most tokens that a model can read."""
    places: int = getattr(model.config, "max_position_embeddings", sys.maxsize)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    # RoBERTa's kin count places from behind the one of padding.
    return places if padding is None else places - padding - 1


def own_prefixes(folder: str | Path) -> Prefixes:
    """Those that a folder's sentence-transformers configuration names as its prompts."""
    file = Path(folder) / PROMPTS_FILE
    if not file.is_file():
        return _NONE
    prompts = json.loads(file.read_text(encoding="utf-8")).get("prompts") or {}
    return Prefixes(prompts.get("query") or "", prompts.get("document") or "")
