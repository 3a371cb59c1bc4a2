"""Results that other tools have measured, before the same gates."""

from guidealign.gates.outside.compare import OutsideDecision, Question, compare_files
from guidealign.gates.outside.page import outside_page
from guidealign.gates.outside.readings import read_results

__all__ = ["OutsideDecision", "Question", "compare_files", "outside_page", "read_results"]
