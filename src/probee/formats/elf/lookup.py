"""Names looked up in several tables of symbols: what a file with two of them and a module with four have in common.

The order of the tables, and when one is opened, is their owner's decision; a table itself is symbol.py's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from probee.formats.elf.symbol import Symbol, SymbolTable


class SymbolLookup:
    """What has `tables`, best first: a table is asked only for what those before it do not know."""

    __slots__ = ()

    def tables(self) -> Iterable[SymbolTable]:
        """Return the tables of symbols in the order in which names are looked up."""
        raise NotImplementedError

    def find(self, name: str) -> list[Symbol]:
        """Return the symbols of a name, of the first table that has it; see SymbolTable.find."""
        return next((found for table in self.tables() if (found := table.find(name))), [])

    def find_many(self, names: Iterable[str]) -> dict[str, list[Symbol]]:
        """Return the symbols of each name that is known, as `find` does; much cheaper than that for more than a few names."""
        left, found = set(names), {}
        for table in self.tables():
            found.update(table.find_many(left))
            left -= found.keys()
            if not left:
                break
        return found

    def function_names(self) -> list[str]:
        """Return the names of all functions defined here, each once."""
        return list(dict.fromkeys([name for table in self.tables() for name in table.function_names() if name]))
