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
    "show_debug_info": False,
    "stack_mode": "bpftrace",
    "str_trunc_trailer": "..",
    "use_blazesym": False,
    "unstable_dw_ustack": "warn",
    "unstable_import_statement": "error",
    "unstable_tseries": "warn",
    "unstable_typeinfo": "error",
}

_CHOICES = {
    "cache_user_symbols": ("PER_PID", "PER_PROGRAM", "NONE"),
    "missing_probes": ("error", "warn", "ignore"),
    "stack_mode": ("bpftrace", "perf", "raw", "build_id"),
    "license": LICENSES,
}
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
            value = {"true": "enable", "false": "error", "1": "enable", "0": "error"}.get(str(value).lower(), str(value))
            if value not in ("enable", "warn", "error"):
                raise CompileError("Invalid value for unstable config: valid values are enable, warn, and error.", span)
        elif isinstance(default, bool):
            value = _boolean(key, value, span)
        elif isinstance(default, int):
            if isinstance(value, (str, bool)):
                raise CompileError(f"Invalid type for {key}. Type: string. Expected Type: int", span)
        elif key in _CHOICES and value not in _CHOICES[key]:
            raise CompileError(f"Invalid value for {key}. Found: {value}. Valid values: {', '.join(_CHOICES[key])}", span)
        self.values[key] = value
        self.explicit.add(key)


def _boolean(key: str, value: int | str | bool, span: int) -> bool:
    if isinstance(value, bool):
        return value
    if value in (0, 1, "0", "1"):
        return int(value) == 1
    raise CompileError(f"Invalid value for {key}. Found: {value}. Expected a boolean (true, false, 1 or 0)", span)


def read_config(block: ast.Config | None, environment: dict[str, str]) -> Config:
    """Return the configuration of a script; raises CompileError at the item that is wrong, UsageError for the environment."""
    config = Config()
    for item in block.items if block is not None else ():
        key = item.key.lower().removeprefix("bpftrace_")
        if key in _RENAMED:
            config.warnings.append((f"{key} has been renamed, please use {_RENAMED[key]}", item.span))
            key = _RENAMED[key]
        if key in _DEPRECATED:
            config.warnings.append((f"{key} is deprecated and has no effect", item.span))
        elif key in _ENVIRONMENT_ONLY:
            raise CompileError(f"{key} can only be set as an environment variable", item.span)
        elif key not in DEFAULTS:
            raise CompileError(f"{item.key}: not a known configuration option", item.span)
        else:
            config.set(key, _value(item.value), item.span)
    for key, default in DEFAULTS.items():
        text = environment.get(f"BPFTRACE_{key.upper()}")
        if text is not None:
            try:
                config.set(key, _number(key, text) if isinstance(default, int) and not isinstance(default, bool) else text)
            except CompileError as error:
                raise UsageError(f"BPFTRACE_{key.upper()}: {error.message}", exit_status=2) from None
    return config


def _value(node: ast.Expr) -> int | str | bool:
    if isinstance(node, ast.StringLiteral):
        return node.value.decode("utf-8", "replace")
    if isinstance(node, (ast.IntLiteral, ast.BoolLiteral)):
        return node.value
    assert isinstance(node, ast.Identifier)
    return node.name


def _number(key: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"BPFTRACE_{key.upper()}: expecting a number, got {text}", exit_status=2) from None
