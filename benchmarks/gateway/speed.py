"""The parts that measure speed: `latency`, `stream`, `throughput`."""

from __future__ import annotations

from benchmarks._harness.gateway_library import encoder_folder
from benchmarks._harness.report import Figure
from benchmarks._harness.servers import litellm
from benchmarks._harness.synthetic_library import percentile
from benchmarks.gateway.encoder import Encoded, encoder_alone
from benchmarks.gateway.nemo import nemo
from benchmarks.gateway.setting import CALLERS, OFF, Bench, Sizes, bench, median

LATENCY_MS = 500.0
"""Of the upstream to the first byte of its answer: a short answer of a fast model."""
MAX_P50_OF_ENCODER = 1.3
MAX_P99_OF_ENCODER = 3.0
MAX_OF_LITELLM = 0.5
MIN_OF_NEMO = 5.0
MAX_FIRST_TOKEN_MS = 5.0
"""Beside the retrieval."""
_MISSING = "not measured: {} cannot be installed here"


def measure_latency(url: str, sizes: Sizes) -> list[Figure]:
    """Added latency with guidelines on and off, beside the encoder's own time and LiteLLM's."""
    alone, loaded = [], []
    with bench(url, sizes) as b, encoder_alone() as encoder, litellm(b.stub.base_url) as peer:
        b.stub.set_latency(LATENCY_MS)
        servers = [b.direct, b.on, b.off, *([peer] if peer else [])]
        for number in range(sizes.rounds):
            # Each comes first once in a while: what follows what is no one's advantage.
            for place in range(len(servers)):
                b.ask(servers[(number + place) % len(servers)])
            alone.append(b.encode(encoder, callers=1, pause_ms=0))
            loaded.append(b.encode(encoder, callers=CALLERS, pause_ms=LATENCY_MS))
        figures = _against_encoder(b, alone, loaded)
        return figures + _against_litellm(b, peer.name if peer else None)


def _against_encoder(b: Bench, alone: list[Encoded], loaded: list[Encoded]) -> list[Figure]:
    """What the gateway adds, in times of what the encoder itself takes."""
    own = median(loaded, lambda encoded: percentile(encoded.times_ms, 0.5))
    n_own = sum(len(encoded.times_ms) for encoded in loaded)
    single = median(alone, lambda encoded: percentile(encoded.times_ms, 0.5))
    p50, p99 = b.added(b.on.name, 0.5), b.added(b.on.name, 0.99)
    n, direct = b.n(b.on.name), b.outcomes["direct"]
    plain = median(direct, lambda outcome: percentile(outcome.times_ms, 0.5))
    tail = median(loaded, lambda encoded: percentile(encoded.times_ms, 0.99))
    return [
        Figure(
            figure=f"latency: the encoder itself, {CALLERS} callers, p50",
            value=own,
            unit="ms",
            n=n_own,
            note=f"nothing else on the machine, callers pause {LATENCY_MS:.0f} ms, queries that"
            f" wait go together; p99 {tail:.2f} ms; one query after another p50 {single:.2f} ms,"
            f" p99 {median(alone, lambda e: percentile(e.times_ms, 0.99)):.2f} ms",
        ),
        Figure(
            figure=f"latency: added by the gateway, guidelines on, {CALLERS} callers, p50",
            value=p50,
            unit="ms",
            n=n,
            target=f"<= {MAX_P50_OF_ENCODER} times the encoder itself",
            met=p50 <= MAX_P50_OF_ENCODER * own,
            note=f"{p50 / own:.2f} times, {p50 / single:.2f} times one query alone; direct"
            f" {plain:.1f} ms; its retrieval p50 {b.retrieval_ms(0.5):.2f} ms; {b.note(b.on.name)}",
        ),
        Figure(
            figure=f"latency: added by the gateway, guidelines on, {CALLERS} callers, p99",
            value=p99,
            unit="ms",
            n=n,
            target=f"<= {MAX_P99_OF_ENCODER:.0f} times the encoder itself",
            met=p99 <= MAX_P99_OF_ENCODER * own,
            note=f"{p99 / own:.2f} times, {p99 / single:.2f} times one query alone; its retrieval"
            f" p99 {b.retrieval_ms(0.99):.2f} ms",
        ),
    ]


