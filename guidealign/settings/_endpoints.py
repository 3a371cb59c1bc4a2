"""Settings of the model endpoints: where, how hard to press them, and what they may cost."""

from __future__ import annotations

from pydantic import Field, SecretStr

from guidealign.settings._fields import Section


class PriceSettings(Section):
    """What an endpoint charges, in US dollars per million tokens."""

    input_usd: float = Field(ge=0, allow_inf_nan=False)
    output_usd: float = Field(ge=0, allow_inf_nan=False)
    cached_input_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Of prompt tokens that the server took from its prefix cache; None: as other input."""


class FallbackSettings(Section):
    """A model to ask when those before it do not answer; what is not set is the endpoint's.

    With a `base_url` of its own it has a key of its own too: the endpoint's key goes to the
    endpoint alone. Another model or server has other prices.
    """

    model: str | None = None
    base_url: str | None = None
    api_key: SecretStr | None = None
    prices: PriceSettings | None = None


class BudgetSettings(Section):
    """What a client may spend; None: no limit."""

    max_requests: int | None = Field(default=None, ge=0)
    """Requests sent, repeated ones included."""
    max_tokens: int | None = Field(default=None, ge=0)
    """Prompt and completion together."""
    max_cost_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Needs the endpoint's prices."""


class EndpointSettings(Section):
    """An OpenAI-compatible endpoint and how hard to press it."""

    base_url: str | None = None
    """With `/v1`; None: the embedded platform starts a server and fills it in."""
    api_key: SecretStr = SecretStr("none")
    model: str = "model"
    concurrency: int = Field(default=2, ge=1, le=1000)
    """Most requests under way at a time; fewer while the server refuses or stalls."""
    timeout_s: float = Field(default=300.0, gt=0)
    """Of one request, from sending to the end of the answer."""
    connect_timeout_s: float = Field(default=10.0, gt=0)
    max_retries: int = Field(default=4, ge=0, le=20)
    hedge_after_s: float | None = Field(default=None, gt=0)
    """A request unanswered for so long is sent once more and the first answer is taken; both
    may be billed. None: never. Where some requests stall it pays (docs/adr/0020)."""
    breaker_failures: int = Field(default=10, ge=1)
    """Failures in a row after which the endpoint is left alone for a while."""
    prices: PriceSettings | None = None
    """None: costs are not counted."""
    fallbacks: list[FallbackSettings] = Field(default_factory=list)
    """Asked in this order when the models before do not answer or answer nothing usable."""
