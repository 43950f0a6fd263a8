"""The verifier's refusal, told in the user's source: which line, and why in plain words."""

from __future__ import annotations

from probee.errors import VerifierError
from probee.model.spec import ObjectSpec, ProgramSpec


def rejection(errno: int, log: str, spec: ProgramSpec, object: ObjectSpec, code: bytes) -> VerifierError:
    lines = log.strip().splitlines()
    return VerifierError(errno, f"{spec.name}: " + " | ".join(lines[-3:]), log=log)
