"""fentry, fexit and iterators: where their arguments lie, and which pointers stay what the verifier knows them as."""

from __future__ import annotations

import pytest

from probee.compiler.compile import compile
from probee.compiler.ir import op
from probee.compiler.lang.bpftrace.slot import ObjectMember, function_struct, iterator_struct, result_member
from probee.errors import CompileError
from probee.model import ctype as c
from probee.model.spec import AttachType, ProgramType
from script_harness import World, compile_script, run_script, shared_target

KERNEL, USER = 0xFFFF_A000_0000_0000, 0x7F00_0000_0000
FENTRY = "fentry:vmlinux:vfs_read"


def words(*numbers: int) -> bytes:
    return b"".join((number & (1 << 64) - 1).to_bytes(8, "little") for number in numbers)


def read_world() -> World:
    context = words(KERNEL, USER, 512, KERNEL + 8, -7)
    return World(context=context.ljust(512, b"\0"), kernel={KERNEL: words(0, 77).ljust(4096, b"\0")})


@pytest.mark.parametrize(
    ("probe", "value", "shown"),
    [
        ("fentry:vfs_read", "args.count", "512"),
        ("fentry:vfs_read", "args->count + 1", "513"),
        ("fentry:vfs_read", "(uint64)args.buf == 0x7f0000000000", "true"),
        ("fentry:vfs_read", "(uint64)args.file >> 60", "15"),
        ("fentry:vfs_read", "*args.pos", "77"),
        ("fexit:vfs_read", "retval", "-7"),
        ("fexit:vfs_read", "args.count", "512"),
        ("fentry:vfs_read", "probe", FENTRY),
        ("fentry:vfs_read", "usermode", "0"),
    ],
)
def test_arguments_lie_in_words_and_the_result_after_them(probe: str, value: str, shown: str) -> None:
    assert run_script(f"{probe} {{ print({value}); }}", read_world()) == f"{shown}\n"


@pytest.mark.parametrize(
    ("probe", "attach_type", "target"),
    [
        ("fentry:vfs_read", AttachType.TRACE_FENTRY, "vmlinux:vfs_read"),
        ("fexit:demo_mod:demo_open", AttachType.TRACE_FEXIT, "demo_mod:demo_open"),
        ("iter:task", AttachType.TRACE_ITER, "bpf_iter_task"),
    ],
)
def test_a_program_is_bound_to_its_target(probe: str, attach_type: int, target: str) -> None:
    (program,) = compile_script(f"{probe} {{ @ = count(); }}").programs
    assert (program.type, program.attach_type, program.attach_target) == (ProgramType.TRACING, attach_type, target)


def test_each_function_of_a_pattern_has_a_program() -> None:
    spec = compile_script("fentry:vfs_* { @ = count(); }")
    assert len(spec.programs) == len(spec.links) > 1
    assert len({program.attach_target for program in spec.programs}) == len(spec.programs)


# -- pointers


def context_loads(body: str, probe: str = "fentry:vfs_read") -> set[int]:
    """Return the offsets of what is loaded from the context itself, once lowered."""
    found: set[int] = set()

    def look(stage: str, unit) -> None:
        if stage == "lower":
            values = (v for p in unit.programs for f in p.functions for block in f.blocks for v in block.values)
            found.update(v.attr for v in values if v.op == op.LOAD_CONTEXT)

    compile(f"{probe} {{ {body} }}", shared_target(), after=look)
    return found


@pytest.mark.parametrize(
    "body",
    [
        "print(args.file);",
        "@ = args.file;",
        "@[args.file] = 1;",
        "print(args.file.f_pos);",
        "$f = args.file; print($f.f_pos);",
        "if (args.file == 0) { print(1); }",
        "$f = args.file; if (cpu == 1) { $f = (struct file *)0; } print($f);",
        "print((1, args.file));",
    ],
)
def test_a_pointer_that_is_followed_stored_or_compared_is_known_to_the_verifier(body: str) -> None:
    assert 0 in context_loads(body)


@pytest.mark.parametrize(
    "body",
    [
        "print((uint64)args.file >> 3);",
        "print((uint64)args.file & 7);",
        "print((uint64)args.file % 8);",
        "print((uint32)args.file);",
        "$f = args.file; print((uint64)$f & 7);",
        "$f = args.file; $g = $f; if (cpu == 1) { $g = (struct file *)0; } print((uint64)$g * 2);",
        "print((args.file + cpu).f_pos);",
        "print((uint64)args.file - (uint64)args.pos);",
    ],
)
def test_a_pointer_that_is_computed_with_is_read_as_a_number(body: str) -> None:
    assert 0 not in context_loads(body)


