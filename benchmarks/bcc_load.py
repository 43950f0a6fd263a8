"""A BCC program that compiles and loads one C text, attaches nothing, and tells what came of it: run by benchmarks/bcc.py.

    python bcc_load.py TEXT.json        under bcc itself, or `probee bcc bcc_load.py TEXT.json`

TEXT.json holds {"text", "cflags", "types": {function: program type}, "only_compiled": [function, ...]}.  The last line is JSON:
instructions by function, and what was refused.
"""

import json
import sys

from bcc import BPF


def main() -> None:
    with open(sys.argv[1]) as file:
        case = json.load(file)
    BPF._trace_autoload = lambda self: None  # what attaches by its name
    bpf = BPF(text=case["text"], cflags=case["cflags"])
    sizes, refused = {}, {}
    for name, kind in case["types"].items():
        try:
            if name not in case["only_compiled"]:
                bpf.load_func(name, kind)
            sizes[name] = len(bpf.dump_func(name)) // 8
        except Exception as error:
            refused[name] = str(error)[:200]
    print(json.dumps({"sizes": sizes, "refused": refused}))


main()
