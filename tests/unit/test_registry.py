"""Names for functions: where they come from, when they hold, and when they are refused."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from asched.errors import FunctionUnknown, InvalidArgument, UnstableFunction
from asched.registry import Registry


def plain() -> None:
    """A module-level function."""


async def coroutine() -> None:
    """A module-level coroutine function."""


class Shop:
    def open(self) -> None:
        pass

    @staticmethod
    def clean() -> None:
        pass

    async def __call__(self) -> None:
        pass


MODULE = plain.__module__


@pytest.mark.parametrize(
    ("func", "name"),
    [(plain, "plain"), (coroutine, "coroutine"), (Shop.open, "Shop.open"), (Shop.clean, "Shop.clean")],
)
def test_name_of_a_function_is_module_and_qualname(func: Callable[..., object], name: str) -> None:
    function, replaced = Registry().register(func, durable=True)

    assert (f"{MODULE}:{name}", True, False) == (function.name, function.stable, replaced)


def test_builtin_function_has_a_name() -> None:
    function, _ = Registry().register(len, durable=True)

    assert "builtins:len" == function.name


@pytest.mark.parametrize(
    ("func", "is_async"),
    [
        (plain, False), (coroutine, True), (Shop(), True), (Shop().open, False),
        (functools.partial(coroutine), True), (functools.partial(functools.partial(plain)), False), (len, False),
        (lambda: None, False), (Shop, False),
    ],
)  # fmt: skip
def test_coroutine_functions_are_known_in_every_wrapping(func: Callable[..., object], is_async: bool) -> None:
    function, _ = Registry().register(func, durable=False)

    assert is_async is function.is_async


UNSTABLE = [lambda: None, functools.partial(plain), Shop(), Shop().open]


@pytest.mark.parametrize("func", UNSTABLE, ids=["lambda", "partial", "object", "method"])
def test_function_without_a_name_of_its_own_is_refused_where_jobs_outlive_the_process(
    func: Callable[..., object],
) -> None:
    registry = Registry()

    with pytest.raises(UnstableFunction, match=r"register_function\(func, name='\.\.\.'\)"):
        registry.register(func, durable=True)
    assert frozenset() == registry.names()


@pytest.mark.parametrize("func", UNSTABLE, ids=["lambda", "partial", "object", "method"])
def test_given_name_makes_any_function_stable(func: Callable[..., object]) -> None:
    registry = Registry()
    named, _ = registry.register(func, "app:job", durable=True)
    again, _ = registry.register(func, durable=True)

    assert ("app:job", True) == (named.name, named.stable)
    assert named is again


def test_local_function_is_refused_in_a_durable_store_and_named_in_memory() -> None:
    def local() -> None:
        pass

    with pytest.raises(UnstableFunction):
        Registry().register(local, durable=True)
    function, _ = Registry().register(local, durable=False)
    assert not function.stable
    assert function.name.endswith("<locals>.local")


def test_two_functions_without_a_name_get_two_names_in_memory() -> None:
    registry = Registry()
    first, _ = registry.register(lambda: 1, durable=False)
    second, _ = registry.register(lambda: 2, durable=False)
    again, _ = registry.register(first.call, durable=False)

    assert first.name != second.name
    assert first is again


def test_name_without_a_module_gets_that_of_the_function() -> None:
    function, _ = Registry().register(plain, "report", durable=True)

    assert f"{MODULE}:report" == function.name


def test_name_of_another_function_is_refused() -> None:
    registry = Registry()
    registry.register(plain, "app:job", durable=True)

    with pytest.raises(InvalidArgument, match="under another name") as caught:
        registry.register(coroutine, "app:job", durable=True)
    assert "name" == caught.value.field
    kept = registry.get("app:job")
    assert kept is not None
    assert plain is kept.call


def test_own_name_that_another_function_was_given_is_refused() -> None:
    registry = Registry()
    registry.register(coroutine, f"{MODULE}:plain", durable=True)

    with pytest.raises(InvalidArgument, match="under another name"):
        registry.register(plain, durable=True)
    kept = registry.get(f"{MODULE}:plain")
    assert kept is not None
    assert coroutine is kept.call


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, 5])
def test_wrong_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidArgument, match="name"):
        Registry().register(plain, name, durable=True)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("thing", [None, 5, "plain"])
def test_what_cannot_be_called_is_refused(thing: object) -> None:
    with pytest.raises(InvalidArgument, match="not callable"):
        Registry().register(thing, durable=False)  # type: ignore[arg-type]  # the point of the test


def _execute(source: str) -> Callable[..., object]:
    module: dict[str, object] = {"__name__": "notebook"}
    exec(source, module)
    found = module["cell"]
    assert callable(found)
    return found


def test_module_level_function_executed_again_takes_the_place_of_the_old_one() -> None:
    registry = Registry()
    old = _execute("def cell(): return 'old'")
    new = _execute("def cell(): return 'new'")
    registry.register(old, durable=True)
    function, replaced = registry.register(new, durable=True)

    assert ("notebook:cell", True) == (function.name, replaced)
    assert registry.get("notebook:cell") is function
    assert "new" == function.call()


def test_unhashable_object_is_found_again_by_identity() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]  # the point of the class

        def __call__(self) -> None:
            pass

    registry = Registry()
    thing = Unhashable()
    first, _ = registry.register(thing, durable=False)
    second, _ = registry.register(thing, durable=False)
    other, _ = registry.register(Unhashable(), durable=False)

    assert first is second
    assert first.name != other.name


def _in_main(monkeypatch: pytest.MonkeyPatch, **attributes: object) -> Callable[[], None]:
    main = ModuleType("__main__")
    for name, value in attributes.items():
        setattr(main, name, value)
    monkeypatch.setitem(sys.modules, "__main__", main)

    def job() -> None:
        pass

    job.__module__, job.__qualname__ = "__main__", "job"
    return job


class _Spec:
    name = "shop.app"


@pytest.mark.parametrize(
    ("attributes", "name"),
    [({"__spec__": _Spec, "__file__": "/srv/x.py"}, "shop.app:job"), ({"__file__": "/srv/app.py"}, "app:job"),
     ({}, "__main__:job")],
    ids=["python -m shop.app", "python app.py", "prompt"],
)  # fmt: skip
def test_main_is_stored_under_the_name_it_has_when_imported(
    attributes: dict[str, object], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry()
    function, _ = registry.register(_in_main(monkeypatch, **attributes), durable=True)

    assert name == function.name
    assert function is registry.find("job", "__main__")
    assert function is registry.find("job", name.partition(":")[0])


def test_unknown_function_is_told_with_the_name_that_was_asked_for() -> None:
    with pytest.raises(FunctionUnknown, match="call register_function first") as caught:
        Registry().find("job", "app")

    assert "app:job" == caught.value.func
    assert isinstance(caught.value, LookupError)