def test_a_number_is_always_loaded_directly_and_a_pointer_to_one_never() -> None:
    assert context_loads("print(args.count * 3);") == {16}
    assert context_loads("print(*args.pos);") == set()


# -- layout

INT, LONG = c.IntType("int", 4, signed=True), c.IntType("long", 8, signed=True)
PAIR = c.StructType("struct", "pair", 16, (c.Member("a", LONG, 0), c.Member("b", LONG, 64)))


def prototype(result: c.CType, *types: c.CType) -> c.FunctionType:
    return c.FunctionType(result, tuple(c.Parameter(f"p{index}", type) for index, type in enumerate(types)))


def test_a_struct_by_value_takes_as_many_words_as_it_needs() -> None:
    small = c.StructType("struct", "id", 4, (c.Member("val", INT, 0),))
    function = prototype(LONG, INT, PAIR, small, LONG, LONG, LONG, LONG)
    struct = function_struct("f", function)
    assert [member.offset for member in struct.members] == [0, 8, 24, 32, 40, 48, 56]
    result = result_member(function)
    assert result is not None
    assert result.offset == 64
    assert result_member(prototype(c.VOID, INT)) is None


def test_a_parameter_without_a_name_gets_one() -> None:
    function = c.FunctionType(INT, (c.Parameter("", LONG), c.Parameter("", LONG)))
    assert [member.name for member in function_struct("f", function).members] == ["arg0", "arg1"]


# -- iterators


def test_the_last_pointer_is_what_is_walked_over() -> None:
    found = shared_target().type_named("struct", "bpf_iter__task")
    assert isinstance(found, c.StructType)
    struct = iterator_struct(found)
    assert [(member.name, member.offset, isinstance(member, ObjectMember)) for member in struct.members] == [
        ("meta", 0, False), ("task", 8, True),
    ]  # fmt: skip


@pytest.mark.parametrize(("task", "shown"), [(KERNEL, "once\n"), (0, "")])
def test_the_call_after_the_last_of_a_walk_is_not_one_of_it(task: int, shown: str) -> None:
    world = World(context=words(KERNEL, task).ljust(512, b"\0"), kernel={KERNEL: bytes(1 << 16)})
    assert run_script('iter:task { printf("once\\n"); }', world) == shown


def test_a_field_of_what_is_walked_over_is_read_through_the_pointer() -> None:
    task = shared_target().type_named("struct", "task_struct")
    assert isinstance(task, c.StructType)
    offset = sum(member.offset for member in task.find("pid"))
    memory = bytearray(1 << 16)
    memory[offset : offset + 4] = (4242).to_bytes(4, "little")
    world = World(context=words(KERNEL + (1 << 20), KERNEL).ljust(512, b"\0"), kernel={KERNEL: bytes(memory)})
    assert run_script("iter:task { print(ctx.task.pid); print(ctx->task->pid + 1); }", world) == "4242\n4243\n"


def test_a_pinned_iterator_prints_through_the_kernel() -> None:
    spec = compile_script('iter:task:name { printf("%d %s\\n", ctx.task.pid, ctx.task.comm); }')
    assert not spec.actions
    assert dict(spec.links[0].parameters) == {"name": "task", "pin": "name"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iter:no_such { }", "iter no_such not available for your kernel version."),
        ("iter:task:pin { print(1); }", "print is not possible in a pinned iterator: no session is there to listen"),
        ('iter:task:pin { printf("%o", 1); }', "printf() in a pinned iterator is done by the kernel, which has no %o for"),
        ("fentry:vfs_read { print(retval); }", "The retval builtin can only be used with 'kretprobe', 'uretprobe' and 'fexit'"),
        ("fentry:vfs_read { print(arg0); }", "The arg0 builtin can only be used with"),
        ("fentry:vfs_read { print(ctx); }", "The ctx builtin can not be used with 'fentry' probes"),
        ("fentry:vfs_read { print(args.cuont); }", "Struct/union of type 'struct _function_vfs_read' does not contain a field"),
    ],
)
def test_what_cannot_be_is_refused(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_script(text)
    assert caught.value.message.startswith(message)
