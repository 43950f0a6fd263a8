"""Arguments of programs' functions by name, typed by debug information: programs of our own, traced natively and in guests."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from probee.kernel.features.feature import has

pytest.importorskip("elftools", reason="needs pyelftools (the extra dwarf)")
pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(240),
    pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("objcopy"), reason="needs gcc and binutils"),
]

SOURCE = r"""
struct point { int x, y; };
struct big { long a[4]; const char *name; };
struct mixed { long n; double d; };
union both { int i; float f; };
struct hidden;
typedef struct {
    unsigned a : 3, b : 5, c : 9;
    char text[12];
    struct point where;
    struct point *next;
    enum color { RED, GREEN = 7 } color;
    struct hidden *secret;
} thing_t;
#define PROBED __attribute__((noipa))
PROBED int scalars(char c, short s, unsigned u, long l, _Bool b, const char *text, int seventh, double d, short eighth) {
    return c + s + u + l + b + text[0] + seventh + eighth + (int)d;
}
PROBED int structs(struct point p, struct big b, struct mixed m, union both u, int after, __int128 wide, struct point q) {
    return p.x + b.a[0] + m.n + u.i + after + (int)wide + q.y;
}
PROBED struct big result(thing_t *t, int n) { return (struct big){{t->a + n}}; }
PROBED int one_of(int x) { return x; }
PROBED int one_more(struct point *x) { return x->x; }
struct hidden { int depth; };
PROBED int none(void) { return 0; }
int main(void) {
    struct point p = {3, -4}, q = {5, 6};
    struct big b = {{11, 12, 13, 14}, "big"};
    struct hidden hidden = {1234};
    struct mixed m = {21, 2.5};
    thing_t t = {.a = 5, .b = 17, .c = 300, .text = "hello", .where = {1, 2}, .next = &q, .color = GREEN, .secret = &hidden};
    scalars('x', -2, 4000000000u, -5, 1, "text", 7, 1.5, -8);
    structs(p, b, m, (union both){.i = 31}, 77, ((__int128)5 << 64) | 6, q);
    return result(&t, 9).a[0] + one_of(8) + one_more(&q) + none() == 0;
}
"""
CPP = r"""
#include <string>
namespace app {
struct Base { int kind = 7; virtual ~Base() {} };
class Shape : public Base {
  public:
    int width = 3;
    const char *label = "shape";
    __attribute__((noipa)) long area(int scale, const Shape &other) { return width * scale + other.width; }
};
struct Heavy { long n; Heavy(long n) : n(n) {} ~Heavy() {} };
enum class Mode : unsigned char { OFF, ON = 3 };
struct Empty {};
__attribute__((noipa)) long take(Heavy h, Mode m, Empty e, std::string s, bool flag, int &ref) {
    return h.n + (int)m + s.size() + flag + ref;
}
__attribute__((noipa)) Heavy give(int n) { return Heavy(n); }
}
int main() {
    app::Shape s, o;
    o.width = 30;
    int r = 11;
    return s.area(2, o) + app::take(99, app::Mode::ON, {}, "hello", true, r) + app::give(4).n == 0;
}
"""
X86 = platform.machine() == "x86_64"


def build(folder: Path, name: str, source: str, *flags: str) -> str:
    file = folder / (f"{name}.cpp" if source is CPP else f"{name}.c")
    file.write_text(source)
    compiler = shutil.which("g++" if source is CPP else "gcc") or pytest.skip("no compiler of C++ here")
    subprocess.run([compiler, *(flags or ("-g",)), "-O1", "-Wl,--build-id", "-o", name, file.name], cwd=folder, check=True)
    return str(folder / name)


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    return build(tmp_path_factory.mktemp("args"), "calls", SOURCE, request.param)


@pytest.fixture(scope="module", params=["-gdwarf-4", "-gdwarf-5"])
def classes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if not has("uprobe"):
        pytest.skip("this kernel has no uprobes")
    return build(tmp_path_factory.mktemp("args"), "classes", CPP, request.param)


def probee(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "probee", *words], capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, **environment},
    )  # fmt: skip


def lines(script: str, program: str, *options: str) -> list[str]:
    done = probee("-q", *options, "-e", script, "-c", program)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line]


def test_each_argument_has_its_name_and_its_type(program):
    values = "args.c, args.s, args.u, args.l, args.b, str(args.text), args.seventh, args.eighth"
    script = f'printf("%c %d %u %d %d %s %d %d", {values})'
    assert lines(f"uprobe:{program}:scalars {{ {script} }}", program) == ["x -2 4000000000 -5 1 text 7 -8"]


def test_structs_are_read_from_registers_and_from_the_stack(program):
    values = "args.p.x, args.p.y, args.b.a[2], str(args.b.name), args.u.i, args.after, args.q.y"
    script = f'printf("%d %d %d %s %d %d %d\\n", {values})'
    whole = "print(args.p); print(args.wide); print(args.b.a); print(args.m.n)"
    found = lines(f"uprobe:{program}:structs {{ {script}; {whole} }}", program)
    assert found == ["3 -4 13 big 31 77 6", "{ .x = 3, .y = -4 }", "[6,5]", "[11,12,13,14]", "21"]


def test_what_a_pointer_points_to_is_read_from_the_program(program):
    values = "args.t->a, args.t.b, args.t->c, args.t->text, args.t->where.y, args.t->next->x, args.n"
    script = f'printf("%d %d %d %s %d %d %d\\n", {values})'
    found = lines(f"uprobe:{program}:result {{ {script}; print(args.t->color); print(args.t->secret->depth) }}", program)
    assert found == ["5 17 300 hello 2 5 9", "GREEN", "1234"]


def test_all_arguments_are_a_value(program):
    script = f"uprobe:{program}:one_of {{ print(args); @[args] = 1; $a = args; @b = ($a, args.x); @c = args; print(@c.x) }}"
    assert lines(script, program) == ["{ .x = 8 }", "8", "@[{ .x = 8 }]: 1", "@b: ({ .x = 8 }, 8)", "@c: { .x = 8 }"]
    assert lines(f"uprobe:{program}:none {{ print(args) }}", program) == ["{}"]


def test_a_pattern_has_the_arguments_of_each_function(program):
    assert lines(f"uprobe:{program}:one_* {{ @[probe, (uint64)args.x > 100] = count() }}", program) == [
        f"@[uprobe:{program}:one_more, true]: 1", f"@[uprobe:{program}:one_of, false]: 1",
    ]  # fmt: skip


def test_types_of_the_program_have_names_and_those_of_the_script_come_first(program):
    found = lines(f"uprobe:{program}:one_more {{ print(((struct point *)arg0)->y); print(sizeof(struct big)) }}", program)
    assert found == ["6", "40"]
    script = f"struct point {{ short low; }} uprobe:{program}:one_more {{ print(((struct point *)arg0)->low) }}"
    assert lines(script, program) == ["5"]


def test_classes_references_and_what_is_passed_by_address(classes):
    script = (
        'uprobe:P:cpp:"app::take" { printf("%d %d %d\\n", args.h->n, args.flag, *args.ref); print(args.m) }'
        'uprobe:P:cpp:"app::Shape::area" { print((args.scale, args.this->width, args.other->width, args.this->kind)) }'
        'uprobe:P:cpp:"app::give" { print(args.n) }'
    )
    assert sorted(lines(script.replace("P", classes), classes)) == ["(2, 3, 30, 7)", "4", "99 1 11", "ON"]


def test_what_cannot_be_read_is_refused_where_it_is_written(program):
    for function, use, said in (
        ("scalars", "args.d", "Field 'd' has type 'double': eBPF has no floating-point numbers"),
        ("scalars", "args.sevnth", "The function scalars has no argument 'sevnth'.*Did you mean: seventh"),
        ("none", "args.x", "The function none has no argument 'x'.*HINT: Its arguments: none"),
        ("main+1", "args", "WARNING: .* is not where its function begins"),
        *((("structs", "args.m", r"args.m \(struct mixed\) comes in arg1, xmm0: a probe cannot read vector"),) if X86 else ()),
    ):  # fmt: skip
        done = probee("--dry-run", "-e", f"uprobe:{program}:{function} {{ print({use}) }}")
        told = done.stderr + done.stdout
        assert re.search(said, told, re.DOTALL), told
        assert "\n" + " " * (len(f"uprobe:{program}:{function} {{ print(")) + "~" * len(use) in told
    done = probee("--dry-run", "-e", f"uretprobe:{program}:none {{ print(args) }}")
    assert "The args builtin can not be used with 'uretprobe' probes" in done.stderr


def test_without_debug_information_it_is_said_what_to_do(program, tmp_path):
    stripped = tmp_path / "stripped"
    subprocess.run(["objcopy", "--strip-debug", program, stripped], check=True)
    done = probee("--dry-run", "-e", f"uprobe:{stripped}:one_of {{ print(args.x) }}")
    assert done.returncode == 1
    assert f"{stripped} has no debug information (compile it with -g, or install its debug package)" in done.stderr
    assert "HINT: The argument registers need none: arg0, arg1" in done.stderr


def test_without_the_library_the_line_that_installs_it_is_said(program, tmp_path):
    (tmp_path / "elftools.py").write_text("raise ImportError('hidden by a test')\n")
    done = probee("--dry-run", "-e", f"uprobe:{program}:one_of {{ print(args.x) }}", PYTHONPATH=str(tmp_path))
    assert "reading DWARF needs pyelftools: pip install 'probee[dwarf]'" in done.stderr
    assert lines(f"uprobe:{program}:one_of {{ print(arg0) }}", program) == ["8"]


def test_functions_that_are_not_called_as_c_calls_are_refused(tmp_path):
    """GCC makes copies of functions whose parameters it knows; and two files may have functions of one name."""
    other = '__attribute__((noipa)) static int twin(char *a) { return *a; }\nint same(void) { return twin("x"); }\n'
    (tmp_path / "same.c").write_text(other)
    source = """
        __attribute__((noinline)) static int copied(int a, int b) { asm volatile("" :: "r"(a), "r"(b)); return a + b; }
        __attribute__((noipa)) static int twin(long a, int b) { return a + b; }
        int same(void);
        int main(int argc, char **argv) { return copied(argc, 77) + copied(argc + 1, 77) + twin(1, 2) + same() == 0; }
    """
    (tmp_path / "main.c").write_text(source)
    subprocess.run(["gcc", "-g", "-O2", "-o", "app", "main.c", "same.c"], cwd=tmp_path, check=True)
    app = tmp_path / "app"
    names = subprocess.run(["nm", app], capture_output=True, text=True, check=True).stdout.split()
    copies = [name for name in names if name.startswith("copied.")]
    assert copies
    done = probee("--dry-run", "-e", f'uprobe:{app}:"{copies[0]}" {{ print(args.a) }}')
    assert "is not known: the compiler has made it of another function, with fewer parameters" in done.stderr
    done = probee("--dry-run", "-e", f"uprobe:{app}:twin {{ print(args.a) }}")
    assert f"{app} has 2 functions twin, and their parameters are not the same" in done.stderr


def test_a_debug_file_that_appears_or_changes_is_seen(program, tmp_path):
    """The answer of the first compile, that there is none, must not come from the cache once there is one."""
    stripped, debug = tmp_path / "stripped", tmp_path / "stripped.debug"
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", program, stripped], check=True)
    script = f"uprobe:{stripped}:one_more {{ print(((struct point *)arg0)->y) }}"
    assert lines(script, str(stripped)) == ["6"]
    hidden = debug.rename(tmp_path / "hidden")
    assert "struct point" in probee("-e", script, "-c", str(stripped)).stderr
    hidden.rename(debug)
    assert lines(script, str(stripped)) == ["6"]


def test_debug_files_of_a_directory_are_known_when_attaching(program, tmp_path):
    """A function that only the separate file's symbols name: by --debuginfo, beside the program or anywhere."""
    stripped, elsewhere = tmp_path / "stripped", tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(["objcopy", "--only-keep-debug", program, elsewhere / "stripped.debug"], check=True)
    debug = elsewhere / "stripped.debug"
    subprocess.run(["objcopy", "--strip-all", f"--add-gnu-debuglink={debug}", program, stripped], check=True)
    script = f"uprobe:{stripped}:one_of {{ print(args.x) }}"
    for directory in ("elsewhere", str(elsewhere)):
        assert lines(script, str(stripped), f"--debuginfo={directory}") == ["8"]
    assert "No matches" in probee("-e", script, "-c", str(stripped)).stderr


