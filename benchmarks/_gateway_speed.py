"""Added latency, requests a second and the first token, against LiteLLM and NeMo Guardrails.

All servers run at once and are asked in turn, round after round, from the same generator, in
front of the same stub: what the machine does besides hits all of them. Figures are medians over
the rounds; percentiles are of all requests of a round, warm-up left out.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._gateway_encoder import EncoderAlone, Queries, encoder_alone
from benchmarks._gateway_library import fill_library, guidelines, questions
from benchmarks._gateway_load import Load, LoadGenerator, Outcome, load_generator
from benchmarks._gateway_servers import Server, direct, gateway
from benchmarks._gateway_stub import MODEL, Stub, running_stub
from benchmarks._library_data import percentile
from guidealign.db import make_engine
from guidealign.serving import create_key
from guidealign.settings import load_settings

CALLERS = 32
_TEXTS = 60_000


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    guidelines: int
    rounds: int
    seconds: float
    """Of each server in each round."""


@dataclass(kw_only=True)
class Bench:
    """Everything that is started once and asked in turn."""

    stub: Stub
    generator: LoadGenerator
    sizes: Sizes
    library: list[tuple[int, str, str]]
    texts: list[str]
    on: Server
    """The gateway, by a key whose requests are guided."""
    off: Server
    """The same gateway, by a key whose requests are not."""
    database_url: str
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    _taken: int = 0

    @property
    def direct(self) -> Server:
        """The stub itself."""
        return direct(self.stub.base_url)

    def ask(self, server: Server, *, stream: bool = False) -> Outcome:
        """One server's share of a round; its outcome is kept under its name."""
        outcome = self.generator.run(
            Load(
                base_url=server.base_url,
                model=MODEL,
                texts=self.texts,
                first=self._taken,
                callers=CALLERS,
                seconds=self.sizes.seconds,
                stream=stream,
                headers=server.headers,
            )
        )
        # No text twice: the gateway remembers vectors of what it was asked lately.
        self._taken += outcome.asked
        self.outcomes.setdefault(server.name, []).append(outcome)
        return outcome

    def questions(self, n: int) -> list[str]:
        """Texts that nobody was asked yet."""
        taken = [self.texts[(self._taken + i) % len(self.texts)] for i in range(n)]
        self._taken += n
        return taken

    def encode(self, encoder: EncoderAlone, *, callers: int, pause_ms: float) -> list[float]:
        """The encoder's own times in a round."""
        asked = Queries(
            texts=self.questions(2_000),
            callers=callers,
            pause_ms=pause_ms,
            seconds=self.sizes.seconds / 2,
        )
        return encoder.run(asked).times_ms

    def note(self, name: str) -> str:
        """How a server's requests ended, and what they cost it."""
        outcomes = self.outcomes[name]
        errors = sum(outcome.errors for outcome in outcomes)
        per_s = statistics.median(outcome.per_s for outcome in outcomes)
        return f"{per_s:.0f} requests/s" + (f", {errors} errors" if errors else "")


@contextmanager
def bench(server_url: str, database_url: str, sizes: Sizes) -> Iterator[Bench]:
    """Stub, generator and gateway over a library, for as long as the block lasts."""
    del server_url
    settings = load_settings()
    fill_library(database_url, sizes.guidelines, settings)
    engine = make_engine(database_url)
    keys = {
        mode: create_key(
            engine=engine, actor="bench", name=mode, scopes=frozenset({"chat"}), mode=mode
        )
        for mode in ("inject", "off")
    }
    library = guidelines(engine)
    with ExitStack() as stack:
        home = Path(stack.enter_context(TemporaryDirectory(prefix="guidealign-bench-")))
        stub = stack.enter_context(running_stub(0))
        generator = stack.enter_context(load_generator())
        server = stack.enter_context(
            gateway(database_url, stub.base_url, home, key=keys["inject"].token)
        )
        yield Bench(
            stub=stub,
            generator=generator,
            sizes=sizes,
            library=library,
            texts=questions([words for _, _, words in library], _TEXTS),
            on=server,
            off=replace(
                server,
                name="guidealign, guidelines off",
                headers={"authorization": f"Bearer {keys['off'].token}"},
            ),
            database_url=database_url,
        )
    engine.dispose()


def median_of_rounds(outcomes: Sequence[Outcome], value: Callable[[Outcome], float]) -> float:
    return statistics.median(value(outcome) for outcome in outcomes)


def added(
    bench: Bench, server: str, share: float, times: Callable[[Outcome], list[float]]
) -> float:
    """Milliseconds that a server adds to the direct call, median over the rounds.

    Args:
        bench: after its rounds.
        server: its name.
        share: of the percentile.
        times: of an outcome.
    """
    pairs = zip(bench.outcomes[server], bench.outcomes["direct"], strict=True)
    return statistics.median(
        percentile(times(through), share) - percentile(times(plain), share)
        for through, plain in pairs
    )
