"""Whether a member's papers are in order: the agreement it signed and the training of its people."""

from __future__ import annotations

from datetime import date


def receives(
    *,
    may_receive: bool,
    agreement_version: int,
    agreement_demanded: int,
    training_valid_until: date | None,
    is_training_required: bool,
    on: date,
) -> bool:
    """Whether a member on these terms is served on that UTC day, as long as its membership runs."""
    return may_receive and is_in_good_standing(
        agreement_version=agreement_version,
        agreement_demanded=agreement_demanded,
        training_valid_until=training_valid_until,
        is_training_required=is_training_required,
        on=on,
    )


def is_in_good_standing(
    *,
    agreement_version: int,
    agreement_demanded: int,
    training_valid_until: date | None,
    is_training_required: bool,
    on: date,
) -> bool:
    """True if on that UTC day the agreement is new enough and, where demanded or dated, training has not lapsed.

    A date counts even where the programme demands no training: whoever wrote it down meant it.
    """
    if agreement_version < agreement_demanded:
        return False
    if training_valid_until is None:
        return not is_training_required
    return on <= training_valid_until
