"""pycparser and pcpp without their expensive parts: not imported for us, whole for whoever else imports them."""

from __future__ import annotations

import subprocess
import sys

import pytest

UNUSED = ("pycparser.c_lexer", "pcpp.evaluator", "pcpp.pcmd", "ply.lex", "ply.yacc", "subprocess")


def python(text: str) -> str:
    """Run a program in an interpreter of its own; return what it prints."""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def test_what_is_not_used_is_not_executed() -> None:
    said = python(f"""
import sys
import probee.compiler.lang.c.program
from probee.compiler.lang.c.library import StandIn
for name in {UNUSED}:
    module = sys.modules.get(name)
    print(name, module is None or (isinstance(module, StandIn) and '_executed' not in vars(module)))
""")
    assert said == "".join(f"{name} True\n" for name in UNUSED)


@pytest.mark.parametrize("ours", ["import probee.compiler.lang.c.program", ""])
def test_others_find_both_libraries_whole(ours: str) -> None:
    said = python(f"""
{ours}
import sys
import pcpp, pycparser
from pycparser import c_generator, c_lexer
tree = pycparser.CParser().parse("int x = 1 + 2;")
print(c_generator.CGenerator().visit(tree), c_lexer.CLexer.__name__, pycparser.parse_file.__name__)
preprocessor = pcpp.Preprocessor()
preprocessor.parse("#define A 1\\n#if A + 1 == 2\\nyes\\n#endif\\n")
preprocessor.write(sys.stdout)
print(pcpp.CmdPreprocessor.__name__, pcpp.Evaluator.__name__)
import dataclasses
print(dataclasses.field.__name__)
""")
    assert " ".join(said.split()) == "int x = 1 + 2; CLexer parse_file yes CmdPreprocessor Evaluator field"


@pytest.mark.parametrize(
    "before",
    [
        "import pycparser, pcpp",
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "import dataclasses, subprocess",
    ],
)
def test_programs_compile_whoever_was_there_before(before: str) -> None:
    said = python(f"""
{before}
from probee.compiler.lang.c.token import lex
from probee.compiler.lang.c.preprocess import preprocess
from probee.errors import Source
from probee.model.target import Target
class Nothing(Target):
    arch, release = "x86_64", "6.12"
    def kconfig(self, name): return ""
tokens, _ = preprocess(Source("x", "#define J(a, b) a ## b\\n#define S(x) #x\\nJ(f, oo) J(<, <) S(a   b)"), Nothing())
print([token.value for token in tokens if token.value.strip()])
""")
    assert said.strip() == "['foo', '<<', '\"a b\"']"
