"""Which models are asked in turn, each with all that it needs."""

from __future__ import annotations

from guidealign.errors import ConfigurationError
from guidealign.settings import BudgetSettings, EndpointSettings

_NO_KEY = EndpointSettings().api_key


def in_order(endpoint: EndpointSettings, budget: BudgetSettings | None) -> list[EndpointSettings]:
    """The endpoint and its fallbacks, each as an endpoint of its own.

    Raises:
        ConfigurationError: the budget is in dollars, and one of them has no prices.
    """
    lanes = [endpoint]
    for other in endpoint.fallbacks:
        own_server = other.base_url is not None
        key = other.api_key or (_NO_KEY if own_server else endpoint.api_key)
        same_model = other.model is None and not own_server
        changes = {
            "base_url": other.base_url or endpoint.base_url,
            "model": other.model or endpoint.model,
            "api_key": key,
            "prices": other.prices or (endpoint.prices if same_model else None),
        }
        lanes.append(endpoint.model_copy(update=changes))
    if budget is not None and budget.max_cost_usd is not None:
        unpriced = [one.model for one in lanes if one.prices is None]
        if unpriced:
            raise ConfigurationError(
                f"a budget in dollars needs prices, and model {unpriced[0]} has none: set `prices`"
                " on its endpoint or fallback"
            )
    return lanes
