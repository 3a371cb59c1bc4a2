"""What was registered here: digests of versions, where users of the registry cannot write."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from guidealign.db.engine import guard_database
from guidealign.errors import IntegrityError

_ADD = text(
    "insert into core.model_versions (model_name, version, manifest_sha256)"
    " values (:model_name, :version, :digest) on conflict (model_name, version) do nothing"
)
_DIGEST = text(
    "select manifest_sha256 from core.model_versions"
    " where model_name = :model_name and version = :version"
)


@dataclass(frozen=True)
class PinnedVersions:
    """The digests of one installation's model versions, each written once."""

    engine: Engine

    def digest(self, model_name: str, version: int) -> str | None:
        """SHA-256 (hex) of a version's manifest; None: it was not registered here.

        Raises:
            ServiceUnavailableError: the database does not answer.
        """
        values = {"model_name": model_name, "version": version}
        with guard_database(), self.engine.connect() as connection:
            return connection.execute(_DIGEST, values).scalar_one_or_none()

    def pin(self, model_name: str, version: int, digest: str) -> None:
        """Writes down what was registered.

        Raises:
            IntegrityError: the version was registered before, with other files.
            ServiceUnavailableError: the database does not answer.
        """
        values = {"model_name": model_name, "version": version, "digest": digest}
        with guard_database(), self.engine.begin() as connection:
            connection.execute(_ADD, values)
        if self.digest(model_name, version) != digest:
            raise IntegrityError(
                f"{model_name} version {version} was registered before with other files: MLflow"
                " has lost its records, restore its database"
            )
