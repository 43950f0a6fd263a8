"""Every operation of the IR, in numbered groups.  `verify.py` is the executable form of these comments.

A value is `op type args attr`.  Integers are two's complement at their type's width; a `const`'s attr is kept unsigned.
`i` is any int type, `p` any pointer, `T` a type the value names.  Arithmetic follows eBPF: x / 0 = 0, x % 0 = x, shift
counts are taken modulo the width.
"""

from __future__ import annotations

# 1. Constants and names (no arguments)
CONST = "const"  #          attr: the number                          → i, or a pointer when 0 (null)
MAP = "map"  #              attr: a map's name                        → map handle
MAP_VALUE = "map_value"  #  attr: (array map's name, byte offset)     → pointer map
LATE = "late"  #            attr: a late constant's name              → i64, known when the program is loaded
CALLBACK = "callback"  #    attr: a function's name                   → function
KSYM = "ksym"  #            attr: a kernel variable's name, from BTF  → pointer percpu or trusted
UNDEF = "undef"  #          a value that nobody will look at          → T

# 2. Parameters of the function
PARAM = "param"  #          attr: index                               → T

# 3. Arithmetic on two ints of one type
ADD, SUB, MUL = "add", "sub", "mul"
UDIV, UREM, SDIV, SREM = "udiv", "urem", "sdiv", "srem"
AND, OR, XOR = "and", "or", "xor"
SHL, LSHR, ASHR = "shl", "lshr", "ashr"

# 4. Comparison of two values of one type (int or pointer)              → bool
EQ, NE = "eq", "ne"
ULT, ULE, UGT, UGE = "ult", "ule", "ugt", "uge"
SLT, SLE, SGT, SGE = "slt", "sle", "sgt", "sge"

# 5. Conversions: the value's type is the goal
ZEXT = "zext"  #            (i or bool) to a wider int
SEXT = "sext"  #            (i) to a wider int
TRUNC = "trunc"  #          (i) to a narrower int
BSWAP = "bswap"  #          (i16, i32 or i64): bytes reversed

# 6. Pointers
OFFSET = "offset"  #        (p, i64)            p + bytes, in p's space, never null
ADDRESS = "address"  #      (p)                 the pointer as an i64
POINTER = "pointer"  #      (i64)               an i64 as a pointer to kernel or user memory
DISTANCE = "distance"  #    (p, p)              first minus second, packet pointers → i64

# 7. Memory
ALLOCA = "alloca"  #        attr: Slot          → pointer stack; only in the entry block; contents undefined.  A pass may
#                           move it to per-CPU scratch, and then its type is pointer map
LOAD = "load"  #            (p) attr: offset    → i or pointer.  Direct spaces; from kernel and user space it is a probe read
#                           (0 when the read fails), until the pass `memory` makes that explicit
STORE = "store"  #          (p, v) attr: offset direct spaces
COPY = "copy"  #            (to, from) attr: (offset in to, offset in from, size); `to` direct, `from` direct, kernel or user;
#                           they do not overlap.  A failing probe read leaves zeros
ZERO = "zero"  #            (p) attr: (offset, size)  direct spaces
ATOMIC = "atomic"  #        (p, v) attr: (operation, offset, fetch)  add or and xor xchg on i32 or i64 → void, or the old
#                           value when fetch is true
COMPARE_EXCHANGE = "compare_exchange"  # (p, expected, new) attr: offset → the old value

# 8. Provable: the verifier reads machine code, so no pass may split, merge, hoist or fold these
LOAD_CONTEXT = "load_context"  #   (p context) attr: offset           → i or pointer (packet pointers from u32 fields)
STORE_CONTEXT = "store_context"  # (p context, i) attr: offset         what may be written is the verifier's to say
LOAD_TRUSTED = "load_trusted"  #   (p trusted or kernel) attr: offset → i or pointer, as far as the verifier knows p's type
CHECK_PACKET = "check_packet"  #   (p packet, p packet_end) attr: n   → bool: n bytes from p are in the packet
CHECK_NULL = "check_null"  #       (p nullable)                       → bool: it is not null
NON_NULL = "non_null"  #           (p nullable)                       → the same pointer, where a check_null is known true;
#                                  attr CLAIMED: the program says so (C), any p, and only the verifier will know
BOUND = "bound"  #                 (i64) attr: max                    → min(value, max), unsigned, bounded for the verifier;
#                                  only that of a constant may be folded

# 9. Calls
HELPER = "helper"  #        (up to 5) attr: helper's name as in the uapi list without `bpf_`, or "#" and its number
#                           → i64, void or pointer
CALL = "call"  #            (up to 5) attr: a function's name         → i64 or void
KFUNC = "kfunc"  #          (up to 5) attr: a kernel function's name  → i64, void or pointer

# 10. Control: the last value of a block, and phis at its head
PHI = "phi"  #              args in the order of the block's predecessors → T
JUMP = "jump"  #            attr: block
BRANCH = "branch"  #        (bool) attr: (block if true, block if false)
RETURN = "return"  #        (i64) or ()
UNROLL = "unroll"  #        attr: must it be  the innermost loop around this is to be written out, however large; gone after
#                           the pass `unroll`

CLAIMED = "claimed"

COMMUTATIVE = frozenset((ADD, MUL, AND, OR, XOR, EQ, NE))
ARITHMETIC = frozenset((ADD, SUB, MUL, UDIV, UREM, SDIV, SREM, AND, OR, XOR, SHL, LSHR, ASHR))
COMPARISONS = frozenset((EQ, NE, ULT, ULE, UGT, UGE, SLT, SLE, SGT, SGE))
CONVERSIONS = frozenset((ZEXT, SEXT, TRUNC, BSWAP))
TERMINATORS = frozenset((JUMP, BRANCH, RETURN))
PROVABLE = frozenset((LOAD_CONTEXT, STORE_CONTEXT, LOAD_TRUSTED, CHECK_PACKET, CHECK_NULL, NON_NULL, BOUND))

# May be removed when unused and merged with an equal one that dominates it
PURE = ARITHMETIC | COMPARISONS | CONVERSIONS | frozenset(
    (CONST, MAP, MAP_VALUE, LATE, CALLBACK, KSYM, OFFSET, ADDRESS, POINTER, DISTANCE)
)

# Has an effect beyond its value, or must stay where it is
EFFECTS = TERMINATORS | frozenset((
    STORE, COPY, ZERO, ATOMIC, COMPARE_EXCHANGE, STORE_CONTEXT, HELPER, CALL, KFUNC, UNROLL,
))  # fmt: skip

NEGATED = {EQ: NE, NE: EQ, ULT: UGE, UGE: ULT, ULE: UGT, UGT: ULE, SLT: SGE, SGE: SLT, SLE: SGT, SGT: SLE}
SWAPPED = {EQ: EQ, NE: NE, ULT: UGT, UGT: ULT, ULE: UGE, UGE: ULE, SLT: SGT, SGT: SLT, SLE: SGE, SGE: SLE}