def _against_litellm(b: Bench, peer: str | None) -> list[Figure]:
    figures = []
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        ours = b.added(OFF, share)
        theirs = b.added(peer, share) if peer else None
        figures.append(
            Figure(
                figure=f"latency: added by the gateway, guidelines off, {CALLERS} callers, {name}",
                value=ours,
                unit="ms",
                n=b.n(OFF),
                target=f"<= {MAX_OF_LITELLM} times LiteLLM",
                met=None if theirs is None else ours <= MAX_OF_LITELLM * theirs,
                note=_MISSING.format("LiteLLM")
                if theirs is None
                else f"{ours / theirs:.2f} times; {b.note(OFF)}",
            )
        )
        if peer and theirs is not None:
            figures.append(
                Figure(
                    figure=f"latency: added by LiteLLM's proxy, {CALLERS} callers, {name}",
                    value=theirs,
                    unit="ms",
                    n=b.n(peer),
                    note=b.note(peer),
                )
            )
    return figures


def measure_stream(url: str, sizes: Sizes) -> list[Figure]:
    """The first token's added time beside the retrieval's."""
    with bench(url, sizes) as b:
        b.stub.set_latency(LATENCY_MS)
        servers = [b.direct, b.on]
        for number in range(sizes.rounds):
            for place in range(len(servers)):
                b.ask(servers[(number + place) % len(servers)], stream=True)
        first, retrieval = b.added(b.on.name, 0.5, first=True), b.retrieval_ms(0.5)
        whole = b.added(b.on.name, 0.5)
        tail = b.added(b.on.name, 0.99, first=True)
        return [
            Figure(
                figure=f"stream: added to the first token, {CALLERS} callers, p50",
                value=first,
                unit="ms",
                n=b.n(b.on.name),
                target=f"<= the retrieval + {MAX_FIRST_TOKEN_MS:.0f}",
                met=first <= retrieval + MAX_FIRST_TOKEN_MS,
                note=f"retrieval p50 {retrieval:.2f} ms; p99 {tail:.1f} ms; added to the whole"
                f" stream {whole:.1f} ms; {b.note(b.on.name)}",
            )
        ]


def measure_throughput(url: str, sizes: Sizes) -> list[Figure]:
    """Requests a second with guidelines on, beside NeMo Guardrails' retrieval.

    The upstream answers at once, so that nothing but the servers' own work is measured.
    """
    with (
        bench(url, sizes) as b,
        encoder_alone() as encoder,
        nemo(b.stub.base_url, b.library, encoder_folder()) as peer,
    ):
        servers = [b.on, *([peer] if peer else [])]
        if peer:
            # It loads its knowledge base at the first request.
            b.ask_once(peer)
        capacity = []
        for number in range(sizes.rounds):
            for place in range(len(servers)):
                b.ask(servers[(number + place) % len(servers)])
            capacity.append(b.encode(encoder, callers=CALLERS, pause_ms=0))
        most = median(capacity, lambda encoded: encoded.per_s)
        ours = b.per_s(b.on.name)
        theirs = b.per_s(peer.name) if peer else None
        figures = [
            Figure(
                figure=f"throughput: guidelines on, {CALLERS} callers",
                value=ours,
                unit="requests/s",
                n=b.n(b.on.name),
                target=f">= {MIN_OF_NEMO:.0f} times NeMo Guardrails",
                met=None if theirs is None else ours >= MIN_OF_NEMO * theirs,
                note=_MISSING.format("NeMo Guardrails")
                if theirs is None
                else f"{ours / theirs:.1f} times; {b.note(b.on.name)}; the encoder by itself does"
                f" {most:.0f}/s",
            )
        ]
        if peer and theirs is not None:
            figures.append(
                Figure(
                    figure=f"throughput: NeMo Guardrails, knowledge base, {CALLERS} callers",
                    value=theirs,
                    unit="requests/s",
                    n=b.n(peer.name),
                    note=f"the same library and ONNX file (FastEmbed, batching on), exact search,"
                    f" 3 chunks, one model call, log quieted; {b.note(peer.name)}",
                )
            )
        return figures
