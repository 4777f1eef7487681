"""What stands for a trigger of the user's own class while the code that has it is away."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from asched.triggers.base import Lang

__all__ = ["CodeTrigger"]


@dataclass(frozen=True, slots=True)
class CodeTrigger:
    """Stands for a trigger of the user's own class until the code that declares its job supplies it.

    It never comes due: a job whose rule is not there must wait, not end, so stores keep it out of the window.
    """

    mark: str
    """The fingerprint of the trigger it stands for."""

    def next_after(self, after: datetime) -> datetime | None:
        return None

    def describe(self, lang: Lang = "en") -> str:
        return self.mark

    def fingerprint(self) -> str:
        return self.mark
