"""Tuples, records, arrays: as values, keys, nested, compared, printed; run in the interpreter."""

from __future__ import annotations

import pytest

from script_harness import World, run_script

KERNEL = 0xFFFF_A000_0000_0000
WORDS = b"".join(n.to_bytes(4, "little") for n in (1, 2, 3, 4, 5, 6, 7, 8))

TUPLES = [
    ('print((1, "a", 2));', "(1, a, 2)\n"),
    ("print((1, (2, 3)));", "(1, (2, 3))\n"),
    ("print((1,));", "(1)\n"),
    ("print(());", "()\n"),
    ('$t = (1, "ab", (3, 4)); print($t.0); print($t.1); print($t.2.1);', "1\nab\n4\n"),
    ('$t = (1, "ab"); print($t[1]);', "ab\n"),
    ('$t = (1, "a"); $t = (100000, "longer"); print($t);', "(100000, longer)\n"),
    ('$t = (100000, "longer"); $t = (1, "a"); print($t);', "(1, a)\n"),
    ("$t = ((int8)-1, (uint8)255); print($t);", "(-1, 255)\n"),
    ('@ = (1, "x"); print(@.1);', "x\n@: (1, x)\n"),
    ('@ = (1, "x"); $t = @; print($t.0);', "1\n@: (1, x)\n"),
    ('@[1, "a"] = 1; @[2, "bcd"] = 2;', "@[1, a]: 1\n@[2, bcd]: 2\n"),
    ('$k = (1, "a"); @[$k] = 5; print(@[1, "a"]);', "5\n@[1, a]: 5\n"),
    ("@[(1, 2), 3] = 4;", "@[(1, 2), 3]: 4\n"),
    ("@[1, 2] = 1; print(@[(1, 2)]);", "1\n@[1, 2]: 1\n"),
    ("@[(int8)1, 2] = 1; @[1000, 2] += 1; @[1, 2] += 5;", "@[1000, 2]: 1\n@[1, 2]: 6\n"),
    ("print((1, 2) == (1, 2)); print((1, 2) == (1, 3)); print((1, 2) != (1, 3));", "true\nfalse\ntrue\n"),
    ('$a = (1, "x"); $b = (1, "x"); print($a == $b);', "true\n"),
    ('$a = (1, "x"); $b = (1, "longer"); print($a == $b);', "false\n"),
    ("$a = (-1, 2); $b = ((int64)-1, 2); print($a == $b);", "true\n"),
    ("$x = 1 ? (1, 2) : (3, 4); print($x);", "(1, 2)\n"),
    ("$c = 0; $x = $c ? (1, 2) : (300, 4); print($x);", "(300, 4)\n"),
    ("$a = (1, 2); $b = $a; $a = (3, 4); print(($a, $b));", "((3, 4), (1, 2))\n"),
    ("$t = (1, 2); $t = ($t.1, $t.0); print($t);", "(2, 1)\n"),
    ('printf("%s\\n", (1, "a"));', "(1, a)\n"),
    ("print((comm, pid));", "(probee, 1200)\n"),
    ("print((true, 1));", "(true, 1)\n"),
    ("print(sizeof((1, 2)));", "2\n"),
    ("print(sizeof(((int8)1, (int64)2)));", "16\n"),
    ("$t = (typeof((1, (int64)2)))(3, 4); print($t);", "(3, 4)\n"),
    ("@ = ((int8)1, (int64)2, (int16)3); print(@ == (1, 2, 3));", "true\n@: (1, 2, 3)\n"),
]


@pytest.mark.parametrize(("statements", "expected"), TUPLES)
def test_tuples(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}") == expected


RECORDS = [
    ('print((a = 1, b = "x"));', "{ .a = 1, .b = x }\n"),
    ('$r = (a = 1, b = "xy"); print($r.a); print($r.b);', "1\nxy\n"),
    ("$r = (a = (c = 5, d = 6), b = 2); print($r.a.d); print($r);", "6\n{ .a = { .c = 5, .d = 6 }, .b = 2 }\n"),
    ("@ = (a = 1, b = 2); print(@.b);", "2\n@: { .a = 1, .b = 2 }\n"),
    ("@[(a = 1, b = 2)] = 3;", "@[{ .a = 1, .b = 2 }]: 3\n"),
    ("$r = (a = 1, b = 2); $r = (b = 300, a = 4); print($r);", "{ .a = 4, .b = 300 }\n"),
    ("print((a = 1, b = 2) == (b = 2, a = 1));", "true\n"),
    ("print((a = 1, b = 2) == (a = 1, b = 3));", "false\n"),
    ("$r = (a = 1, b = 2); print($r[0]);", "1\n"),
]


