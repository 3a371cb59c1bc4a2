"""Trains Labrador from `mlflow run mlflow_projects/labrador`: the function the DAG calls."""

from guidealign.cli.projects import run_project
from guidealign.labrador import train_labrador

if __name__ == "__main__":
    raise SystemExit(
        run_project(
            "labrador",
            train_labrador,
            data="dataset_id",
            parameters=("max_steps", "learning_rate"),
        )
    )
