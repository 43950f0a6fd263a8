"""BTF, the kernel's type information: reading it lazily, building it for our own programs, showing it as C.

The rooms: `kind` (the encoding's numbers), `blob` (sections, strings, records), `index` (where each type is, and which
types have a name; kept on disk), `reader` (`Btf`: types as model/ctype.py has them), `build` (`BtfBuilder`), `show`
(C text with offsets).  Nothing is imported here, so that a bundle that only carries a blob pays for none of it.
"""