@pytest.mark.parametrize(("statements", "expected"), RECORDS)
def test_records(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}") == expected


ARRAYS = [
    ("print((int8[4])0x04030201);", "[1,2,3,4]\n"),
    ("print((uint8[8])12345);", "[57,48,0,0,0,0,0,0]\n"),
    ("print((int8[])12345);", "[57,48]\n"),
    ("print((uint16[4])1);", "[1,0,0,0]\n"),
    ('print((int8[])"hi");', "[104,105,0]\n"),
    ("print((uint32)(uint8[4])0x01020304);", "16909060\n"),
    ("$a = (int8[4])0x04030201; print($a[2]); print($a);", "3\n[1,2,3,4]\n"),
    ("$a = (int8[4])0x04030201; $i = 1; print($a[$i]);", "2\n"),
    ("$a = (int8[4])1; $b = (int8[4])1; print($a == $b); print($a != $b);", "true\nfalse\n"),
    ("$a = (int8[4])1; $b = (int8[4])2; print($a == $b);", "false\n"),
    ("@ = (int8[2])0x0201; $a = @; print($a[1]);", "2\n@: [1,2]\n"),
    ("@[5] = (int8[2])0x0201; print(@[5][1]);", "2\n@[5]: [1,2]\n"),
    ("@[(uint8[4])1] = 2;", "@[[1,0,0,0]]: 2\n"),
    ("print((bool[2])(uint16)1);", "[true,false]\n"),
    ("print((1, (int8[2])0x0201));", "(1, [1,2])\n"),
    (f"$p = (int32 *){KERNEL}; print($p[3]); print(*$p); print(*($p + 1));", "4\n1\n2\n"),
    (f"$p = (int32 *){KERNEL}; $i = 5; print($p[$i]);", "6\n"),
    (f"$p = (int32 *){KERNEL}; $p++; print(*$p); $p += 2; print(*$p); print(*--$p);", "2\n4\n3\n"),
    (f"$p = (int64 *){KERNEL}; print($p[1]);", "17179869187\n"),
    (f"$p = (int16 *){KERNEL}; print($p[2]); print((uint64)($p + 1) - (uint64)$p);", "2\n2\n"),
    (f"$p = (int32 *){KERNEL}; $q = $p + 4; print($q > $p); print($q == $p); print($p && $q);", "true\nfalse\ntrue\n"),
    (f"print(*{KERNEL});", "8589934593\n"),
    ("print((int32 *)0); print((int8 *)16);", "0x0\n0x10\n"),
    ("$p = (int32 *)0; if ($p) { print(1); } else { print(2); }", "2\n"),
    ("$x = 5; $p = &$x; print(*$p);", "5\n"),
    ('$x = "abc"; $p = &$x; print(*$p);', "abc\n"),
]


@pytest.mark.parametrize(("statements", "expected"), ARRAYS)
def test_arrays_and_pointers(statements: str, expected: str) -> None:
    assert run_script(f"begin {{ {statements} }}", World(kernel={KERNEL: WORDS})) == expected


def test_an_index_out_of_bounds_reads_zero_and_says_so() -> None:
    from script_harness import run

    done = run("begin { $a = (int8[4])0x04030201; $i = 4; print($a[$i]); }")
    assert done.out == "0\n"
    assert "Array access out of bounds. This can lead to unexpected results." in done.err


TYPE_INFO = [
    ("$x = 1; print(typeinfo($x));", "{ .btf_id = 0, .base_type = int, .full_type = int8 }\n"),
    ('print(typeinfo("abc").full_type); print(typeinfo((uint8)1).base_type);', "string[4]\nint\n"),
    ("print((1, typeinfo(kstack)));", "(1, { .btf_id = 0, .base_type = kstack, .full_type = kstack_bpftrace_127 })\n"),
    ('printf("%s\\n", typeinfo(struct task_struct *).full_type);', "struct task_struct *\n"),
    ("print(typeinfo(1) == typeinfo(2)); print(typeinfo(1) != typeinfo(true));", "true\ntrue\n"),
    ('$x = "xyz"; if comptime (typeinfo($x) == typeinfo("abc")) { $x = "foo"; } else { $x = 2; } print($x);', "foo\n"),
    ('if comptime (typeinfo(1).base_type == "int") { print(1); } else { fail("no number"); }', "1\n"),
    ('$x = 1; print(typeinfo($x) == (btf_id = 0, base_type = "int", full_type = "int8"));', "true\n"),
]


@pytest.mark.parametrize(("text", "expected"), TYPE_INFO)
def test_what_a_type_is_can_be_asked(text: str, expected: str) -> None:
    assert run_script("config = { unstable_typeinfo = enable } begin { " + text + " }") == expected
