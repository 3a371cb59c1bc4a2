"""A random BERT of a few thousand weights, with a tokenizer of its own: quick to export."""

from __future__ import annotations

import string
from pathlib import Path

WIDTH = 32


def write_tiny_encoder(folder: Path, *, seed: int = 1) -> None:
    """Saves model and tokenizer as transformers files; texts are read letter by letter."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    # More rows than a lookup table that stays as it is.
    pieces = [*marks, *string.ascii_lowercase, *(f"[unused{i}]" for i in range(1_000))]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    bare = Tokenizer(models.WordLevel(vocab=vocabulary, unk_token="[UNK]"))
    bare.normalizer = normalizers.Lowercase()
    bare.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    bare.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    BertModel(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
