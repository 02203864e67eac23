"""Digests of the package's own code: a result made by other code is another result.

Which code made a result is read from the code: a module counts with all modules of the package that it imports, those
imported inside functions too, and those that these import. What counts of each is its syntax, without comments and
docstrings: a better explanation makes nothing stale.

Two kinds of modules are leaves, neither counted nor followed:
- `physiopipe.params`: a value of a parameter enters the digest of what it determines by itself, and a new parameter
  must not make stale what does not know it. (A method's `Settings` is in the method's own file, and counts.)
- registries: they name every method and cohort, and a new line in them changes none of the others.

What only a type checker imports (`if TYPE_CHECKING`) is no import, and import strings are not followed.

A method or cohort of another package counts in the same way, with that package's own modules (those below its top-level
name) and all of ours that they import; what else it computes with, it names in `libraries`.
"""

import ast
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import physiopipe
from physiopipe.errors import PhysiopipeError
from physiopipe.files import sha256_json

LEAVES = ("physiopipe.params", "physiopipe.methods.registry", "physiopipe.cohorts.registry")


class Package:
    """Source files of a package, and of others that build on it, each parsed once, when it is first asked for.

    Args:
        root: the package's folder.
        beside: folders (or single files) of other packages by name, whose modules count too.
    """

    def __init__(self, root: Path, name: str = "physiopipe", beside: Mapping[str, Path] | None = None) -> None:
        self.name, self._root = name, root
        self._roots = {name: root, **(beside or {})}
        self._modules: dict[str, _Module] = {}

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """Dotted names of all modules, packages by their own name."""
        found = (path.relative_to(self._root).with_suffix("").parts for path in self._root.rglob("*.py"))
        return tuple(sorted(".".join((self.name, *parts)).removesuffix(".__init__") for parts in found))

    def imports(self, module: str) -> frozenset[str]:
        """Modules of the package that a module imports, wherever in its text."""
        return self._module(module).imports

    def closure(self, modules: Iterable[str], leaves: tuple[str, ...] = LEAVES) -> tuple[str, ...]:
        """These modules and all that they import of the package, `__init__` files on the way too; without leaves."""
        found: set[str] = set()
        waiting = list(modules)
        while waiting:
            name = waiting.pop()
            if name not in found and not any(name == leaf or name.startswith(f"{leaf}.") for leaf in leaves):
                found.add(name)
                waiting += self.imports(name)
                parts = name.split(".")
                first = 2 if parts[0] == self.name else 1  # our root's `__init__` imports nothing
                waiting += [".".join(parts[:end]) for end in range(first, len(parts))]
        return tuple(sorted(found))

    def digest(self, modules: Iterable[str]) -> str:
        """Digest of the syntax of these modules and of all that they import.

        Raises:
            PhysiopipeError: the package has no such module, or one that is not Python.
        """
        return sha256_json({name: self._module(name).digest for name in self.closure(modules)})

    def reread(self, module: str) -> None:
        """Parse a module anew when it is next asked for: its file has changed."""
        self._modules.pop(module, None)

    def path_of(self, module: str) -> Path | None:
        """The file of a module or package, or None where there is none."""
        top, *parts = module.split(".")
        root = self._roots.get(top)
        if root is None:
            return None
        if root.is_file():
            return None if parts else root
        place = root.joinpath(*parts)
        for path in (place.with_suffix(".py"), place / "__init__.py"):
            if path.is_file():
                return path
        return None

    def _module(self, name: str) -> "_Module":
        if name not in self._modules:
            path = self.path_of(name)
            if path is None:
                root = self._roots.get(name.partition(".")[0], self._root)
                raise PhysiopipeError(f"The package has no module {name} below {root}: install it again.")
            try:
                tree = ast.parse(path.read_bytes(), str(path))
            except SyntaxError as error:
                raise PhysiopipeError(f"{path} is no Python ({error}): install the package again.") from None
            self._modules[name] = _Module(name, path.name == "__init__.py", tree, self)
        return self._modules[name]


class _Module:
    """What of a module's text counts."""

    def __init__(self, name: str, is_package: bool, tree: ast.Module, package: Package) -> None:
        self._parent = name if is_package else name.rpartition(".")[0]
        self.imports = frozenset(self._imported(tree, package)) - {name}
        self.digest = hashlib.sha256(ast.dump(_Plain().visit(tree)).encode()).hexdigest()

    def _imported(self, tree: ast.Module, package: Package) -> Iterable[str]:
        for node in _run_code(tree):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parts = self._parent.split(".")
                    base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
                named = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            else:
                continue
            found = [dotted for dotted in named if dotted != package.name and package.path_of(dotted) is not None]
            if isinstance(node, ast.ImportFrom) and len(found) == len(node.names) + 1:
                found = found[1:]  # every name is a module of the package that is named
            yield from found


def _run_code(tree: ast.AST) -> Iterable[ast.AST]:
    """Every node but those that only a type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            for other in node.orelse:
                yield other
                yield from _run_code(other)
            continue
        yield node
        yield from _run_code(node)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"


class _Plain(ast.NodeTransformer):
    """Takes docstrings out; positions are no part of a dump, and comments no part of a tree."""

    def _without_docstring(self, node: ast.AST) -> ast.AST:
        self.generic_visit(node)
        assert isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
        return node

    visit_Module = visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = _without_docstring  # noqa: N815


@cache
def _installed(others: tuple[str, ...] = ()) -> Package:
    return Package(Path(physiopipe.__file__).parent, beside={name: _place_of(name) for name in others})


def _place_of(top: str) -> Path:
    """The folder of another package, or the file of a single module; nothing of it is run."""
    spec = find_spec(top)
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    if spec is None or spec.origin is None:
        raise PhysiopipeError(f"The package {top} is not there: install it again.")
    return Path(spec.origin)


@cache
def code_digest(*modules: str) -> str:
    """Digest of the code that these modules, ours or another installed package's, are made of: `Package.digest`."""
    others = {name.partition(".")[0] for name in modules} - {physiopipe.__name__}
    return _installed(tuple(sorted(others))).digest(modules)


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Installed versions of the distributions that a method computes with."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    return version(name)  # reads and parses the distribution's whole description
