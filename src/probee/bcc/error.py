"""BccError: what bcc raises as a plain Exception, with bcc's words, since programs print and match them."""

from __future__ import annotations

from probee.errors import ProbeeError


class BccError(ProbeeError):
    """An error with bcc's message; `reason` is the error of ours behind it, which says more, if there is one."""

    reason: ProbeeError | None = None


def because(message: str, error: ProbeeError) -> BccError:
    """Return bcc's error for one of ours, whose words are on the lines behind bcc's."""
    failure = BccError(f"{message}\n{error}")
    failure.reason = error
    return failure
