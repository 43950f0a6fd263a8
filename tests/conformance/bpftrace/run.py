"""Runs the runtime cases of a bpftrace checkout against probee and prints a table per suite.

    BPFTRACE_SRC=checkout python tests/conformance/bpftrace/run.py [--only begin,interval] [--filter REGEX] [-v]

Only cases whose probes are all of the kinds in --only run; the default, begin and end and interval, is what may run on a
developer's machine: it traces nothing.  Cases run in children of this process, which has everything imported already;
--slow N multiplies the time limits (an emulated guest).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from cases import Case, read_cases

ATTACH_S = 10
NOTIFY = "__BPFTRACE_NOTIFY_PROBES_ATTACHED"
SAFE = ("begin", "end", "interval")
# REQUIRES_FEATURE → kernel feature by our name; what is not here is not met
FEATURES = {
    "lookup_percpu_elem": "map_lookup_percpu_elem", "kprobe_multi": "kprobe_multi", "kprobe_session": "kprobe_session",
    "uprobe_multi": "uprobe_multi", "dpath": "d_path", "get_func_ip": "get_func_ip", "jiffies64": "jiffies64",
    "probe_read_kernel": "probe_read_kernel", "fentry": "fentry", "signal": "send_signal",
}  # fmt: skip


class Result:
    """`status` is passed, failed or skipped; `why` in a few words; `output` for those who want to see."""

    def __init__(self, status: str, why: str = "", output: str = "") -> None:
        self.status = status
        self.why = why
        self.output = output


def reason_to_skip(case: Case, only: set[str], tests: Path) -> str:
    """Return why a case does not run here, "" when it does."""
    others = case.providers - only
    if others:
        return f"{min(others)} probe"
    text = " ".join((case.program, *case.given.values()))
    if re.search(r"(^|\s)-l|--list|--info", case.given.get("RUN", "")):
        return "listing"
    if "BEFORE" in case.given or "NEW_PIDNS" in case.given:
        return "needs another process"
    for program in re.findall(r"\./testprogs/([\w.-]+)", text):
        if not (tests / "testprogs" / program).exists() or not os.access(tests / "testprogs" / program, os.X_OK):
            return "needs a test program"
    if re.search(r"\b(pkill|killall|pidof)\b", text):
        return "signals processes by name"
    if any(flag in text for flag in ("--aot", "strace ")):
        return "out of scope"
    for feature in case.given.get("REQUIRES_FEATURE", "").split():
        if has_feature(feature.lstrip("!")) == feature.startswith("!"):
            return f"feature {feature}"
    for command in case.requires:
        if subprocess.run(command, shell=True, capture_output=True, check=False, cwd=tests).returncode:
            return f"requires {command[:30]}"
    return ""


def has_feature(name: str) -> bool:
    from probee.kernel.target import LiveTarget

    target = LiveTarget()
    return target.has_btf if name == "btf" else name in FEATURES and target.has_feature(FEATURES[name])


def start(case: Case, tests: Path) -> tuple[int, int]:
    """Start a case's command in a child; returns its pid and where its output can be read."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    status = 1
    try:
        os.setsid()
        os.chdir(tests)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(theirs, 1)
        os.dup2(theirs, 2)
        os.environ.clear()
        os.environ.update({"test": case.name, NOTIFY: "1", "PATH": PATH, "XDG_CACHE_HOME": CACHE, **case.environment})
        time.tzset()
        with open("/proc/self/comm", "w") as file:  # cases look for this name
            file.write("bpftrace")
        status = _in_child(case)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status & 255)


def _in_child(case: Case) -> int:
    if "PROG" in case.given:
        flags = ["-q", "-f", "json"] if case.expects and case.expects[0][0] == "EXPECT_JSON" else []
        return _probee([*flags, "--verify-llvm-ir", "-e", case.given["PROG"]])
    command = case.given["RUN"]
    if command.startswith("{{BPFTRACE}} ") and not re.search(r"[|;&<>`$]", re.sub(r"'[^']*'", "", command)):
        return _probee(["--verify-llvm-ir", *shlex.split(command)[1:]])
    own = f"{shlex.quote(sys.executable)} -m probee --verify-llvm-ir"
    os.execv("/bin/sh", ["sh", "-c", command.replace("{{BPFTRACE}}", own)])
    raise AssertionError("execv returned")


def _probee(argv: list[str]) -> int:
    from probee.cli.main import main

    return main(argv)


def run(case: Case, tests: Path, *, slow: int) -> Result:
    """Run one case and compare."""
    if "SETUP" in case.given:
        subprocess.run(case.given["SETUP"], shell=True, capture_output=True, check=False, cwd=tests)
    pid, pipe = start(case, tests)
    output, after, timed_out = b"", None, False
    deadline, attached = time.monotonic() + ATTACH_S * slow, False
    try:
        while True:
            left = deadline - time.monotonic()
            ready = select.select([pipe], [], [], max(left, 0))[0] if left > 0 else []
            if not ready:
                if timed_out:
                    os.killpg(pid, signal.SIGKILL)
                    break
                timed_out, deadline = True, time.monotonic() + slow
                os.killpg(pid, signal.SIGTERM)
                continue
            chunk = os.read(pipe, 65536)
            if not chunk:
                break
            output += chunk
            if not attached and NOTIFY.encode() + b"\n" in output:
                attached = True
                deadline = time.monotonic() + case.timeout_s * slow
                if case.is_exact:
                    output = output.partition(NOTIFY.encode() + b"\n")[2]
                if "AFTER" in case.given:
                    after = subprocess.Popen(
                        case.given["AFTER"], shell=True, cwd=tests, start_new_session=True,
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    )  # fmt: skip
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(pipe)
        if after is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(after.pid, signal.SIGKILL)
            after.wait()
        if "CLEANUP" in case.given:
            subprocess.run(case.given["CLEANUP"], shell=True, capture_output=True, check=False, cwd=tests)
    return judge(case, output.decode("utf-8", "backslashreplace"), status, tests, timed_out=timed_out)


