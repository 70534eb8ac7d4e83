"""Inbox objects of all kinds: which are imported together, and by which reader."""

import polars as pl

from tasks.imports.catalog import EVENTS, KINDS, METER, kind_of
from tasks.imports.event_files import import_event_files
from tasks.imports.limits import NotTogether
from tasks.imports.meter_files import import_meter_files
from tasks.imports.price_files import import_price_files
from tasks.io.object_store import ObjectStore, ObjectVersion

_GROUP_OBJECTS = 1000
_GROUP_BYTES = 32 << 20
_SMALL_BYTES = 4 << 20


def group_objects(objects: list[ObjectVersion]) -> list[list[ObjectVersion]]:
    """Split objects into imports of one kind each: a big one alone, small ones together.

    In key order.
    """
    by_kind = ([v for v in objects if kind_of(v.key) is kind] for kind in KINDS)
    return [group for of_kind in by_kind for group in _groups(of_kind)]


def _groups(objects: list[ObjectVersion]) -> list[list[ObjectVersion]]:
    groups = [[version] for version in objects if version.size > _SMALL_BYTES]
    group: list[ObjectVersion] = []
    size = 0
    for version in objects:
        if version.size > _SMALL_BYTES:
            continue
        if len(group) == _GROUP_OBJECTS or size + version.size > _GROUP_BYTES:
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
