"""Adding types to a BTF blob that is there already."""

from __future__ import annotations

import struct
from collections.abc import Callable

from probee.formats.btf import kind
from probee.formats.btf.blob import Blob
from probee.formats.btf.build import BtfBuilder
from probee.formats.btf.reader import Btf


def extended(data: bytes, add: Callable[[BtfBuilder], None]) -> bytes:
    """Return the blob with what `add` put into a builder behind it; b"" is a blob without types."""
    builder = BtfBuilder()
    if not data:
        add(builder)
        return builder.blob()
    old = Blob(data, split=False)
    builder = BtfBuilder.after(Btf(data).end_id, len(old.strings))
    add(builder)
    new = Blob(builder.blob(), split=True)
    types, strings = bytes(old.types) + bytes(new.types), bytes(old.strings) + bytes(new.strings)
    head = (kind.MAGIC, kind.VERSION, 0, kind.HEADER_SIZE, 0, len(types), len(types), len(strings))
    return struct.pack("=HBBIIIII", *head) + types + strings
