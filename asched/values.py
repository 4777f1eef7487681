"""What immutable things share that are read in every run: they are their fields.

Reading a field of a named tuple takes 14 ns on CPython 3.11, reading a slot 3, and a run reads some 35. A frozen
dataclass has slots as well, but importing its module and making the class would be a tenth of ``import asched``.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, ClassVar, Self

__all__ = ["Value"]


class Value:
    """A thing that equals another of its class when their fields are equal.

    A subclass names its fields, two or more, in ``__slots__`` and sets each as ``Final`` for the type checker to guard.
    A guard at run time would double what making one costs; a subclass that users see has one of its own.
    """

    __slots__: tuple[str, ...] = ()
    _read: ClassVar[Callable[[object], tuple[Any, ...]]]

    def __init_subclass__(cls) -> None:
        cls._read = attrgetter(*cls.__slots__)

    def values(self) -> tuple[Any, ...]:
        """Return the fields, in the order of ``__slots__``."""
        return type(self)._read(self)

    def asdict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dict(zip(self.__slots__, self.values(), strict=True))

    def replace(self, **changes: Any) -> Self:
        """Return a copy with these fields changed.

        Raises:
            TypeError: It has no such field.
        """
        return type(self)(**(self.asdict() | changes))

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or self.values() == other.values()

    def __hash__(self) -> int:
        return hash(self.values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in self.asdict().items())})"
