"""What only the person knows about a set: where the real images came from, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from synthgen.errors import SynthgenError

if TYPE_CHECKING:
    from synthgen.dataset.schema import Dataset, PublicDataset

NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Papers:
    """Answers for the card; None is shown as "not stated".

    Attributes:
        title: of the card.
        source: where the real images behind the set came from.
        licence: of the set, an identifier such as ``cc-by-4.0`` or a sentence.
        legal_basis: on which the real images were used: consent, contract, public interest …
        intended_use: what the set was made for.
    """

    title: str | None = None
    source: str | None = None
    licence: str | None = None
    legal_basis: str | None = None
    intended_use: str | None = None

    def to_json(self) -> dict[str, str | None]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Papers:
        """Raises SynthgenError for a question that isn't asked."""
        known = [field.name for field in fields(cls)]
        for name in value or {}:
            if name not in known:
                raise SynthgenError(
                    f"The card has no entry {name!r}.\nIts entries are {', '.join(known)}."
                )
        return cls(
            **{name: None if item is None else str(item) for name, item in (value or {}).items()}
        )

    @classmethod
    def stated_in(cls, dataset: Dataset | PublicDataset) -> Papers:
        """What a set says."""
        return cls(**{field.name: getattr(dataset.papers, field.name) for field in fields(cls)})


def stated(answer: str | None) -> str:
    return answer.strip() if answer and answer.strip() else NOT_STATED
