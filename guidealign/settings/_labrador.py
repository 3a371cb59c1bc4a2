"""Settings of Labrador's training."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from guidealign.settings._fields import Section


class LabradorSettings(Section):
    """Fine-tuning of Labrador with LoRA adapters, by steps of gradient descent."""

    base_gguf: Path | None = None
    """GGUF file of the model to fine-tune. Not set: the bundled base model."""
    base_model: str | None = None
    """Local folder or Hugging Face id of the model to fine-tune; takes precedence over
    `base_gguf`."""
    objective: Literal["sft", "sft_dpo", "on_policy"] = "sft"
    """What is learned from. `sft`: the guided answers (supervised fine-tuning); `sft_dpo`: first
    these, then preference pairs (DPO); `on_policy`: the model's own answers to the inputs, each
    token compared with what the base with guidelines in front would say (self-distillation)."""
    rank: int = Field(default=8, ge=1)
    """Rank of the LoRA matrices."""
    alpha: int = Field(default=16, ge=1)
    """LoRA's alpha: the adapters' output is scaled by `alpha` / `rank`."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability in the adapters."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """Peak learning rate, of DPO apart."""
    max_steps: int = Field(default=12, ge=1)
    """Most optimizer steps, of DPO apart."""
    batch_size: int = Field(default=4, ge=1)
    """Examples of one optimizer step."""
    max_length: int = Field(default=256, ge=16)
    """Tokens after which an example is cut."""
    pass_tokens: int = Field(default=256, ge=16)
    """Padded tokens of a batch that go through the model in one forward pass, at least one example.
    It sets the memory needed, not the gradient: raise it on a GPU."""
    input_format: Literal["plain", "guided", "mix"] = "plain"
    """What precedes an answer in training. `plain`: the input alone, so that Labrador learns to do
    without guidelines; `guided`: the input behind the answer's guidelines, so that it learns to
    follow them; `mix`: one or the other for each input."""
    guided_share: float = Field(default=0.5, ge=0, le=1)
    """Share of inputs with guidelines under `input_format = "mix"`, drawn by the seed."""
    quantization: Literal["none", "nf4"] = "none"
    """Format of the base model's linear layers while adapters train. `nf4`: 4 bits (QLoRA), for
    bases that would not fit; needs the extra `nf4`. The full base is registered either way."""
    shard_base: bool = False
    """Whether several processes hold a share of the base model's weights each (FSDP), for bases
    that do not fit one GPU; see `mlflow run mlflow_projects/labrador -e several`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the arithmetic in training and scoring. `auto`: bfloat16 where the hardware
    has it."""
    max_cut_share: float = Field(default=0.25, ge=0, le=1)
    """Highest share of examples that may be cut at `max_length`; with more, training is refused."""
    held_out_share: float = Field(default=0.1, ge=0, lt=0.9)
    """Share of examples, rounded down, that are held out for early stopping."""
    check_every: int = Field(default=4, ge=1)
    """Steps between two measurements of the held-out loss, and between checkpoints."""
    patience: int = Field(default=2, ge=1)
    """Measurements without a lower held-out loss after which training stops."""
    dpo_beta: float = Field(default=0.1, gt=0)
    """DPO's beta: the weight of staying close to the fine-tuned model. The higher, the less the
    preferences change it."""
    dpo_learning_rate: float = Field(default=5e-5, gt=0)
    """Peak learning rate of DPO."""
    dpo_steps: int = Field(default=8, ge=1)
    """Most optimizer steps of DPO."""
    rollout_temperature: float = Field(default=1.0, gt=0)
    """On-policy: temperature at which the model samples the answers that it learns from."""
    rollout_tokens: int = Field(default=64, ge=1)
    """On-policy: most tokens of a sampled answer."""
    teacher: Literal["frozen", "ema"] = "frozen"
    """On-policy: weights of the teacher, which has guidelines in front. `frozen`: the base; `ema`:
    the base with a moving average of the adapters."""
    ema_decay: float = Field(default=0.9, ge=0, lt=1)
    """On-policy: what the moving average keeps of itself at each step, under `teacher = "ema"`."""
    teacher_top_k: int = Field(default=256, ge=1)
    """On-policy: likeliest next tokens of the teacher that are compared one by one; all others
    count as one."""
    replay_share: float = Field(default=1.0, ge=0, le=1)
    """On-policy: share of the harmless inputs, drawn by the seed, for which the teacher has no
    guidelines either, so that everyday behaviour stays."""
    sensitive_first: bool = False
    """On-policy: whether the steps go to the inputs on whose stored answers guidelines move the
    base's distribution most, where there are more inputs than steps take."""
    seed: int = 13
    """Seed of the held-out split, the order of examples, the adapters' initial weights and sampled
    answers."""
