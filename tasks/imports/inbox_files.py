"""Inbox objects of all kinds: which are imported together, and by which reader."""

import polars as pl

from tasks.imports.catalog import EVENTS, KINDS, METER, kind_of
from tasks.imports.event_files import import_event_files
from tasks.imports.limits import NotTogether
from tasks.imports.meter_files import import_meter_files
from tasks.imports.price_files import import_price_files
from tasks.io.object_store import ObjectStore, ObjectVersion

_GROUP_OBJECTS = 1000
# Up to which size an object is small, and how much is imported together: of events, and of other
# kinds. The blocks of several event files follow each other without a pause, which is a quarter of
# the time of 30 files of a day; meter files cost more together.
_EVENT_BYTES = 32 << 20, 64 << 20
_OTHER_BYTES = 4 << 20, 32 << 20


def group_objects(objects: list[ObjectVersion]) -> list[list[ObjectVersion]]:
    """Split objects into imports of one kind each: a big one alone, small ones together.

    In key order.
    """
    return [
        group
        for kind in KINDS
        for group in _groups(
            [version for version in objects if kind_of(version.key) is kind],
            *(_EVENT_BYTES if kind is EVENTS else _OTHER_BYTES),
        )
    ]


def _groups(
    objects: list[ObjectVersion], small_bytes: int, group_bytes: int
) -> list[list[ObjectVersion]]:
    groups = [[version] for version in objects if version.size > small_bytes]
    group: list[ObjectVersion] = []
    size = 0
    for version in objects:
        if version.size > small_bytes:
            continue
        if len(group) == _GROUP_OBJECTS or size + version.size > group_bytes:
            groups.append(group)
            group, size = [], 0
        group.append(version)
        size += version.size
    return groups + [group] * bool(group)


def import_objects(store: ObjectStore, timezone: str, objects: list[ObjectVersion]) -> pl.DataFrame:
    """Read a group of inbox objects of one kind and put what is in them under `imports/<id>/`.

    The import does not exist until its rows are added to the catalog. Doing it twice, or on two
    machines at once, writes the same things to the same keys. Where a file fails that nobody has
    foreseen, the group is read again one by one, so that it takes no other file with it.

    Returns:
        Its rows of the catalog.
    """
    try:
        return _import_group(store, timezone, objects)
    except NotTogether:
        return pl.concat([_import_group(store, timezone, [version]) for version in objects])


def _import_group(store: ObjectStore, timezone: str, objects: list[ObjectVersion]) -> pl.DataFrame:
    [kind] = {kind_of(version.key) for version in objects}
    if kind is EVENTS:
        return import_event_files(store, timezone, objects)
    if kind is METER:
        return import_meter_files(store, objects)
    return import_price_files(store, objects)
