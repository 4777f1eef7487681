"""Names for functions: a job stores the name, each process looks the function up under it.

The name is ``module:qualname``. What runs as ``__main__`` is called by the name it has when imported, so that
``python app.py`` and ``uvicorn app:app`` share jobs. A lambda, a function inside another, a partial, a bound method
or a callable object has no such name; in memory it gets one for as long as the process lives.
"""

import functools
import inspect
import os.path
import sys
from collections.abc import Callable
from typing import Any, Final

from asched.errors import FunctionUnknown, InvalidArgument, UnstableFunction
from asched.values import Value

__all__ = ["Function", "Registry"]


class Function(Value):
    __slots__ = ("call", "is_async", "name", "stable")

    def __init__(self, name: str, call: Callable[..., Any], is_async: bool, stable: bool) -> None:
        self.name: Final = name
        self.call: Final = call
        self.is_async: Final = is_async
        self.stable: Final = stable
        """A later process finds the same function under the name."""


class Registry:
    """The functions that jobs of this process may name."""

    def __init__(self) -> None:
        self._functions: dict[str, Function] = {}
        self.get = self._functions.get
        """Return the function of this name, or ``None``. The dict's own method: each run asks twice."""
        self._names: dict[Callable[..., Any], str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._functions

    def __len__(self) -> int:
        return len(self._functions)

    def names(self) -> frozenset[str]:
        return frozenset(self._functions)

    def known(self, func: Callable[..., Any]) -> Function | None:
        """Return the function as it was registered, if it was."""
        try:
            name = self._names.get(func)
        except TypeError:  # an unhashable callable object
            return next((f for f in self._functions.values() if f.call is func), None)
        if name is None:
            return None
        function = self._functions[name]
        return function if function.call == func else None

    def find(self, func_name: str, func_module: str) -> Function:
        """Return the function of this name; ``__main__`` is understood as the module that runs.

        Raises:
            FunctionUnknown: None is registered.
        """
        if func_module == "__main__":
            func_module = _module_name("__main__")
        name = f"{func_module}:{func_name}"
        found = self._functions.get(name)
        if found is None:
            raise FunctionUnknown(name)
        return found

    def register(self, func: Callable[..., Any], name: str | None = None, *, durable: bool) -> tuple[Function, bool]:
        """Make the function known; return it and whether it took the place of an older one.

        Args:
            name: What to call it, with or without a module; by default its own name.
            durable: The store outlives this process, so a function without a name of its own is refused.

        Raises:
            InvalidArgument: It is not callable, or another function has the name.
            UnstableFunction: It needs a name.
        """
        if not callable(func):
            raise InvalidArgument(f"{func!r} is not callable; give a function, not its result", field="func")
        if name is not None:
            return self._register_named(func, name)
        known = self.known(func)
        if known is not None:
            return known, False
        own_name, stable = _own_name(func)
        if stable:
            holder = self._functions.get(own_name)
            if holder is not None and not _same_place(holder.call, func):
                raise _taken(own_name, holder.call, func)
            return self._keep(own_name, func, stable=True), holder is not None
        if durable:
            raise UnstableFunction(
                f"{own_name} is a lambda, a local function, a partial or an object: a later process cannot find it "
                "under that name; give it one with register_function(func, name='...') before jobs use it"
            )
        return self._keep(self._unused(own_name), func, stable=False), False

    def _register_named(self, func: Callable[..., Any], name: str) -> tuple[Function, bool]:
        if not isinstance(name, str) or not name.strip() or len(name) > 200 or not name.isprintable():
            raise InvalidArgument(
                f"name must be 1 to 200 printable characters, not {name!r}; say what the function does", field="name"
            )
        if ":" not in name:
            name = f"{_module_name(getattr(func, '__module__', None) or type(func).__module__)}:{name}"
        holder = self._functions.get(name)
        if holder is not None and holder.call != func and not _same_place(holder.call, func):
            raise _taken(name, holder.call, func)
        return self._keep(name, func, stable=True), holder is not None

    def _keep(self, name: str, func: Callable[..., Any], *, stable: bool) -> Function:
        function = self._functions[name] = Function(name, func, _is_async(func), stable)
        try:
            self._names[func] = name
        except TypeError:
            pass
        return function

    def _unused(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._functions:
            number += 1
            candidate = f"{name}#{number}"
        return candidate


def _own_name(func: Callable[..., Any]) -> tuple[str, bool]:
    inner = inspect.unwrap(func) if inspect.isfunction(func) else func
    while isinstance(inner, functools.partial):
        inner = inner.func
    module = getattr(inner, "__module__", None) or type(inner).__module__
    qualname = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    # A decorator runs before its name is bound in the module, so the name cannot be tried; "<" marks
    # "<lambda>" and "<locals>".
    stable = (inspect.isfunction(func) or inspect.isbuiltin(func)) and "<" not in qualname
    return f"{_module_name(module)}:{qualname}", stable


def _module_name(module: str) -> str:
    if module != "__main__":
        return module
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        # `python -m package` runs package.__main__; it is imported under that name as well.
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return os.path.splitext(os.path.basename(file))[0] if file else "__main__"


def _same_place(old: Callable[..., Any], new: Callable[..., Any]) -> bool:
    """Tell whether the same module-level ``def`` was executed again, as a notebook or a reload does."""
    if not (inspect.isfunction(old) and inspect.isfunction(new)):
        return False
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__) and "<" not in new.__qualname__


def _taken(name: str, old: Callable[..., Any], new: Callable[..., Any]) -> InvalidArgument:
    return InvalidArgument(
        f"{name!r} is the name of {old!r} already; register {new!r} under another name", field="name"
    )


def _is_async(func: Callable[..., Any]) -> bool:
    while isinstance(func, functools.partial):
        func = func.func
    if inspect.iscoroutinefunction(func):
        return True
    return not inspect.isroutine(func) and inspect.iscoroutinefunction(type(func).__call__)
