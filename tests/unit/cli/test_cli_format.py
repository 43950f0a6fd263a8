"""`--fmt`: the usual form, with every comment, and the same meaning."""

from __future__ import annotations

import pytest

from probee.cli.format import formatted
from probee.cli.main import main
from probee.errors import Source

SCRIPT = """#!/usr/bin/env bpftrace
// top

struct x { int a; };  // behind
config = { max_strlen = 64 }
kprobe:vfs_read, uprobe:/bin//sh:x /* points */
/ pid == 1 / // predicate
{
  $a = 1; // one
  // two
  if ($a) { print(1) } else { print(2); /* three */ }


  for ($i : 0..3) { @[$i] = count() // in
  }
  $b = { print(3); 5 };
  print("// no comment"); $c = 1 + /* mid */ 2;
  // last of the block
}
macro foo($x) { $x + 1 } // macro
end { clear(@); }
// last
"""

USUAL = """#!/usr/bin/env bpftrace
// top

struct x { int a; };  // behind
config = {
  max_strlen = 64;
}
/* points */
// predicate
kprobe:vfs_read,
uprobe:/bin//sh:x
/ pid == 1 /
{
  $a = 1;  // one
  // two
  if ($a) {
    print(1);
  } else {
    print(2);  /* three */
  }

  for ($i : 0..3) {
    @[$i] = count();  // in
  }
  $b = {
    print(3);
    5
  };
  print("// no comment");
  /* mid */
  $c = 1 + 2;
  // last of the block
}
macro foo($x) {
  $x + 1
}  // macro
end
{
  clear(@);
}
// last
"""


def usual(text: str) -> str:
    return formatted(Source("x.bt", text))


def without_blank_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_statements_are_set_out_and_comments_stay_where_they_were():
    assert without_blank_lines(usual(SCRIPT)) == without_blank_lines(USUAL)


def test_what_is_in_the_usual_form_stays_as_it_is():
    assert usual(usual(SCRIPT)) == usual(SCRIPT)


def test_one_blank_line_stays_and_several_become_one():
    assert usual("begin\n{\n  print(1);\n\n\n\n  print(2);\n  print(3);\n}\n") == (
        "begin\n{\n  print(1);\n\n  print(2);\n  print(3);\n}\n"
    )


@pytest.mark.parametrize("comment", ["// a", "/* a */", "/* two\n lines */"])
@pytest.mark.parametrize(
    "place", ["%s\nbegin {}", "begin {}\n%s\nend {}", "begin { %s\n print(1); }", "begin { print(%s\n1); }"]
)
def test_a_comment_is_kept_wherever_it_stands(comment, place):
    assert usual(place % comment).count(comment) == 1


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path):
    path = tmp_path / "x.bt"
    path.write_text("begin{exit()}")
    path.chmod(0o755)
    assert main(["--fmt", str(path), "-o", str(path)]) == 0
    assert path.read_text() == "begin\n{\n  exit();\n}\n"
    assert path.stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == [path]


def test_no_script_is_an_error_and_writes_nothing(tmp_path, capsys):
    path = tmp_path / "x.bt"
    path.write_text("begin { print(1 }")
    assert main(["--fmt", str(path), "-o", str(path)]) == 1
    assert f"{path}:1:17-18: ERROR: syntax: " in capsys.readouterr().err
    assert path.read_text() == "begin { print(1 }"
