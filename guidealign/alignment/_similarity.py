"""Edit-distance similarity of short texts, cheap enough for the candidates of every request."""

from __future__ import annotations


def edit_distance(a: str, b: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions from `a` to `b`.

    Bit-parallel (Myers 1999, in Hyyrö's form): a column of the distance matrix is two
    integers, so that a pair of 200 characters costs about 200 steps instead of 40,000.
    """
    if not a:
        return len(b)
    places: dict[str, int] = {}
    for index, character in enumerate(a):
        places[character] = places.get(character, 0) | 1 << index
    full, last = (1 << len(a)) - 1, 1 << (len(a) - 1)
    plus, minus, distance = full, 0, len(a)
    for character in b:
        match = places.get(character, 0)
        diagonal = (((match & plus) + plus) ^ plus) | match | minus
        up = minus | ~(diagonal | plus)
        down = plus & diagonal
        distance += 1 if up & last else -1 if down & last else 0
        up = (up << 1) | 1
        plus = ((down << 1) | ~(diagonal | up)) & full
        minus = up & diagonal & full
    return distance


def similarity(a: str, b: str) -> float:
    """1 for equal texts, 0 for texts with nothing in place; case and white space folded."""
    a, b = _fold(a), _fold(b)
    longest = max(len(a), len(b))
    return 1.0 if longest == 0 else 1.0 - edit_distance(a, b) / longest


def is_near(a: str, b: str, threshold: float) -> bool:
    """Whether the similarity reaches the threshold; lengths alone settle most pairs."""
    shorter, longer = sorted((len(_fold(a)), len(_fold(b))))
    if longer and shorter / longer < threshold:
        return False
    return similarity(a, b) >= threshold


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())
