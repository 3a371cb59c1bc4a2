"""What Airflow finds in its plugins folder."""

from guidealign_airflow.plugin import GuidealignPlugin

__all__ = ["GuidealignPlugin"]
