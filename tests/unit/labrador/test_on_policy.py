"""On-policy self-distillation of a tiny model whose answers guidelines change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from guidealign.errors import BadInputError, IntegrityError
from guidealign.labrador.lessons import (
    HeldOutAnswers,
    HeldOutJudge,
    Lessons,
    judging,
    seeded,
    tokenize_lessons,
)
from guidealign.labrador.loop import add_adapters
from guidealign.labrador.on_policy import _Distilling, fit_on_policy
from guidealign.labrador.rollouts import sample_answers
from guidealign.platform import load_files
from guidealign.settings import LabradorSettings
from guidealign.training import ALONE, Checkpoint
from tests.fakes.tiny_guided import EXAMPLES
from tests.fakes.two_processes import in_two_processes

pytestmark = pytest.mark.slow

SETTINGS = LabradorSettings(
    objective="on_policy", rank=4, learning_rate=3e-3, max_steps=16, batch_size=4, max_length=128,
    precision="float32", held_out_share=0.2, check_every=4, rollout_tokens=12,
)  # fmt: skip


@pytest.fixture
def guided(guided_folder: Path) -> tuple[Any, Any]:
    return load_files(guided_folder)


def _lessons(tokenizer: Any, **changes: Any) -> tuple[Lessons, LabradorSettings]:
    settings = SETTINGS.model_copy(update=changes)
    return tokenize_lessons(EXAMPLES, tokenizer, settings), settings


def _moved(model: Any) -> None:
    """Gives the adapters an effect, as behind some steps."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.05)


@pytest.mark.parametrize(
    "special", [{}, {"teacher": "ema"}, {"precision": "bfloat16", "teacher_top_k": 8}]
)
def test_the_student_comes_to_answer_as_if_guidelines_were_there(
    guided: tuple[Any, Any], special: dict[str, Any]
) -> None:
    model, tokenizer = guided
    lessons, settings = _lessons(tokenizer, **special)
    before = {name: weights.clone() for name, weights in model.named_parameters()}
    asked = [lesson.asked for lesson in lessons.lessons]
    shape: dict[str, Any] = {"temperature": 0.1, "max_tokens": 12, "end_tokens": lessons.end_tokens}

    def said(model: Any) -> set[str]:
        return {tokenizer.decode(a) for a in sample_answers(model, asked, range(12), **shape)}

    assert said(model) == {"Yes.<|im_end|>"}
    steps: dict[int, dict[str, float]] = {}
    made = fit_on_policy(
        add_adapters(model, settings),
        lessons,
        settings,
        lambda figures, step: steps.setdefault(step, {}).update(figures),
    )
    assert said(made.model) == {"No, ask.<|im_end|>"}
    assert sorted(steps) == list(range(1, 17))
    assert made.metrics["probe_loss_after"] < 0.3 * made.metrics["probe_loss_before"]
    assert made.metrics["held_out_loss"] < 0.5 * steps[4]["held_out_loss"]
    assert (made.metrics["n_replay"], made.metrics["n_held_out"]) == (3, 1)
    # The base is as it was, and alone the adapters took a gradient.
    for name, weights in made.model.named_parameters():
        plain = name.removeprefix("base_model.model.").replace(".base_layer", "")
        assert weights.requires_grad == ("lora" in name)
        assert "lora" in name or torch.equal(weights, before[plain])


def test_the_teacher_is_the_base_with_guidelines_whatever_the_adapters_are(
    guided: tuple[Any, Any], guided_folder: Path
) -> None:
    base, _ = load_files(guided_folder)
    lessons, settings = _lessons(guided[1], teacher_top_k=10_000)
    model = add_adapters(guided[0], settings)
    _moved(model)
    distilling = _Distilling(model, lessons, settings, ALONE)
    lesson = lessons.lessons[1]
    with distilling._as_teacher(frozen=False):
        target = distilling._target([lesson])
    with torch.inference_mode():
        tokens = torch.tensor([[*lesson.guided, *lesson.answer]])
        logits = base(input_ids=tokens).logits[0, len(lesson.guided) - 1 : -1]
    expected = logits.log_softmax(1).gather(1, target.tokens)
    assert torch.allclose(target.log_likelihoods, expected, atol=1e-5)
    assert "Keep to these:" in guided[1].decode(lesson.guided)
    assert "Keep to these:" not in guided[1].decode(lesson.asked)
    # Behind the block the adapters are back, and learn.
    assert all(w.requires_grad for n, w in model.named_parameters() if "lora" in n)


