"""Sections of the gateway."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr

from guidealign.settings._fields import Section


class UpstreamSettings(Section):
    """An OpenAI-compatible endpoint behind the gateway, and the models it is asked for."""

    name: str = ""
    """For headers, logs and metrics; empty: host and port."""
    models: list[str] = Field(default_factory=lambda: ["*"])
    """Names, `*` and `?` allowed. Of several upstreams that fit, the first is asked first."""
    base_url: str
    """With `/v1`."""
    api_key: SecretStr | None = None
    """None: the caller's own Authorization goes on; only where the gateway asks for no keys."""
    model: str | None = None
    """Asked for in place of the caller's name of the model; None: that name as it is."""
    prompt_format: Literal["auto", "system", "separate", "user"] = "auto"
    """Where guidelines go; auto: by the model's family."""
    context_tokens: int | None = Field(default=None, ge=256)
    """What the model can read; guidelines that would not fit are left out."""
    connect_timeout_s: float = Field(default=5.0, gt=0)
    timeout_s: float = Field(default=300.0, gt=0)
    """To the answer's first byte, and from each part of a stream to the next."""


class ServeSettings(Section):
    """The gateway."""

    host: str = "127.0.0.1"
    port: int = Field(default=8093, ge=1, le=65535)
    workers: int = Field(default=1, ge=1, le=64)
    """Processes; each holds an encoder and a library."""
    require_keys: bool = True
    """False: no keys, on a loopback address only."""
    upstreams: list[UpstreamSettings] = Field(default_factory=list)
    """None: the endpoints `base`, `safety` and `labrador_server`, by the names of their models."""
    guideline_tokens: int = Field(default=800, ge=1)
    """Most that the guidelines of a request may take, by estimate (see docs/gateway.md)."""
    exact_up_to: int = Field(default=20_000, ge=0)
    """Guidelines that are held in memory and all compared; more are searched in Postgres."""
    topic_cosine: float = Field(default=0.3, ge=-1, le=1)
    """Similarity of two turns of the user from which the earlier one counts as context."""
    context_weight: float = Field(default=0.5, ge=0, le=1)
    """Of the earlier turn's vector beside the last one's."""
    poll_s: float = Field(default=1.0, gt=0)
    """How often the live release is looked up."""
    retrieval_timeout_s: float = Field(default=5.0, gt=0)
    max_waiting: int = Field(default=512, ge=1)
    """Requests that may wait for the encoder; more count as a broken retriever."""
    max_body_bytes: int = Field(default=20 * 2**20, ge=1024)
    max_answer_bytes: int = Field(default=64 * 2**20, ge=1024)
    """Of an answer that is not streamed."""
    client_timeout_s: float = Field(default=60.0, gt=0)
    """For a caller to send the head of its request, then its body, and to take each part of the
    answer."""
    log_requests: Literal["off", "failed", "all"] = "failed"
    """Which requests get a line in the log (ids and figures): failed are those of 500 and more."""
    trace_text: bool = False
    """What users say goes, masked, into spans and sampled traces."""
    mlflow_trace_share: float = Field(default=0.0, ge=0, le=1)
    """Of the requests, that are traced in MLflow."""


class KeysSettings(Section):
    """The gateway's API keys, as its server processes know them."""

    refresh_s: float = Field(default=0.5, gt=0, le=60)
    """How often changes are asked for: a revocation takes effect within it."""
    outage_s: float = Field(default=900.0, ge=0)
    """How long the keys that are known go on working while the database is away."""


class InboxSettings(Section):
    """What the gateway writes down of its requests, and how much of it may wait in memory."""

    queue_records: int = Field(default=20_000, ge=1)
    queue_mb: int = Field(default=64, ge=1)
    """Of texts; what comes while either is full is dropped, and counted."""
    batch_records: int = Field(default=1_000, ge=1)
    flush_s: float = Field(default=0.5, gt=0)
    """How long a record waits for others to be stored with it."""
    drain_s: float = Field(default=10.0, ge=0)
    """How long a process that ends tries to store what it still holds."""
    max_chars: int = Field(default=8_000, ge=1)
    """Of an input; longer ones are dropped, and counted."""
    retention_days: float = Field(default=30.0, ge=0)
    """After which an input that ingest has read is deleted from the inbox."""
