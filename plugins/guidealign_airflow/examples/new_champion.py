"""An example: something of yours that follows each new champion."""

from __future__ import annotations

from airflow.sdk import dag, task

from guidealign_airflow.sensors import RegistryAliasSensor


@task
def tell(version: int) -> str:
    """What a deployment of yours would do with it."""
    return f"Labrador {version} is champion"


@dag(schedule=None, catchup=False, tags=["guidealign", "example"])
def guidealign_example_new_champion() -> None:
    """Waits for the first champion of Labrador, then tells of it."""
    champion = RegistryAliasSensor(
        task_id="new_champion", model_name="guidealign-labrador", poll_s=1, timeout=600
    )
    tell(champion.output)


guidealign_example_new_champion()
