"""Lineage in OpenLineage's types; imported only where OpenLineage asks."""

from __future__ import annotations

from typing import Any

import attr
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    DatasetFacet,
    OutputDatasetFacet,
    RunFacet,
    dataset_version_dataset,
    output_statistics_output_dataset,
)

from guidealign_airflow.lineage import DataSet, Lineage


@attr.define
class FiguresRunFacet(RunFacet):
    """What a stage returned: ids, counts, the verdict and its reason."""

    figures: dict[str, Any]


def as_openlineage(lineage: Lineage) -> OperatorLineage:
    """For the events of a task."""
    figures = FiguresRunFacet(figures=dict(lineage.figures))
    return OperatorLineage(
        inputs=[
            InputDataset(namespace=d.namespace, name=d.name, facets=_version(d))
            for d in lineage.reads
        ],
        outputs=[
            OutputDataset(
                namespace=d.namespace, name=d.name, facets=_version(d), outputFacets=_rows(d)
            )
            for d in lineage.writes
        ],
        run_facets={"guidealign_figures": figures} if lineage.figures else {},
    )


def _version(found: DataSet) -> dict[str, DatasetFacet]:
    if found.version is None:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(found.version)}


def _rows(found: DataSet) -> dict[str, OutputDatasetFacet]:
    if found.n is None:
        return {}
    written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=found.n)
    return {"outputStatistics": written}
