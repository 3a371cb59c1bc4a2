"""Gate policies, what a check found, and the decision made of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from guidealign.errors import ConfigurationError
from guidealign.records import CaseKind, Verdict

CheckOutcome = Literal["pass", "fail", "inconclusive"]


class CheckPolicy(BaseModel):
    """One comparison of challenger and champion on cases of one kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: CaseKind
    must: Literal["be_better", "not_be_worse"]
    effect: float = Field(gt=0)
    """`be_better`: the smallest gain worth seeing; `not_be_worse`: the loss still allowed."""
    level: float = Field(default=0.05, gt=0, lt=1)
    min_power: float = Field(default=0.8, gt=0, lt=1)
    min_cases: int = Field(ge=2)
    max_unscored_share: float = Field(default=0.05, ge=0, lt=1)
    category_margin: float | None = Field(default=None, gt=0)
    """A risk category whose interval lies wholly below minus this fails the check."""
    category_min_cases: int = Field(default=5, ge=2)


class GatePolicy(BaseModel):
    """What a challenger must show before it is promoted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    metric: str
    unit: str
    about: str
    checks: list[CheckPolicy] = Field(min_length=1)


def load_policy(model_name: str, folder: Path | None = None) -> GatePolicy:
    """Reads the policy of a registered model.

    Raises:
        ConfigurationError: the file is missing or says something unknown.
    """
    file = (folder or Path(__file__).parent / "policies") / f"{model_name}.yaml"
    try:
        return GatePolicy.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"gate policy {file} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"gate policy {file} is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"gate policy {file}: {place}: {first['msg']}") from error


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """What one check found. Means, difference and interval are in the policy's unit."""

    name: str
    kind: str
    must: str
    outcome: CheckOutcome
    reason: str
    effect: float
    level: float
    n: int = 0
    n_clusters: int = 0
    n_planned: int = 0
    n_unscored: int = 0
    champion_mean: float | None = None
    challenger_mean: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    power: float | None = None
    worse_categories: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For the database and the report."""
        return asdict(self) | {"worse_categories": list(self.worse_categories)}


@dataclass(frozen=True, kw_only=True)
class GateDecision:
    """A verdict with everything it was made from."""

    decision_id: int
    model_name: str
    challenger_version: int
    champion_version: int
    verdict: Verdict
    reason: str
    evidence: tuple[CheckResult, ...]
    unit: str

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler's metadata."""
        return asdict(self) | {"evidence": [check.as_dict() for check in self.evidence]}
