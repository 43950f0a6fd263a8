"""Reading a live map into a MapSnapshot: decode keys, merge CPUs, sort as bpftrace sorts, keep `top`, divide by `div`.

Order: int, count, sum by value; min and max by value as unsigned; avg and stats by average; hist and lhist by total count;
everything else by key.  Ties are in key order.
"""

from __future__ import annotations

from probee.model.snapshot import MapSnapshot
from probee.model.spec import MapSpec, MapType
from probee.model.value import ValueType, integer
from probee.runtime.aggregate import (
    BUCKETED,
    SeriesMerger,
    divided,
    histogram,
    linear_histogram,
    merger,
    value_size,
)
from probee.runtime.decode import quotient, value_decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from probee.runtime.resolve import Resolver

    Pairs = list[tuple[bytes, bytes]]


class MapReader:
    """Turns the raw entries of one map into snapshots; made once per map."""

    def __init__(self, spec: MapSpec, resolver: Resolver, n_cpus: int) -> None:
        self.spec = spec
        self.resolver = resolver
        self.n_cpus = n_cpus if spec.type in MapType.PER_CPU else 1
        self.value = spec.value if spec.value is not None else integer(8, signed=True)
        self._key = _key_decoder(spec, resolver)
        self._sort_key = key_order(spec.key) if spec.key is not None else _no_order

    def snapshot(self, pairs: Pairs, *, top: int = 0, div: int = 1) -> MapSnapshot:
        """Return the map whose raw entries are `pairs`; per-CPU values back to back."""
        aggregation = self.spec.aggregation
        if aggregation in ("hist", "lhist"):
            form, rows = "hist", self._histograms(pairs, div)
        elif aggregation == "tseries":
            form, rows = "tseries", self._series(pairs)
        elif aggregation:
            form, rows = "stats" if aggregation in ("avg", "stats") else "map", self._merged(pairs, div)
        else:
            form, rows = "map", self._plain(pairs, div)
        if top and len(rows) > top:
            rows = rows[-top:]
        return MapSnapshot(self.spec.name, form, self.spec.key, self.value, rows, scalar=self.spec.scalar)

    def unset(self) -> Any:
        """Return what a scalar map shows that was never written."""
        if self.spec.aggregation in BUCKETED:
            return None
        if self.spec.aggregation:
            return self._merged([(bytes(self.spec.key_size), bytes(value_size(self.spec.aggregation) * self.n_cpus))], 1)[0][1]
        return value_decoder(self.value, self.resolver)(bytes(self.value.size))

    def _plain(self, pairs: Pairs, div: int) -> list[tuple[Any, Any]]:
        key, sort_key = self._key, self._sort_key
        decode = value_decoder(self.value, self.resolver)
        rows = [(key(raw_key), decode(raw)) for raw_key, raw in pairs]
        rows.sort(key=lambda row: sort_key(row[0]))
        if self.value.kind in ("int", "enum") and not self.value.mode:
            rows.sort(key=lambda row: row[1])
        if self.value.kind == "int" and div > 1:
            rows = [(found, divided(value, div)) for found, value in rows]
        return rows

    def _merged(self, pairs: Pairs, div: int) -> list[tuple[Any, Any]]:
        key, sort_key, aggregation = self._key, self._sort_key, self.spec.aggregation
        merge = merger(aggregation, self.n_cpus, signed=self._signed())
        merged = [(key(raw_key), merge(raw)) for raw_key, raw in pairs]
        merged.sort(key=lambda row: sort_key(row[0]))
        if aggregation in ("avg", "stats"):
            merged.sort(key=lambda row: quotient(*row[1]))
            return [(found, self._average(total, count, div)) for found, (total, count) in merged]
        merged.sort(key=lambda row: row[1][0])
        return [(found, divided(value, div)) for found, (value, _) in merged]

    def _average(self, total: int, count: int, div: int) -> Any:
        average = divided(quotient(total, count), div)
        if self.spec.aggregation == "avg":
            return average
        return {"count": count, "average": average, "total": total}

    def _signed(self) -> bool:
        parameters = self.spec.aggregation_parameters
        return bool(parameters[0]) if parameters else False

    def _split(self, pairs: Pairs) -> dict[bytes, dict[int, bytes]]:
        """Return the raw values by key and bucket: the last 8 bytes of a raw key are the bucket's number."""
        found: dict[bytes, dict[int, bytes]] = {}
        for raw_key, raw in pairs:
            found.setdefault(raw_key[:-8], {})[int.from_bytes(raw_key[-8:], "little")] = raw
        return found

    def _histograms(self, pairs: Pairs, div: int) -> list[tuple[Any, Any]]:
        merge = merger("hist", self.n_cpus, signed=False)
        parameters = [int(number) for number in self.spec.aggregation_parameters[1:]]
        rows = []
        for raw_key, raw_counts in self._split(pairs).items():
            counts = {bucket: merge(raw)[0] for bucket, raw in raw_counts.items()}
            rows.append((self._key(raw_key), sum(counts.values()), counts))
        rows.sort(key=lambda row: self._sort_key(row[0]))
        rows.sort(key=lambda row: row[1])
        if self.spec.aggregation == "hist":
            bits = parameters[0] if parameters else 0
            return [(key, histogram(counts, bits, div=div)) for key, _, counts in rows]
        return [(key, linear_histogram(counts, *parameters)) for key, _, counts in rows]

    def _series(self, pairs: Pairs) -> list[tuple[Any, Any]]:
        series = SeriesMerger(self.n_cpus, self.spec.aggregation_parameters)
        found = [
            (self._key(raw_key), series.merge([entry for raw in slots.values() for entry in series.slot(raw)]))
            for raw_key, slots in self._split(pairs).items()
        ]
        newest = max((epoch for _, values in found for epoch in values), default=0)
        offset = self.resolver.tseries_offset_ns()
        found.sort(key=lambda row: (max(row[1], default=0), self._sort_key(row[0])))
        return [(key, series.series(values, newest, offset)) for key, values in found]


def _key_decoder(spec: MapSpec, resolver: Resolver) -> Callable[[bytes], Any]:
    if spec.scalar or spec.key is None:
        return lambda raw: None
    return value_decoder(spec.key, resolver)


def _no_order(key: Any) -> int:
    return 0


def key_order(type: ValueType) -> Callable[[Any], Any]:
    """Return what keys of the type are sorted by: integers as signed ones, strings bytewise, tuples field by field."""
    if type.kind in ("int", "enum"):
        sign = 1 << type.size * 8 - 1
        return lambda value: value - 2 * sign if value >= sign else value
    if type.kind in ("string", "bool", "pointer", "buffer"):
        return lambda value: value
    if type.kind in ("tuple", "record"):
        parts = [key_order(field.type) for field in type.fields]
        if type.kind == "record":
            return lambda value: tuple([part(item) for part, item in zip(parts, value.values(), strict=False)])
        return lambda value: tuple([part(item) for part, item in zip(parts, value, strict=False)])
    if type.kind == "array" and type.element is not None:
        element = key_order(type.element)
        return lambda value: [element(item) for item in value]
    if type.kind in ("kstack", "ustack"):
        return lambda value: 0  # in the order in which the kernel gave them
    return str
