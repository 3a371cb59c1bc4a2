"""Makes the packaged prompts visible in MLflow's prompt registry."""

from __future__ import annotations

from guidealign.authoring.prompts.prompt import PROMPTS, load_prompt
from guidealign.registry import Registry

_PREFIX = "guidealign-"


def register_prompts(registry: Registry) -> dict[str, int]:
    """Registers each packaged prompt under its version; what is there already stays.

    The version is the one that every model call, assessment and guideline is stored with.

    Returns:
        MLflow's version number by prompt version.

    Raises:
        ServiceUnavailableError: MLflow does not answer.
    """
    prompts = [load_prompt(name) for name in PROMPTS]
    return {
        prompt.version: registry.register_prompt(
            f"{_PREFIX}{name}", prompt.content, version=prompt.version
        )
        for name, prompt in zip(PROMPTS, prompts, strict=True)
    }
