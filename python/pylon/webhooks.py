"""The import path `pylon.webhooks`: the same modules as `pylon_webhooks`, not copies.

If py-usepylon-sdk is installed too, `pylon.webhooks` is that package's: a package folder takes precedence over this file. Import
`pylon_webhooks` then.
"""

import sys

import pylon_webhooks

TYPE_CHECKING = False  # importing `typing` takes longer than importing all of this package
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class _Alias:
    """Finds `pylon.webhooks.flask` as `pylon_webhooks.flask`: a module loaded under both names would be two modules."""

    @classmethod
    def find_spec(
        cls, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if not name.startswith(_PREFIX):
            return None
        from importlib.machinery import ModuleSpec
        from importlib.util import find_spec

        real = find_spec("pylon_webhooks." + name.removeprefix(_PREFIX))
        if real is None:
            return None
        return ModuleSpec(name, cls, is_package=real.submodule_search_locations is not None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - its two methods are all that is called

    @staticmethod
    def create_module(spec: "ModuleSpec") -> "ModuleType":
        from importlib import import_module

        module = import_module("pylon_webhooks." + spec.name.removeprefix(_PREFIX))
        # The import system is about to give the module the alias's specification.
        spec.loader_state = module.__spec__
        return module

    @staticmethod
    def exec_module(module: "ModuleType") -> None:
        spec = module.__spec__
        if spec is not None:
            module.__spec__ = spec.loader_state


_PREFIX = f"{__name__}."
_NAME = __name__
sys.modules[_NAME] = pylon_webhooks
for _name, _module in [*sys.modules.items()]:
    if _name.startswith("pylon_webhooks."):
        sys.modules[_PREFIX + _name.removeprefix("pylon_webhooks.")] = _module
sys.meta_path.insert(0, _Alias)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - as a class it has the method that is called
