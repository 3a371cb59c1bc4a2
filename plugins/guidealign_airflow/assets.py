"""The assets that chain the stages: each one's event wakes the next stage."""

from airflow.sdk import Asset

INPUTS = Asset("guidealign_inputs", uri="guidealign://inputs")
CANDIDATES = Asset("guidealign_candidates", uri="guidealign://candidates")
LIBRARY = Asset("guidealign_library", uri="guidealign://library")
RETRIEVER = Asset("guidealign_retriever", uri="guidealign://retriever")
ALIGNED_DATASET = Asset("guidealign_aligned_dataset", uri="guidealign://aligned_dataset")
LABRADOR = Asset("guidealign_labrador", uri="guidealign://labrador")
