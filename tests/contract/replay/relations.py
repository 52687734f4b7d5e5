"""What PostgREST makes of an embed, worked out from the catalogue: the embedded stack's API is more lenient.

PostgREST takes a computed relationship first; else it wants exactly one of: a foreign key there or back, a table whose
primary key holds the keys of both sides. A column's name stands for a relation only where it is a whole key by itself.
"""

from dataclasses import dataclass

from tests.contract.replay.calls import Embed
from tests.contract.replay.catalogue import Catalogue, Key


@dataclass(frozen=True)
class Relation:
    """One way to get from a table to another; `many` answers an array."""

    target: str
    through: str
    many: bool


def relations(catalogue: Catalogue, table: str, embed: Embed) -> list[Relation]:
    """Every relation that the embed's word and hint may mean; PostgREST refuses all but one."""
    computed = [f for f in catalogue.computed if (f.table, f.name) == (table, embed.word)]
    if computed:
        return [Relation(f.target, f"{f.name}()", not f.single) for f in computed]
    there = [
        Relation(str(key.parent), key.name, False)
        for key in catalogue.foreign_keys(table)
        if embed.word in (key.parent, key.name) or (embed.word,) == key.columns
        if embed.hint in (None, key.name, key.parent) or (embed.hint,) == key.columns
    ]
    back = [
        Relation(key.table, key.name, not _is_unique(catalogue, key))
        for key in catalogue.keys
        if key.kind == "f" and key.parent == table and embed.word in (key.table, key.name)
        if embed.hint in (None, key.name) or (embed.hint,) == key.columns
    ]
    across = [
        Relation(embed.word, junction, True)
        for junction, primary in catalogue.primary_keys.items()
        for one in catalogue.foreign_keys(junction, table)
        for other in catalogue.foreign_keys(junction, embed.word)
        if one != other and {*one.columns, *other.columns} <= set(primary) and embed.hint in (None, junction)
    ]
    return there + back + across


def _is_unique(catalogue: Catalogue, key: Key) -> bool:
    # A constraint counts, a unique index does not.
    return any(k.table == key.table and k.kind in "pu" and set(k.columns) == set(key.columns) for k in catalogue.keys)
