"""What Airflow finds in its plugins folder.

Where guidealign is installed as a package, its entry point has Airflow load the plugin; a second
one of the same name would be an import error in Airflow's list.
"""

from importlib.metadata import entry_points

if not entry_points(group="airflow.plugins", name="guidealign"):
    from guidealign_airflow.plugin import GuidealignPlugin

    __all__ = ["GuidealignPlugin"]
