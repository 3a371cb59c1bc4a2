"""Augmentation: a model writes new inputs for the categories that have too few."""

from guidealign.authoring.augmentation.augment import (
    AugmentResult,
    augment_inputs,
    plan_augmentation,
)

__all__ = ["AugmentResult", "augment_inputs", "plan_augmentation"]