def test_what_is_replayed_differs_in_nothing_until_the_adapters_do(
    guided: tuple[Any, Any],
) -> None:
    lessons, settings = _lessons(guided[1])
    model = add_adapters(guided[0], settings)
    distilling = _Distilling(model, lessons, settings, ALONE)
    replay = [lesson for lesson in lessons.lessons if lesson.is_replay]
    assert [lesson.input_id for lesson in replay] == [0, 4, 8]
    assert distilling.mean(replay) == pytest.approx(0, abs=1e-6)
    assert distilling.mean([x for x in lessons.lessons if not x.is_replay]) > 0.1
    _moved(model)
    assert distilling.mean(replay) > 1e-4


def test_a_batch_in_parts_gives_the_gradient_of_the_whole(guided: tuple[Any, Any]) -> None:
    lessons, settings = _lessons(guided[1])
    model = add_adapters(guided[0], settings)
    _moved(model)
    found = []
    for budget in (10_000, 1):
        model.zero_grad()
        wanted = settings.model_copy(update={"pass_tokens": budget})
        distilling = _Distilling(model, lessons, wanted, ALONE)
        figures = distilling.add_gradient(seeded(lessons.lessons, wanted, "step 1"))
        found.append((figures["loss"], [p.grad for p in model.parameters() if p.requires_grad]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_a_moving_teacher_follows_the_adapters_and_leaves_them(guided: tuple[Any, Any]) -> None:
    lessons, settings = _lessons(guided[1], teacher="ema", ema_decay=0.75)
    model = add_adapters(guided[0], settings)
    distilling = _Distilling(model, lessons, settings, ALONE)
    name = next(n for n in distilling.averages if "lora_B" in n)
    weights = dict(model.named_parameters())[name]
    _moved(model)
    now = weights.detach().clone()
    distilling.add_gradient(lessons.lessons[:2])
    assert torch.allclose(distilling.averages[name], 0.25 * now)
    assert torch.equal(weights, now)
    with distilling._as_teacher(frozen=False):
        assert torch.allclose(weights, 0.25 * now)
    assert torch.equal(weights, now)


def test_a_moving_teacher_comes_back_with_the_checkpoint(
    guided_folder: Path, tmp_path: Path
) -> None:
    def learn(folder: Path, dies_at: int | None) -> dict[str, float]:
        model, tokenizer = load_files(guided_folder)
        lessons, settings = _lessons(tokenizer, teacher="ema", max_steps=8, check_every=2)

        def log_step(_: dict[str, float], step: int) -> None:
            if step == dies_at:
                raise KeyboardInterrupt

        adapted = add_adapters(model, settings)
        checkpoint = Checkpoint(folder)
        return fit_on_policy(adapted, lessons, settings, log_step, checkpoint=checkpoint).metrics

    whole = learn(tmp_path / "one", None)
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "two", 5)
    again = learn(tmp_path / "two", None)
    for name in ("loss_last", "held_out_loss", "probe_loss_after", "steps"):
        assert again[name] == pytest.approx(whole[name], rel=1e-4)


def test_a_judge_decides_which_weights_are_the_best(guided: tuple[Any, Any]) -> None:
    model, tokenizer = guided
    lessons, settings = _lessons(tokenizer)
    asked: list[Sequence[HeldOutAnswers]] = []

    def judge(answers: Sequence[HeldOutAnswers]) -> float:
        asked.append(answers)
        return [0.1, 0.5, 0.2, 0.3][len(asked) - 1]

    told = judging(HeldOutJudge(fingerprint="f", judge=judge), EXAMPLES, tokenizer)
    adapted = add_adapters(model, settings)
    made = fit_on_policy(adapted, replace(lessons, judge=told), settings, lambda *_: None)
    assert (made.metrics["held_out_judged"], made.metrics["best_step"]) == (0.5, 8)
    (first,) = asked[0]
    assert first.prompt in {example.prompt for example in EXAMPLES}
    assert first.plain == "Yes."
    assert asked[-1][0].learned == "No, ask."
    unheld = settings.model_copy(update={"held_out_share": 0.0})
    with pytest.raises(BadInputError, match="raise LABRADOR__HELD_OUT_SHARE"):
        fit_on_policy(adapted, replace(lessons, judge=told), unheld, lambda *_: None)


def test_inputs_that_guidelines_move_come_first_and_replay_keeps_its_share(
    guided: tuple[Any, Any],
) -> None:
    lessons, settings = _lessons(guided[1], max_steps=2)
    distilling = _Distilling(add_adapters(guided[0], settings), lessons, settings, ALONE)
    chosen = distilling.most_moved(lessons.lessons)  # 8 of 12
    assert sum(lesson.is_replay for lesson in chosen) == 2
    scores = {x.input_id: distilling.mean([x]) for x in lessons.lessons if not x.is_replay}
    best = sorted(scores, key=lambda number: -scores[number])[:6]
    assert [lesson.input_id for lesson in chosen[2:]] == best
    many = settings.model_copy(update={"max_steps": 3})
    assert len(_Distilling(guided[0], lessons, many, ALONE).most_moved(lessons.lessons)) == 12


def test_a_diverging_training_is_refused(guided: tuple[Any, Any]) -> None:
    lessons, settings = _lessons(guided[1], learning_rate=1e30)
    with pytest.raises(IntegrityError, match="not finite"):
        fit_on_policy(add_adapters(guided[0], settings), lessons, settings, lambda *_: None)


@pytest.mark.parametrize(
    ("change", "settings", "why"),
    [
        ({"guidelines": ()}, {}, "needs inputs with guidelines"),
        ({"known_safe": True}, {}, "lower LABRADOR__REPLAY_SHARE"),
        ({"policy": None}, {}, "older than guidance policies"),
        ({}, {"max_length": 16}, "none of 12 inputs leaves 12 tokens"),
    ],
)
def test_data_that_teaches_nothing_is_refused(
    tiny: tuple[Any, Any], change: dict[str, Any], settings: dict[str, Any], why: str
) -> None:
    examples = [replace(example, **change) for example in EXAMPLES]
    with pytest.raises(BadInputError, match=why):
        tokenize_lessons(examples, tiny[1], SETTINGS.model_copy(update=settings))


def test_harmless_inputs_are_replayed_in_their_share_and_long_ones_left_out(
    tiny: tuple[Any, Any],
) -> None:
    lessons, _ = _lessons(tiny[1], replay_share=0.0)
    assert not any(lesson.is_replay for lesson in lessons.lessons)
    long = replace(EXAMPLES[1], prompt="Why? " * 40)
    kept = tokenize_lessons([*EXAMPLES, long], tiny[1], SETTINGS)
    assert (len(kept.lessons), kept.n_dropped) == (12, 1)
    assert len(kept.rows().rows) == 12
    assert {row.n_learned for row in kept.longest(SETTINGS)} == {12}


_SCRIPT = """
import json, sys, torch
from pathlib import Path
from guidealign.platform import load_files
from guidealign.labrador.lessons import tokenize_lessons
from guidealign.labrador.loop import add_adapters
from guidealign.labrador.on_policy import fit_on_policy
from guidealign.settings import LabradorSettings
from guidealign.training import together
from tests.fakes.tiny_guided import EXAMPLES
folder, base = Path(sys.argv[1]), Path(sys.argv[2])
settings = LabradorSettings(**json.loads(sys.argv[3]))
torch.set_num_threads(1)
with together() as processes:
    model, tokenizer = load_files(base)
    lessons = tokenize_lessons(EXAMPLES, tokenizer, settings)
    adapted = add_adapters(model, settings)
    done = fit_on_policy(adapted, lessons, settings, lambda *_: None, processes=processes)
weights = {n: p.detach() for n, p in done.model.named_parameters() if p.requires_grad}
torch.save({"weights": weights, "metrics": done.metrics}, folder / f"{processes.rank}.pt")
"""


def test_two_processes_learn_what_one_does(guided_folder: Path, tmp_path: Path) -> None:
    # Of the last batch, which is one input, one process has none.
    settings = SETTINGS.model_copy(update={"max_steps": 4, "batch_size": 3})
    told = json.dumps(settings.model_dump(mode="json"))
    first, second = in_two_processes(_SCRIPT, tmp_path, str(guided_folder), told)
    model, tokenizer = load_files(guided_folder)
    lessons = tokenize_lessons(EXAMPLES, tokenizer, settings)
    alone = fit_on_policy(add_adapters(model, settings), lessons, settings, lambda *_: None)
    expected = {n: p.detach() for n, p in alone.model.named_parameters() if p.requires_grad}
    for name, value in expected.items():
        assert torch.equal(first["weights"][name], second["weights"][name])
        assert torch.allclose(first["weights"][name], value, atol=1e-3), name
    for figure in ("loss_first", "loss_last", "held_out_loss", "probe_loss_after"):
        assert first["metrics"][figure] == pytest.approx(alone.metrics[figure], abs=1e-2)
