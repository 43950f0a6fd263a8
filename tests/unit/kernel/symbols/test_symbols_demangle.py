"""Names of C++ and Rust."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probee.kernel.symbols import demangle as module
from probee.kernel.symbols.demangle import demangle, without_arguments
from probee.kernel.symbols.rust import demangle_rust

CPP = {
    "_Z3fooi": "foo(int)",
    "_ZN5outer5innerC1ERKi": "outer::inner::inner(int const&)",
    "_ZNK4listIiE4sizeEv": "list<int>::size() const",
    "_ZTV5shape": "vtable for shape",
}
RUST = {
    "_ZN4core3fmt9Formatter3pad17h9b2b3a0e5b4d1b31E": "core::fmt::Formatter::pad",
    "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE":
        "<alloc::string::String as core::fmt::Display>::fmt",
    "_ZN3foo28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE.llvm.123": "foo::{{closure}}",
    "_RNvC6_123foo3bar": "123foo::bar",
    "_RNvCskwGfYPst2Cb_3foo16example_function": "foo::example_function",
    "_RNvMs_CsABC_3fooNtB4_3Bar3new": "<foo::Bar>::new",
    "_RNvXCs1234_7mycrateNtB2_3FooNtB2_5Trait3run": "<mycrate::Foo as mycrate::Trait>::run",
    "_RINvCs1234_7mycrate3fooRShNtB2_3BarE": "mycrate::foo::<&[u8], mycrate::Bar>",
    "_RNCNvC1a4main0B3_": "a::main::{closure#0}",
    "_RNCNvC1a4mains_0B3_": "a::main::{closure#1}",
    "_RINvC1a1fKj5_Kb1_Kc78_Kln5_E": "a::f::<5, true, 'x', -5>",
    "_RINvC1a1fAhj10_TlmETyEE": "a::f::<[u8; 16], (i32, u32), (u64,)>",
    "_RINvC1a1fFG_RL0_eEuE": "a::f::<for<'a> fn(&'a str)>",
    "_RINvC1a1fFUKCPhEzE": 'a::f::<unsafe extern "C" fn(*const u8) -> !>',
    "_RINvC1a1fDNtB2_5Shapep6OutputlEL_E": "a::f::<dyn a::Shape<Output = i32>>",
    "_RNvC1a3foo.llvm.99": "a::foo",
    "_RNvC1a3foo.0": "a::foo.0",
}  # fmt: skip


@pytest.mark.parametrize(("mangled", "written"), RUST.items())
def test_names_of_rust(mangled: str, written: str) -> None:
    assert demangle_rust(mangled) == written
    assert demangle(mangled) == written


def test_names_of_rust_that_are_not_ascii() -> None:
    assert demangle_rust("_RNvNtC1au9gemse_mva3foo") == "a::gemüse::foo"


@pytest.mark.parametrize("name", ["_R", "_RNvC1a", "_RNvB9_3foo", "_RNvC9a", "_RNvC1a3fooXX", "_R1NvC1a1f", "_RIC1a", "x"])
def test_what_is_not_in_rusts_grammar_is_nothing(name: str) -> None:
    assert demangle_rust(name) is None and demangle(name) == name


def test_references_back_cannot_make_a_name_explode() -> None:
    name = "_RIC1a" + "T" * 3 + "".join(f"TB{c}_B{c}_E" for c in "abcdefghij") * 20 + "EEE"
    found = demangle_rust(name)
    assert found is None or len(found) < 1 << 20


@given(st.text("_RNvCIMXYBEsGLFTAKDp0123456789abchu$.", max_size=40))
def test_any_text_is_read_or_left(text: str) -> None:
    for prefix in ("_R", "_ZN", ""):
        assert isinstance(demangle_rust(prefix + text) or "", str)


@pytest.mark.parametrize(("mangled", "written"), CPP.items())
def test_names_of_cpp_where_its_library_is(mangled: str, written: str) -> None:
    if module._from_library() is None:
        pytest.skip("no C++ library here")
    assert demangle(mangled) == written


def test_what_nobody_can_read_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_cpp", [lambda _: None])
    monkeypatch.setattr(module, "_known", {})
    assert demangle("_Z3fooi") == "_Z3fooi"
    assert demangle("main") == "main" and demangle("_start") == "_start"
    assert demangle("_Z" + "9" * 40_000) == "_Z" + "9" * 40_000


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("foo(int)", "foo"),
        ("a::f(int, std::vector<int>) const", "a::f"),
        ("std::function<void (int)>::operator()(int) const", "std::function<void (int)>::operator()"),
        ("(anonymous namespace)::f(int)", "(anonymous namespace)::f"),
        ("a::(anonymous namespace)::f()", "a::(anonymous namespace)::f"),
        ("a::operator<(a const&, a const&)", "a::operator<"),
        ("main", "main"),
    ],
)
def test_a_function_without_its_arguments(name: str, short: str) -> None:
    assert without_arguments(name) == short