def judge(case: Case, output: str, status: int, tests: Path, *, timed_out: bool) -> Result:
    """Compare what a case printed with what it expects."""
    missing = [f"{kind} {text}" for kind, text in case.expects if not matches(kind, text, output, case, tests)]
    wanted = int(case.given.get("RETURN_CODE", "0"))
    if missing:
        return Result("failed", ("timeout: " if timed_out else "") + _why(output, missing[0]), output)
    if timed_out:
        return Result("passed", "", output)
    if "WILL_FAIL" in case.given:
        return Result("passed") if status else Result("failed", "ought to fail", output)
    return Result("passed") if status == wanted else Result("failed", f"status {status}: {_why(output, '')}", output)


def _why(output: str, missing: str) -> str:
    lines = output.splitlines()
    for line in lines:
        if "ERROR:" in line or "Error:" in line:
            return line[:160]
    if "Traceback" in output:
        return lines[-1][:160]
    return f"no {missing[:120]!r} in {output[:160]!r}"


def matches(kind: str, text: str, output: str, case: Case, tests: Path) -> bool:
    """Say whether an expectation is met."""
    if kind in ("EXPECT", "EXPECT_NONE"):
        return bool(re.search(rf"^\s*{re.escape(text)}\s*$", output, re.MULTILINE)) == (kind == "EXPECT")
    if kind in ("EXPECT_REGEX", "EXPECT_REGEX_NONE"):
        return bool(re.search(text, output, re.MULTILINE)) == (kind == "EXPECT_REGEX")
    wanted = (tests / text).read_text().strip()
    if kind == "EXPECT_FILE":
        at = case.given.get("LOCALIZE_TIMESTAMPS")
        return output.strip() == (time.strftime(wanted, time.localtime(int(at))) if at else wanted)
    try:
        if text.endswith(".ndjson"):
            return [json.loads(line) for line in output.strip().splitlines()] == [json.loads(x) for x in wanted.splitlines()]
        return bool(json.loads(output.strip()) == json.loads(wanted))
    except ValueError:
        return False


def preload() -> None:
    """Import what every case needs, once."""
    os.environ["XDG_CACHE_HOME"] = CACHE
    import probee.cli.run
    import probee.cli.script
    import probee.outputs.ndjson
    import probee.outputs.text
    import probee.runtime.session  # noqa: F401
    from probee.compiler.compile import compile
    from probee.kernel.target import LiveTarget

    compile('begin { @a[comm] = count(); @b = hist(1); printf("%s", str(0)); }', LiveTarget())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SAFE), help="kinds of probes that may be used")
    parser.add_argument("--needing", default="", help="only cases with a probe of one of these kinds")
    parser.add_argument("--filter", default="", help="regular expression on suite.name")
    parser.add_argument("--slow", type=int, default=1, help="factor for all time limits")
    parser.add_argument("-v", action="store_true", help="show the output of what failed")
    parser.add_argument("--skipped", action="store_true", help="list what was skipped")
    options = parser.parse_args()
    tests = Path(os.environ.get("BPFTRACE_SRC", "")) / "tests"
    if not (tests / "runtime").is_dir():
        parser.error("BPFTRACE_SRC must name a checkout of bpftrace")
    preload()
    table: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[str] = Counter()
    for case in read_cases(tests):
        label = f"{case.suite}.{case.name}"
        needed = set(options.needing.split(",")) if options.needing else None
        if not re.search(options.filter, label) or (needed is not None and not needed & case.providers):
            continue
        why = reason_to_skip(case, set(options.only.split(",")), tests)
        result = Result("skipped", why) if why else run(case, tests, slow=options.slow)
        table[case.suite][result.status] += 1
        if result.status == "skipped":
            reasons[why] += 1
            if options.skipped:
                print(f"skipped  {label}: {why}")
        elif result.status == "failed":
            print(f"FAILED   {label}: {result.why}", flush=True)
            if options.v:
                print(f"  {case.program}\n  {case.expects}\n{result.output}\n")
    _show(table, reasons)
    return 1 if any(counts["failed"] for counts in table.values()) else 0


def _show(table: dict[str, Counter[str]], reasons: Counter[str]) -> None:
    columns = ("passed", "failed", "skipped")
    print(f"{'suite':<16}" + "".join(f"{column:>9}" for column in columns))
    for suite, counts in sorted(table.items()):
        print(f"{suite:<16}" + "".join(f"{counts[column]:>9}" for column in columns))
    print(f"{'all':<16}" + "".join(f"{sum(c[column] for c in table.values()):>9}" for column in columns))
    for why, count in reasons.most_common():
        print(f"{count:>5} skipped: {why}")


PATH = os.environ.get("PATH", "")
CACHE = tempfile.mkdtemp()  # objects that an earlier version of the compiler made are not wanted

if __name__ == "__main__":
    sys.exit(main())
