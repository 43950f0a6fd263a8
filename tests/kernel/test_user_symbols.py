"""Users' symbols of real programs, compiled here, started here, and resolved through their own /proc/PID/maps."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from probee.formats.elf.usdt import usdt_probes
from probee.kernel.symbols.binary import find_binary, find_library, mapped_files, open_elf
from probee.kernel.symbols.maps import read_maps, root
from probee.kernel.symbols.module import open_module
from probee.kernel.symbols.user import PER_PROGRAM, UserResolver

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("objcopy"), reason="needs gcc and binutils"),
]

# Prints a line "NAME ADDRESS" for places in itself, then waits for a line; a word before it loads a library.
SOURCE = """
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

static void show(const char *name, void *address) { printf("%s %p\\n", name, address); }

__attribute__((noinline)) void innermost(void) {
    show("innermost", __builtin_return_address(0));
    show("middle", __builtin_return_address(1));
    show("outermost", __builtin_return_address(2));
    __asm__ volatile("");
}
__attribute__((noinline)) static void middle_one(void) { innermost(); __asm__ volatile(""); }
__attribute__((noinline)) void outer_one(void) { middle_one(); __asm__ volatile(""); }

int main(int argc, char **argv) {
    outer_one();
    show("main", (char *)main + 4);
    show("libc", (void *)&getppid);
    fflush(stdout);
    if (argc > 1) {
        getchar();
        void *library = dlopen(argv[1], RTLD_NOW);
        show("plugin", library ? dlsym(library, "plugin_start") : 0);
        fflush(stdout);
    }
    getchar();
    return 0;
}
"""
STACK = {"innermost": "middle_one", "middle": "outer_one", "outermost": "main", "main": "main"}
FLAGS = ("-O1", "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-Wno-frame-address")

Compile = Callable[..., Path]


@pytest.fixture(scope="module")
def compile_c(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    folder = tmp_path_factory.mktemp("programs")

    def compile(name: str, source: str, *flags: str, compiler: str = "gcc") -> Path:
        if not shutil.which(compiler):
            pytest.skip(f"needs {compiler}")
        path = folder / name
        suffix = "c" if compiler == "gcc" else "cc"
        (folder / f"{name}.{suffix}").write_text(source)
        subprocess.run([compiler, *FLAGS, *flags, "-o", path, folder / f"{name}.{suffix}"], check=True)
        return path

    return compile


class Running:
    """A program of ours that runs, and the addresses it has told."""

    def __init__(self, *command: str | Path, lines: int = 5) -> None:
        self.process = subprocess.Popen([*map(str, command)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.places: dict[str, int] = {}
        self.read(lines)

    def read(self, lines: int) -> None:
        assert self.process.stdout is not None
        for _ in range(lines):
            name, address = self.process.stdout.readline().split()
            self.places[name] = int(address, 16)

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def finish(self) -> None:
        self.process.communicate("\n")
        assert self.process.returncode == 0

    def names(self, symbols: UserResolver) -> dict[str, str]:
        return {place: symbols.frame(self.pid, address).symbol for place, address in self.places.items()}


Run = Callable[..., Running]


@pytest.fixture
def run() -> Iterator[Run]:
    started: list[Running] = []

    def start(*command: str | Path, lines: int = 5) -> Running:
        started.append(Running(*command, lines=lines))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def in_stack(found: dict[str, str]) -> dict[str, str]:
    return {place: found[place] for place in STACK}


LINKED = [("-pie", "-fPIE"), ("-no-pie", "-fPIE"), ("-static",), ("-static-pie",), ("-Wl,-z,noseparate-code",)]


@pytest.mark.parametrize("flags", LINKED)
def test_own_functions_have_names_however_the_program_is_linked(compile_c: Compile, run: Run, flags: tuple[str, ...]) -> None:
    path = compile_c("linked" + "".join(flags).replace(",", ""), SOURCE, *flags, "-w", "-ldl")
    program, symbols = run(path), UserResolver()
    found = program.names(symbols)
    assert in_stack(found) == STACK and found["libc"].lstrip("_") == "getppid"
    frame = symbols.frame(program.pid, program.places["main"])
    assert (frame.offset, frame.module) == (4, str(path))


def test_a_stripped_program_keeps_what_it_exports(compile_c: Compile, run: Run) -> None:
    path = compile_c("exporting", SOURCE, "-rdynamic", "-ldl")
    subprocess.run(["strip", path], check=True)
    found = run(path).names(UserResolver())
    assert found["middle"] == "outer_one" and found["main"] == "main"
    assert found["innermost"] == ""  # static: nobody knows it any more


@pytest.mark.parametrize("by", ["link", "link in .debug", "build id"])
def test_a_stripped_program_has_the_names_of_its_debug_file(compile_c: Compile, run: Run, tmp_path: Path, by: str) -> None:
    path = tmp_path / "app"
    shutil.copy(compile_c("stripped", SOURCE, "-g", "-Wl,--build-id", "-ldl"), path)
    debug = tmp_path / (".debug/app.debug" if "in .debug" in by else "app.debug")
    debug.parent.mkdir(exist_ok=True)
    subprocess.run(["objcopy", "--only-keep-debug", path, debug], check=True)
    subprocess.run(["strip", path], check=True)
    id = open_elf(str(path)).build_id
    if by == "build id":
        place = tmp_path / f"debug/.build-id/{id[:2]}/{id[2:]}.debug"
        place.parent.mkdir(parents=True)
        debug.rename(place)
    else:
        subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", path], check=True)
        assert open_elf(str(path)).debug_link is not None
    symbols = UserResolver(debug_directories=(str(tmp_path / "debug"),))
    program = run(path)
    assert in_stack(program.names(symbols)) == STACK
    place_of_main = symbols.place(program.pid, program.places["main"])
    assert place_of_main is not None and place_of_main[0] == id
    elf = open_elf(str(path))
    module = open_module(str(path), directories=(str(tmp_path / "debug"),))
    assert elf.file_offset(module.find("main")[0].address) == place_of_main[1] - 4
    assert "middle_one" in module.function_names() and "middle_one" not in elf.function_names()


def test_a_process_that_has_exited_still_resolves(compile_c: Compile, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "gone"
    shutil.copy(compile_c("exits", SOURCE, "-ldl"), path)
    program, symbols = run(path), UserResolver()
    assert symbols.remember(program.pid)
    program.finish()
    assert in_stack(program.names(symbols)) == STACK
    assert not UserResolver().remember(program.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="/proc/PID/map_files is root's")
def test_a_program_that_was_deleted_and_has_exited_still_resolves(compile_c: Compile, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "deleted"
    shutil.copy(compile_c("exits", SOURCE, "-ldl"), path)
    program, symbols = run(path), UserResolver()
    path.unlink()
    symbols.remember(program.pid)
    program.finish()
    assert in_stack(program.names(symbols)) == STACK
    assert symbols.frame(program.pid, program.places["main"]).module == str(path)


def test_a_library_loaded_while_it_runs_is_found(compile_c: Compile, run: Run) -> None:
    library = compile_c("plugin.so", "int plugin_start(void) { return 7; }\n", "-shared", "-fPIC")
    program, symbols = run(compile_c("loads", SOURCE, "-ldl"), library), UserResolver()
    symbols.remember(program.pid)
    program.go_on()
    program.read(1)
    assert program.names(symbols)["plugin"] == "plugin_start"
    assert str(library) in mapped_files(program.pid) and find_library("plugin", program.pid) == str(library)


def test_a_shell_that_becomes_a_program_is_that_program(compile_c: Compile, run: Run) -> None:
    path = compile_c("exits", SOURCE, "-ldl")
    symbols = UserResolver()
    command = ["sh", "-c", f"read line; exec {path}"]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert program.stdin is not None and program.stdout is not None
    try:
        symbols.remember(program.pid)
        program.stdin.write("\n")
        program.stdin.flush()
        places = dict(program.stdout.readline().split() for _ in range(5))
        assert symbols.frame(program.pid, int(places["main"], 16)).symbol == "main"
    finally:
        program.kill()
        program.communicate()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("chroot"), reason="chroot(2) is root's")
def test_a_program_with_another_root_is_found_below_it_and_remembered(compile_c: Compile, run: Run, tmp_path: Path) -> None:
    shutil.copy(compile_c("static", SOURCE, "-static", "-w"), tmp_path / "app")
    program, symbols = run("chroot", tmp_path, "/app"), UserResolver()
    assert root(program.pid) == f"/proc/{program.pid}/root"
    assert find_binary("/app", program.pid) == [f"/proc/{program.pid}/root/app"]
    assert open_elf(f"/proc/{program.pid}/root/app").find("outer_one")
    symbols.remember(program.pid)
    program.finish()
    assert in_stack(program.names(symbols)) == STACK
    assert symbols.frame(program.pid, program.places["main"]).module == str(tmp_path / "app")  # as we see it


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="unshare(2) of mounts is root's")
def test_a_program_on_a_file_system_of_its_own_is_found_and_remembered(compile_c: Compile, run: Run, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    path = compile_c("static", SOURCE, "-static", "-w")
    script = f"mount -t tmpfs none {tmp_path}/inner && cp {path} {tmp_path}/inner/app && exec {tmp_path}/inner/app"
    program, symbols = run("unshare", "-m", "sh", "-c", script), UserResolver()
    file = f"/proc/{program.pid}/root{tmp_path}/inner/app"
    assert mapped_files(program.pid) == [file] == find_binary(f"{tmp_path}/inner/app", program.pid)
    assert find_binary(f"{tmp_path}/inner/app") == []
    symbols.remember(program.pid)
    program.finish()
    assert in_stack(program.names(symbols)) == STACK


@pytest.mark.skipif(not shutil.which("setarch"), reason="needs setarch (util-linux)")
def test_without_randomised_addresses_one_process_answers_for_another(compile_c: Compile, run: Run) -> None:
    path = compile_c("exits", SOURCE, "-ldl")
    first, second = (run("setarch", "-R", path) for _ in range(2))
    if first.places != second.places:
        pytest.skip("addresses are randomised all the same")
    symbols = UserResolver(PER_PROGRAM)
    symbols.remember(first.pid)
    second.finish()
    assert symbols.frame(second.pid, second.places["main"], program=str(path)).symbol == "main"


def test_a_program_that_is_probed_is_known_before_it_is_seen(compile_c: Compile, run: Run) -> None:
    path = compile_c("fixed", SOURCE, "-no-pie", "-ldl")
    running, symbols = run(path), UserResolver()
    assert symbols.remember_program(str(path)) == 1
    running.finish()
    assert in_stack(running.names(symbols)) == STACK
    later = run(path)
    later.finish()
    assert in_stack(later.names(symbols)) == STACK


@pytest.mark.skipif(not shutil.which("setarch"), reason="needs setarch (util-linux)")
def test_without_randomised_addresses_a_program_is_where_it_always_is(compile_c: Compile, run: Run) -> None:
    path = compile_c("exits", SOURCE, "-pie", "-fPIE", "-ldl")
    symbols = UserResolver(PER_PROGRAM)
    symbols.remember_program(str(path))
    program = run("setarch", "-R", path)
    program.finish()
    if program.places["main"] >> 24 != 0x555555:
        pytest.skip("addresses are randomised all the same, or this is another machine")
    assert in_stack(program.names(symbols)) == STACK


CPP = """
#include <cstdio>
namespace shop { template <class T> struct Cart { __attribute__((noinline)) void *add(T, const char *) const; };
template <class T> void *Cart<T>::add(T, const char *) const { return __builtin_return_address(0); } }
namespace {
__attribute__((noinline)) void *hidden() { void *found = shop::Cart<int>().add(1, ""); asm volatile(""); return found; }
}
int main() { std::printf("hidden %p\\n", hidden()); std::fflush(stdout); std::getchar(); }
"""


def test_names_of_cpp_are_as_written(compile_c: Compile, run: Run) -> None:
    path = compile_c("cpp", CPP, compiler="g++")
    program = run(path, lines=1)
    assert program.names(UserResolver())["hidden"] == "(anonymous namespace)::hidden()"
    assert program.names(UserResolver(demangles=False))["hidden"] == "_ZN12_GLOBAL__N_16hiddenEv"
    from probee.kernel.symbols.demangle import demangle

    assert "shop::Cart<int>::add(int, char const*) const" in map(demangle, open_elf(str(path)).function_names())


# Makes code at run time as a just-in-time compiler does, and tells perf's map of it.
JIT = """
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void) {
    unsigned char *code = mmap(0, 8192, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char path[64];
    snprintf(path, sizeof path, "/tmp/perf-%d.map", getpid());
    FILE *map = fopen(path, "w");
    for (int n = 0; n < 100; n++) fprintf(map, "%lx 20 jit::function_%d\\n", (long)(code + 32 * n), n);
    fclose(map);
    printf("code %p\\n", (void *)code);
    fflush(stdout);
    getchar();
    map = fopen(path, "a");
    fprintf(map, "%lx 40 jit::later\\n", (long)(code + 4096));
    fclose(map);
    printf("later %p\\n", (void *)(code + 4096));
    fflush(stdout);
    getchar();
    return 0;
}
"""


def test_code_made_at_run_time_has_the_names_its_compiler_gave_it(compile_c: Compile, run: Run) -> None:
    program, symbols = run(compile_c("jit", JIT), lines=1), UserResolver()
    path = Path(f"/tmp/perf-{program.pid}.map")
    try:
        code = program.places["code"]
        for number in range(100):
            frame = symbols.frame(program.pid, code + 32 * number + 7)
            assert (frame.symbol, frame.offset, frame.module) == (f"jit::function_{number}", 7, str(path))
        program.go_on()
        program.read(1)
        assert symbols.frame(program.pid, program.places["later"] + 1).symbol == "jit::later"
        program.finish()
        assert symbols.frame(program.pid, code).symbol == "jit::function_0"
    finally:
        path.unlink(missing_ok=True)


# What <sys/sdt.h> makes of DTRACE_PROBE2(app, hit, value, text) with a semaphore, written out.
USDT = """
#include <stdio.h>
__attribute__((section(".probes"))) volatile unsigned short app_hit_semaphore;
struct pair { long a, b; };
__attribute__((noinline)) void fire(int value, const char *text, struct pair *pair) {
    __asm__ volatile("990: nop\\n"
        ".pushsection .note.stapsdt,\\"\\",\\"note\\"\\n.balign 4\\n.4byte 992f-991f, 994f-993f, 3\\n"
        "991: .asciz \\"stapsdt\\"\\n992: .balign 4\\n993: .8byte 990b\\n.8byte _.stapsdt.base\\n.8byte app_hit_semaphore\\n"
        ".asciz \\"app\\"\\n.asciz \\"hit\\"\\n.asciz \\"-4@%0 8@%1 8@%2 -4@%3\\"\\n994: .balign 4\\n.popsection\\n"
        ".ifndef _.stapsdt.base\\n.pushsection .stapsdt.base,\\"aG\\",\\"progbits\\",.stapsdt.base,comdat\\n"
        ".weak _.stapsdt.base\\n.hidden _.stapsdt.base\\n_.stapsdt.base: .space 1\\n.popsection\\n.endif\\n"
        :: "nor"(value), "nor"(text), "nor"(pair->b), "n"(-7));
}
int main(void) {
    struct pair pair = {1, 2};
    printf("fire %p\\n", (void *)fire);
    fflush(stdout);
    getchar();
    fire(3, "x", &pair);
}
"""


@pytest.mark.parametrize("flags", [("-pie", "-fPIE"), ("-no-pie",)])
def test_a_usdt_probe_is_where_its_instruction_is(compile_c: Compile, run: Run, flags: tuple[str, ...]) -> None:
    path = compile_c("usdt" + flags[0], USDT, *flags)
    elf = open_elf(str(path))
    (probe,) = usdt_probes(elf)
    assert (probe.provider, probe.name) == ("app", "hit") and probe.offset is not None
    assert path.read_bytes()[probe.offset : probe.offset + 1] == b"\x90"  # nop
    fire = elf.find("fire")[0]
    assert 0 <= probe.address - fire.address < fire.size
    semaphore = elf.find("app_hit_semaphore")[0]
    assert probe.semaphore_offset == elf.file_offset(semaphore.address) and probe.semaphore == semaphore.address
    value, text, member, constant = probe.arguments
    assert (value.size, value.signed, text.size, text.signed) == (4, True, 8, False)
    assert value.kind == text.kind == "register" and member.kind in ("memory", "register")
    assert (constant.kind, constant.value, constant.signed) == ("constant", -7, True)
    program = run(path, lines=1)
    assert UserResolver().place(program.pid, program.places["fire"])[1] == elf.file_offset(fire.address)


def test_the_kernels_code_in_a_process_has_names(compile_c: Compile, run: Run) -> None:
    program, symbols = run(compile_c("exits", SOURCE, "-ldl")), UserResolver()
    vdso = next((each for each in read_maps(program.pid) or [] if each.path == "[vdso]"), None)
    if vdso is None:
        pytest.skip("this kernel lends no code to programs")
    frames = [symbols.frame(program.pid, at) for at in range(vdso.start, vdso.end, 16)]
    assert any("gettime" in frame.symbol for frame in frames) and {frame.module for frame in frames} == {"[vdso]"}


def test_a_thousand_stacks_are_resolved_quickly(compile_c: Compile, run: Run) -> None:
    from time import process_time

    program, symbols = run(compile_c("exits", SOURCE, "-ldl")), UserResolver()
    stack = [program.places[name] for name in ("innermost", "middle", "outermost")]
    symbols.frames(program.pid, stack)
    started = process_time()
    for _ in range(1000):
        found = symbols.frames(program.pid, stack)
        assert [frame.symbol for frame in found] == ["middle_one", "outer_one", "main"]
    assert process_time() - started < 0.5
