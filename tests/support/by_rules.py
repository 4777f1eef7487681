"""A store to which nothing is plain: the rules decide every call that the store may otherwise answer by itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from asched.rules import plain
from asched.store import ClaimedRow, ClaimRow, FinishRow, Put, PutItem, PutMode, PutRow, Store, Timer
from asched.stores.memory import MemoryStore


class ByRules:
    """The same store by another way: whatever it answers without the rules, they answer here.

    A store asks :func:`~asched.rules.plain.is_plain_claim` and :func:`~asched.rules.plain.is_plain_end` before it does
    so. While a call of this object runs, the answer is always no.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked = 0
        """How often the store asked. If it never does, it is compared with itself."""
        self._places = [
            (module, question.__name__)
            for name, module in sys.modules.items()
            if name.startswith("asched.stores.")
            for question in (plain.is_plain_claim, plain.is_plain_end)
            if getattr(module, question.__name__, None) is question
        ]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def claim(self, epoch: int, claims: Sequence[ClaimRow]) -> Sequence[ClaimedRow]:
        with self._nothing_is_plain():
            return await self._store.claim(epoch, claims)

    async def finish(self, epoch: int, ends: Sequence[FinishRow]) -> tuple[Sequence[bool | None], list[Timer]]:
        with self._nothing_is_plain():
            return await self._store.finish(epoch, ends)

    async def put_jobs(self, mode: PutMode, items: Sequence[PutRow]) -> list[Put]:
        if isinstance(self._store, MemoryStore):
            return self._store._put_by_rules(mode, list(map(PutItem._make, items)), await self._store.now())
        return await self._store.put_jobs(mode, items)

    @contextmanager
    def _nothing_is_plain(self) -> Iterator[None]:
        def no(_: object) -> bool:
            self.asked += 1
            return False

        with pytest.MonkeyPatch.context() as patch:
            for module, question in self._places:
                patch.setattr(module, question, no)
            yield
