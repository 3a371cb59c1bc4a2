"""The guideline library: curated, versioned, never rewritten."""

from guidealign.library._embed import embed_texts, encoder_folder
from guidealign.library.fuzzy import FuzzyDuplicates, deduplicate_texts, wording
from guidealign.library.index import build_index, drop_embeddings
from guidealign.library.inspect import (
    CategoryCounts,
    Change,
    GuidelineDetails,
    HistoryStep,
    LibraryStats,
    NearGuideline,
    VersionRow,
    embedded_versions,
    guideline_history,
    library_diff,
    library_stats,
    library_versions,
    require_version,
    show_guideline,
)
from guidealign.library.model import (
    CURATION_VERSION,
    GuidelineRow,
    IndexResult,
    PairRow,
    PublishResult,
)
from guidealign.library.publish import latest_version, publish
from guidealign.library.review import approve, dismiss_conflict, merge, retire, unmerge
from guidealign.library.search import (
    SearchOptions,
    search_hybrid,
    search_vector,
    search_vectors,
    search_words,
    similar_guidelines,
)
from guidealign.library.starter import install_starter, read_starter
from guidealign.library.store import guidelines_at, pairs_at
from guidealign.library.transfer import (
    ExportResult,
    ImportResult,
    export_library,
    import_library,
)
from guidealign.library.vector_store import add_vectors

__all__ = [
    "CURATION_VERSION",
    "CategoryCounts",
    "Change",
    "ExportResult",
    "FuzzyDuplicates",
    "GuidelineDetails",
    "GuidelineRow",
    "HistoryStep",
    "ImportResult",
    "IndexResult",
    "LibraryStats",
    "NearGuideline",
    "PairRow",
    "PublishResult",
    "SearchOptions",
    "VersionRow",
    "add_vectors",
    "approve",
    "build_index",
    "deduplicate_texts",
    "dismiss_conflict",
    "drop_embeddings",
    "embed_texts",
    "embedded_versions",
    "encoder_folder",
    "export_library",
    "guideline_history",
    "guidelines_at",
    "import_library",
    "install_starter",
    "latest_version",
    "library_diff",
    "library_stats",
    "library_versions",
    "merge",
    "pairs_at",
    "publish",
    "read_starter",
    "require_version",
    "retire",
    "search_hybrid",
    "search_vector",
    "search_vectors",
    "search_words",
    "show_guideline",
    "similar_guidelines",
    "unmerge",
    "wording",
]
