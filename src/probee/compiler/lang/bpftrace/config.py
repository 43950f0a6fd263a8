"""The config block and the BPFTRACE_* environment: keys, defaults, checks (reference §5.3).

The environment wins over the script.  What the runtime needs of it goes into ObjectSpec.options under the same names.
"""

from __future__ import annotations

from probee.compiler.lang.bpftrace import ast
from probee.errors import CompileError, UsageError

LICENSES = ("Dual MIT/GPL", "Dual BSD/GPL", "Dual MPL/GPL", "GPL and additional rights", "GPL v2", "GPL")

DEFAULTS: dict[str, int | str | bool] = {
    "cache_user_symbols": "PER_PID",
    "cpp_demangle": True,
    "lazy_symbolication": True,
    "license": "GPL",
    "log_size": 1_000_000,
    "max_bpf_progs": 1024,
    "max_cat_bytes": 10240,
    "max_map_keys": 4096,
    "max_probes": 1024,
    "max_strlen": 1024,
    "missing_probes": "error",
    "on_stack_limit": 32,
    "perf_rb_pages": 0,
    "print_maps_on_exit": True,
    "show_debug_info": True,
    "stack_mode": "bpftrace",
    "str_trunc_trailer": "..",
    "use_blazesym": False,
    "unstable_dw_ustack": "warn",
    "unstable_import_statement": "error",
    "unstable_tseries": "warn",
    "unstable_typeinfo": "error",
}

# Keys whose value is one of a few words, written in any case; the text that names them in an error.
_CHOICES = {
    "cache_user_symbols": (("PER_PID", "PER_PROGRAM", "NONE"), "PER_PID, PER_PROGRAM, and NONE"),
    "missing_probes": (("error", "warn", "ignore"), "ignore, warn, and error"),
    "stack_mode": (("bpftrace", "perf", "raw", "build_id"), "bpftrace, perf, raw, and build_id"),
}
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")
_RENAMED = {
    "cat_bytes_max": "max_cat_bytes",
    "map_keys_max": "max_map_keys",
    "strlen": "max_strlen",
    "no_cpp_demangle": "cpp_demangle",
}
_DEPRECATED = (
    "symbol_source", "max_type_res_iterations", "unstable_addr", "unstable_import", "unstable_macro", "unstable_map_decl",
)  # fmt: skip
_ENVIRONMENT_ONLY = ("btf", "kernel_build", "kernel_source", "vmlinux")


class Config:
    """The values in force.  `explicit` holds the keys that script or environment set."""

    __slots__ = ("explicit", "values", "warnings")

    def __init__(self) -> None:
        self.values = dict(DEFAULTS)
        self.explicit: set[str] = set()
        self.warnings: list[tuple[str, int]] = []

    def number(self, key: str) -> int:
        return int(self.values[key])

    def text(self, key: str) -> str:
        return str(self.values[key])

    def set(self, key: str, value: int | str | bool, span: int = 0) -> None:
        """Check and set one value; raises CompileError."""
        default = DEFAULTS[key]
        if key.startswith("unstable_"):
            self.values[key] = _unstable(key, value, span)
        elif isinstance(default, bool):
            self.values[key] = _boolean(key, value, span)
        elif isinstance(default, int):
            self.values[key] = _number(key, value, span)
        elif key == "license":
            if value not in LICENSES:
                raise CompileError(f"Invalid value for license. Found: {value}. Valid values: {', '.join(LICENSES)}", span)
            self.values[key] = value
        elif key in _CHOICES:
            self.values[key] = _choice(key, value, str(self.values[key]), span)
        else:
            self.values[key] = str(value)
        self.explicit.add(key)


def _unstable(key: str, value: int | str | bool, span: int) -> str:
    if not isinstance(value, str):
        return "enable" if value else "error"
    word = value.lower()
    if word in ("enable", "warn", "error"):
        return word
    if word in (*_TRUE, *_FALSE):
        return "enable" if word in _TRUE else "error"
    raise CompileError(f"{key}: Invalid value for unstable config: valid values are enable, warn, and error.", span)


def _boolean(key: str, value: int | str | bool, span: int) -> bool:
    if not isinstance(value, str):
        return bool(value)
    if value.lower() in (*_TRUE, *_FALSE):
        return value.lower() in _TRUE
    raise CompileError(f"{key}: Invalid bool value: valid values are true, false, 1 or 0.", span)


def _number(key: str, value: int | str | bool, span: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).replace("_", "").lower()
    base = 16 if text.startswith("0x") else 2 if text.startswith("0b") else 8 if text.startswith("0") and len(text) > 1 else 10
    try:
        number = int(text, base)
    except ValueError:
        number = -1
    if number < 0:
        shown = value if isinstance(value, str) else str(value).lower()
        raise CompileError(f"{key}: expecting a number, got {shown}", span)
    return number


def _choice(key: str, value: int | str | bool, now: str, span: int) -> str:
    words, shown = _CHOICES[key]
    found = next((word for word in words if word.lower() == str(value).lower()), None)
    if found is None and key == "cache_user_symbols" and str(value).lower() in (*_TRUE, *_FALSE):  # what it was once
        return now if str(value).lower() in _TRUE else "NONE"
    if found is None:
        raise CompileError(f"{key}: Invalid value for {key}: valid values are {shown}.", span)
    return found


def read_config(block: ast.Config | None, environment: dict[str, str]) -> Config:
    """Return the configuration of a script; raises CompileError at the item that is wrong, UsageError for the environment."""
    config = Config()
    for item in block.items if block is not None else ():
        key = item.key.lower().removeprefix("bpftrace_")
        if key in _RENAMED:
            config.warnings.append((f"{item.key} has been renamed, please use {_RENAMED[key]}", item.span))
            key = _RENAMED[key]
        if key in _DEPRECATED:
            config.warnings.append((f"{item.key} is deprecated and has no effect", item.span))
        elif key in _ENVIRONMENT_ONLY:
            raise CompileError(f"{item.key}: can only be set as an environment variable", item.span)
        elif key not in DEFAULTS:
            raise CompileError(f"{item.key}: not a known configuration option", item.span)
        else:
            config.set(key, _value(item.value), item.span)
    for key in DEFAULTS:
        text = environment.get(f"BPFTRACE_{key.upper()}")
        if text is not None:
            try:
                config.set(key, text)
            except CompileError as error:
                message = error.message.removeprefix(f"{key}: ")
                raise UsageError(f"BPFTRACE_{key.upper()}: {message}", exit_status=2) from None
    return config


def _value(node: ast.Expr) -> int | str | bool:
    if isinstance(node, ast.StringLiteral):
        return node.value.decode("utf-8", "replace")
    if isinstance(node, (ast.IntLiteral, ast.BoolLiteral)):
        return node.value
    assert isinstance(node, ast.Identifier)
    return node.name

