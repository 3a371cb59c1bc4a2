"""Trains the retriever from `mlflow run mlflow_projects/retriever`: the function the DAG calls."""

from guidealign.cli.projects import run_project
from guidealign.retriever import train_challenger

if __name__ == "__main__":
    raise SystemExit(
        run_project(
            "retriever",
            train_challenger,
            data="library_version",
            parameters=("epochs", "learning_rate"),
        )
    )
