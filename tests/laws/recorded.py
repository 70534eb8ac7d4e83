"""What was ever published in a place."""

from tests.through_s3 import Place


def revisions(place: Place) -> list[tuple[str, int]]:
    """Return all that was ever published: VPP and revision."""
    keys = [version.key.split("/") for version in place.store.versions("reports/")]
    return [(key[2], int(key[3][1:-5])) for key in keys if len(key) == 4 and "diff" not in key[3]]
