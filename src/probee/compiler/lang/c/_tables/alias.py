"""Names that kernel headers have for members that lie deeper."""
ALIASES: dict[str, tuple[str, ...]] = {}
