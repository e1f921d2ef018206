"""The layers import each other only downwards."""

import ast
from pathlib import Path

import pytest

import rtfm_app

PACKAGE = Path(rtfm_app.__file__).parent
# Whoever matches the first must not import, when it is loaded, what starts with one of the others.
RULES = {
    "model": ("rtfm_app.memory", "rtfm_app.engine", "rtfm_app.display"),
    "memory": ("rtfm_app.model", "rtfm_app.engine", "rtfm_app.display", "torch"),
    "display": ("torch", "rtfm_app.model", "rtfm_app.engine", "rtfm_app.training"),
    "input.py": ("torch", "rtfm_app.engine"),
    "camera.py": ("torch", "rtfm_app.engine"),
    "app.py": ("torch", "rtfm_app.engine", "rtfm_app.model"),
    "geometry.py": ("torch", "rtfm_app"),
    "imports": ("torch", "rtfm_app.display", "rtfm_app.worlds"),
    "training": ("rtfm_app.app", "rtfm_app.worker", "rtfm_app.display"),
    "engine.py": ("rtfm_app.worker", "rtfm_app.display", "rtfm_app.worlds", "moderngl", "glfw"),
    "cli.py": ("torch", "moderngl", "glfw", "imgui_bundle", "rtfm_app.worlds"),
}


def module_name(path: Path) -> str:
    parts = ["rtfm_app", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def direct_imports(path: Path) -> set[str]:
    """Absolute names of what a module imports when it is loaded (not inside functions)."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    statements = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while statements:
        node = statements.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            statements += [child for child in ast.iter_child_nodes(node)]
    return found


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}
GRAPH = {name: direct_imports(path) for name, path in MODULES.items()}


def loaded_by(name: str) -> set[str]:
    """Everything that loading a module loads, as far as this package's own modules tell."""
    seen, waiting = set(), [name]
    while waiting:
        for imported in GRAPH.get(waiting.pop(), ()):
            if imported not in seen:
                seen.add(imported)
                waiting.append(imported)
    return seen


def members(part: str) -> list[str]:
    path = PACKAGE / part
    files = [path] if path.is_file() else sorted(path.rglob("*.py"))
    assert files, f"there is no {part} to check"
    return [module_name(file) for file in files]


@pytest.mark.parametrize("part", RULES)
def test_a_part_does_not_load_what_is_above_it(part):
    for name in members(part):
        for imported in loaded_by(name):
            forbidden = [
                rule for rule in RULES[part] if imported == rule or imported.startswith(rule + ".")
            ]
            own = imported == "rtfm_app" and part != "geometry.py"
            assert not forbidden or own, f"{name} loads {imported}"


def test_nothing_at_run_time_needs_the_training_worlds():
    for name in MODULES:
        if name.startswith(("rtfm_app.worlds.", "rtfm_app.training")) or name == "rtfm_app.worlds":
            continue
        assert not any(i.startswith("rtfm_app.worlds.") for i in loaded_by(name)), name


def test_the_walker_sees_imports():
    assert "torch" in GRAPH["rtfm_app.engine"]
    assert "rtfm_app.memory.world_file" in loaded_by("rtfm_app.cli")
