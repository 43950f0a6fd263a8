"""Lines, inlined functions, signatures and source locations from DWARF of programs that gcc compiles here."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import pack, unpack_from

import pytest

from probee.errors import FormatError, ProbeeError
from probee.formats.elf.read import ElfFile
from probee.formats.elf.write import ElfWriter
from probee.kernel.symbols.binary import open_elf
from probee.kernel.symbols.debuginfo import DebugInfo
from probee.kernel.symbols.module import open_module
from probee.kernel.symbols.user import UserResolver
from probee.model.ctype import EnumType, PointerType, StructType, strip

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("objcopy"), reason="needs gcc and binutils"),
]

SOURCE = """\
#include <stdio.h>
#include <stdlib.h>
static inline __attribute__((always_inline)) int deep(int x) {
    volatile int y = x * 3;
    return y + rand();
}
static inline __attribute__((always_inline)) int middle(int x) {
    if (x > 2)
        return deep(x + 1);
    return deep(x) * 2;
}
struct node {
    struct node *next;
    const char *name;
    unsigned flags : 3, more : 5;
    union { int a; float f; };
    int grid[2][3];
    enum color { RED, BLUE = -1 } color;
    _Bool ok;
};
typedef struct node node_t;
__attribute__((noinline)) int work(int n, node_t *node, void (*call)(int, ...), const char **names, ...) {
    return middle(n) + node->flags;
}
int main(int argc, char **argv) {
    node_t node = {0};
    printf("work %p\\n", (void *)work);
    fflush(stdout);
    getchar();
    return work(argc, &node, 0, 0) > 0;
}
"""
DEEP = (4, 5)  # lines of deep()


@pytest.fixture(scope="module", autouse=True)
def _library() -> None:
    pytest.importorskip("elftools", reason="needs pyelftools (the extra dwarf)")


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "inlined.c").write_text(SOURCE)
    command = ["gcc", "-O2", request.param, "-Wl,--build-id", "-o", "app", "inlined.c"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "app"


def info(program: Path) -> tuple[ElfFile, DebugInfo]:
    file = open_elf(str(program))
    return file, DebugInfo(file, str(program))


def test_an_address_has_a_line(program: Path) -> None:
    file, debug = info(program)
    found = debug.line_at(file.find("work")[0].address)
    assert found == (str(program.parent / "inlined.c"), 22)
    assert debug.line_at(1) is None


def test_inlined_functions_are_told_innermost_first(program: Path) -> None:
    file, debug = info(program)
    work = file.find("work")[0]
    chains = {}
    for address in range(work.address, work.address + work.size):
        frames = debug.frames_at(address)
        chain = tuple((frame.function, frame.inlined) for frame in frames)
        chains.setdefault(chain, []).append([frame.line for frame in frames])
    deepest = chains[(("deep", True), ("middle", True), ("work", False))]
    assert {lines[0] for lines in deepest} <= {*DEEP} and {lines[1] for lines in deepest} == {9, 10}
    assert {lines[2] for lines in deepest} == {23}
    assert (("work", False),) in chains
    assert debug.frames_at(1) == []


def test_a_line_has_a_place_wherever_its_function_is_inlined(program: Path) -> None:
    file, debug = info(program)
    work = file.find("work")[0]
    assert debug.places_of("inlined.c", 22) == [work.address]
    places = debug.places_of("inlined.c", 4)
    assert len(places) == 2 and all(work.address <= place < work.address + work.size for place in places)
    assert [debug.frames_at(place)[0].function for place in places] == ["deep", "deep"]
    assert debug.places_of(str(program.parent / "inlined.c"), 22) == debug.places_of("./inlined.c", 22) == [work.address]
    assert debug.places_of("lined.c", 22) == [] and debug.places_of("inlined.c", 1) == []
    by_column = [debug.places_of("inlined.c", 22, column) for column in range(1, 200)]
    assert [work.address] in by_column and [] in by_column
    assert {4, 5, 22, 23} <= set(debug.lines_of("inlined.c")) and 1 not in debug.lines_of("inlined.c")


def test_a_function_has_its_signature_in_the_models_types(program: Path) -> None:
    file, debug = info(program)
    signature = debug.signature_at(file.find("work")[0].address)
    assert signature is not None and signature.variadic
    assert [(each.name, each.type.spelling()) for each in signature.parameters] == [
        ("n", "int"), ("node", "node_t *"), ("call", "void (*)(int, ...)"), ("names", "const char * *"),
    ]  # fmt: skip
    assert signature.result.spelling() == "int"
    pointer = signature.parameters[1].type
    assert isinstance(pointer, PointerType)
    node = strip(pointer.target)
    assert isinstance(node, StructType) and node.size == 56
    members = {member.name: (member.bit_offset, member.bit_size, member.type.spelling()) for member in node.members}
    assert members == {
        "next": (0, 0, "struct node *"), "name": (64, 0, "const char *"), "flags": (128, 3, "unsigned int"),
        "more": (131, 5, "unsigned int"), "": (160, 0, "union (anon)"), "grid": (192, 0, "int [2][3]"),
        "color": (384, 0, "enum color"), "ok": (416, 0, "_Bool"),
    }  # fmt: skip
    color = node.find("color")[0].type
    assert isinstance(color, EnumType) and color.values == (("RED", 0), ("BLUE", -1)) and color.signed
    next_node = node.members[0].type
    assert isinstance(next_node, PointerType) and next_node.target is node
    assert debug.signature_at(1) is None
    assert node.find("f")[1].type.size == 4


@pytest.mark.skipif(not shutil.which("dwz"), reason="needs dwz")
def test_what_programs_have_in_common_may_be_in_a_file_of_its_own(program: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copy(program, tmp_path / name)
    command = ["dwz", "-m", "common.debug", "-M", str(tmp_path / "common.debug"), "one", "two"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert open_elf(str(tmp_path / "one")).section(".gnu_debugaltlink") is not None
    file, debug = info(tmp_path / "one")
    signature = debug.signature_at(file.find("work")[0].address)
    assert signature is not None and signature.spelling("work").startswith("int work(int n, node_t *node, void (*call)(int, ")
    assert debug.line_at(file.find("work")[0].address) == (str(program.parent / "inlined.c"), 22)
    (tmp_path / "common.debug").unlink()
    with pytest.raises(FormatError, match=r"has a part of its debug information in .*common.debug, which is not there"):
        info(tmp_path / "one")


def test_a_stripped_program_has_the_lines_of_its_debug_file(program: Path, tmp_path: Path) -> None:
    stripped, debug = tmp_path / "app", tmp_path / "app.debug"
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", program, stripped], check=True)
    module = open_module(str(stripped), directories=())
    found = module.debug_info().line_at(module.find("work")[0].address)
    assert found is not None and found[1] == 22
    debug.unlink()
    with pytest.raises(FormatError, match="has no debug information"):
        open_module(str(stripped), directories=()).debug_info()


SECOND = """\
struct node { long only; };
__attribute__((noinline)) long second(struct node *node) { return node->only + 1; }
"""


def pack_units(folder: Path) -> None:
    """Do what dwp does: put the .dwo files of a directory into app.dwp, with an index by id (DWARF 5, section 7.3.5)."""
    kinds = {"info": 1, "abbrev": 3, "line": 4, "loclists": 5, "str_offsets": 6, "rnglists": 8}
    whole = dict.fromkeys((*kinds, "str"), b"")
    ids, offsets, sizes = [], [], []
    for path in sorted(folder.glob("*.dwo")):
        file = open_elf(str(path))
        parts = dict.fromkeys(whole, b"")
        for name in whole:
            section = file.section(f".debug_{name}.dwo")
            parts[name] = bytes(file.contents(section)) if section is not None else b""
        strings = memoryview(parts["str_offsets"][8:]).cast("I").tolist()
        parts["str_offsets"] = parts["str_offsets"][:8] + pack(f"{len(strings)}I", *[at + len(whole["str"]) for at in strings])
        ids.append(unpack_from("Q", parts["info"], 12)[0])
        offsets.append([len(whole[name]) for name in kinds])
        sizes.append([len(parts[name]) for name in kinds])
        for name, content in parts.items():
            whole[name] += content
        path.unlink()
    slots = [0] * 3 + ids  # a hash table whose order our reader does not need
    rows = [0] * 3 + [number + 1 for number in range(len(ids))]
    table = [*kinds.values(), *[each for row in (*offsets, *sizes) for each in row]]
    head = pack("HHIII", 5, 0, len(kinds), len(ids), len(slots))
    writer = ElfWriter()
    for name, content in whole.items():
        writer.section(f".debug_{name}.dwo", content)
    writer.section(".debug_cu_index", head + pack(f"{len(slots)}Q{len(rows)}I{len(table)}I", *slots, *rows, *table))
    (folder / "app.dwp").write_bytes(writer.bytes())


@pytest.mark.parametrize("packed", [False, True])
def test_split_debug_information_is_found_beside_the_program(tmp_path: Path, packed: bool) -> None:
    (tmp_path / "inlined.c").write_text(SOURCE)
    (tmp_path / "second.c").write_text(SECOND)
    command = ["gcc", "-O2", "-gdwarf-5", "-gsplit-dwarf", "-o", "app", "inlined.c", "second.c"]
    subprocess.run(command, cwd=tmp_path, check=True)
    if packed:
        pack_units(tmp_path)
    elf, debug = info(tmp_path / "app")
    for name, line, size in (("work", 22, 56), ("second", 2, 8)):
        address = elf.find(name)[0].address
        signature = debug.signature_at(address)
        assert signature is not None
        pointer = next(each.type for each in signature.parameters if each.name == "node")
        assert isinstance(pointer, PointerType) and strip(pointer.target).size == size
        assert debug.frames_at(address)[-1].function == name and debug.frames_at(address)[-1].line == line
    assert len(debug.places_of("inlined.c", 4)) == 2
    inlined = debug.frames_at(debug.places_of("inlined.c", 4)[0])
    assert [frame.function for frame in inlined] == ["deep", "middle", "work"]
    assert {frame.path for frame in inlined} == {str(tmp_path / "inlined.c")}


def test_split_debug_information_that_is_not_there_leaves_the_lines(tmp_path: Path) -> None:
    (tmp_path / "inlined.c").write_text(SOURCE)
    subprocess.run(["gcc", "-O2", "-g", "-gsplit-dwarf", "-o", "app", "inlined.c"], cwd=tmp_path, check=True)
    for split in tmp_path.glob("*.dwo"):
        split.write_text("no longer")
    file, debug = info(tmp_path / "app")
    work = file.find("work")[0].address
    assert debug.line_at(work) == (str(tmp_path / "inlined.c"), 22) and debug.places_of("inlined.c", 22) == [work]
    with pytest.raises(FormatError, match=r"types in .*\.dwo, which is not there"):
        debug.signature_at(work)


CPP = """\
namespace shop {
struct Base { int id; virtual ~Base() {} };
struct Cart : Base {
    static int made;
    double total;
    __attribute__((noinline)) long add(const Base &other, char &&letter) { total += other.id + letter; return made; }
};
int Cart::made = 1;
}
int main() { shop::Cart cart; return cart.add(cart, 'x'); }
"""


def test_methods_of_cpp_have_signatures(tmp_path: Path) -> None:
    if not shutil.which("g++"):
        pytest.skip("needs g++")
    (tmp_path / "shop.cc").write_text(CPP)
    subprocess.run(["g++", "-g", "-O1", "-o", "app", "shop.cc"], cwd=tmp_path, check=True)
    file, debug = info(tmp_path / "app")
    (name,) = [name for name in file.function_names() if "Cart3add" in name]
    address = file.find(name)[0].address
    signature = debug.signature_at(address)
    assert signature is not None
    described = [(each.name, each.type.spelling()) for each in signature.parameters]
    assert described == [("this", "struct Cart *"), ("other", "const struct Base *"), ("letter", "char *")]
    pointer = signature.parameters[0].type
    assert isinstance(pointer, PointerType)
    cart = pointer.target
    assert isinstance(cart, StructType) and [member.name for member in cart.members] == ["", "total"]
    assert cart.find("id")[0].offset == 0 and signature.result.spelling() == "long int"
    assert debug.frames_at(address)[-1].function == "shop::Cart::add(shop::Base const&, char&&)"


def test_a_running_program_has_lines_by_pid_and_address(program: Path) -> None:
    symbols = UserResolver()
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = int(process.stdout.readline().split()[1], 16)
        (frame,) = symbols.source(process.pid, address)
        assert (frame.function, frame.line, frame.inlined) == ("work", 22, False)
        assert symbols.source(process.pid, 1) == []
        process.communicate("\n")


def test_without_the_library_the_error_says_how_to_get_it(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "elftools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "elftools", None)
    with pytest.raises(ProbeeError, match=r"pip install 'probee\[dwarf\]'"):
        info(program)


def test_damaged_debug_information_is_an_error_of_ours(program: Path) -> None:
    whole = program.read_bytes()
    file = ElfFile(whole)
    sections = [section for section in file.sections if section.name.startswith(".debug")]
    address, chance = file.find("work")[0].address, random.Random(5)
    asks: list[Callable[[DebugInfo], object]] = [
        lambda debug: debug.line_at(address), lambda debug: debug.frames_at(address + 13),
        lambda debug: repr(debug.signature_at(address)), lambda debug: debug.places_of("inlined.c", 4),
    ]  # fmt: skip
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            section = chance.choice(sections)
            data[section.offset + chance.randrange(section.size)] = chance.randrange(256)
        with suppress(FormatError):
            debug = DebugInfo(ElfFile(bytes(data)), "damaged")
            for ask in asks:
                with suppress(FormatError):
                    ask(debug)
