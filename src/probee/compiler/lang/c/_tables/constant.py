"""Constants."""
CONSTANTS: dict[str, tuple[int, str]] = {}