def test_signatures_are_listed_and_their_registers_in_formats(program, classes):
    listed = probee("-lv", f"uprobe:{program}:scalars,uretprobe:{program}:result").stdout
    assert "    char c\n    short int s\n    unsigned int u\n" in listed and "    const char* text\n" in listed
    assert "    struct big retval\n" in listed
    formats = probee("formats", f"uprobe:{program}:scalars", f"uprobe:{classes}:app::Shape::area").stdout
    if X86:
        assert "args.text: arg5 (r9)" in formats and "args.seventh: sarg0" in formats and "args.d: xmm0" in formats
    assert re.search(r"other +const struct Shape \* +8 +args.other: arg2", formats)
    quoted = probee("formats", f'uprobe:{classes}:cpp:"app::give(int)"').stdout
    assert re.search(r"n +int +4 +yes +args.n: arg[01]", quoted)


def test_a_bundle_is_for_the_build_whose_arguments_it_knows(program, tmp_path):
    copy, bundle = tmp_path / "calls", tmp_path / "bundle"
    for script, refused in (("args.x", True), ("((struct point *)arg0)->x", True), ("arg0", False)):
        shutil.copy(program, copy)
        built = probee("build", "-o", str(bundle), "-e", f"uprobe:{copy}:one_more {{ print({script}) }}")
        assert built.returncode == 0, built.stderr
        assert probee("-q", str(bundle), "-c", str(copy)).returncode == 0
        build(tmp_path, "calls", f"int another;\n{SOURCE}")
        done = probee("-q", str(bundle), "-c", str(copy))
        assert (f"{copy} is not the build that this was compiled for" in done.stderr) == refused
