"""The library as a file: export, import, restore."""

from guidealign.library.transfer.export import export_library
from guidealign.library.transfer.load import import_library
from guidealign.library.transfer.model import ExportResult, ImportResult

__all__ = ["ExportResult", "ImportResult", "export_library", "import_library"]
