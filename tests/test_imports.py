"""Who may import whom, what importing costs, and that the public names are there."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import eegfoundation

PACKAGE = Path(eegfoundation.__file__).parent
MODULES = {
    ".".join(["eegfoundation", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(
        ".__init__"
    ): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# The only modules that may join data and models: what a command or a user's one-liner runs
STAGES = {
    *(
        "__init__",
        "cli",
        "demo",
        "embedding",
        "evaluation",
        "electrode_map",
        "export",
        "explain",
        "features",
    ),
    *("finetuning", "info", "estimators", "integrations", "prediction", "pretraining"),
    *("conversion", "covariance", "recording_alignment", "report", "stream", "streaming"),
}
MODELS_MAY_USE = {
    *("eegfoundation.errors", "eegfoundation.montage", "eegfoundation.preprocessing"),
    *("eegfoundation.tokenizer", "eegfoundation.models", "eegfoundation.paths"),
    *("eegfoundation.checksums", "eegfoundation.outputs", "eegfoundation.alignments"),
}
HEAVY = {"torch", "transformers", "mne", "scipy", "sklearn", "pandas", "matplotlib"}


def imported(module):
    """Modules of this package that a module imports anywhere in it, even within functions."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inside & MODULES.keys()) or {node.module}
    return {name for name in found if name.split(".")[0] == "eegfoundation"}


def part(module):
    """First name below the package: `models` of eegfoundation.models.config."""
    return [*module.split("."), "__init__"][1]


def loaded_by(code):
    """Top-level modules in memory after running code in a fresh interpreter."""
    code += "\nimport sys; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_rules_below_look_at_real_imports():
    assert "eegfoundation.tokenizer" in imported("eegfoundation.models.config")
    assert "eegfoundation.models" in imported("eegfoundation.embedding")  # within a function
    assert "eegfoundation.cli" in MODULES


@pytest.mark.parametrize("module", sorted(m for m in MODULES if part(m) not in STAGES | {"models"}))
def test_data_modules_never_import_models(module):
    stages_and_models = {m for m in imported(module) if part(m) in STAGES | {"models"}}
    assert stages_and_models <= {"eegfoundation"}


@pytest.mark.parametrize("module", sorted(m for m in MODULES if part(m) == "models"))
def test_models_import_neither_data_nor_commands_nor_training(module):
    outside = {m for m in imported(module) if not m.startswith("eegfoundation.models")}
    assert outside <= MODELS_MAY_USE


def test_nothing_imports_the_command_line():
    assert [m for m in MODULES if "eegfoundation.cli" in imported(m)] == []


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import eegfoundation; dir(eegfoundation)") & {*HEAVY, "numpy"}


def test_the_command_line_loads_nothing_heavy():
    code = "from eegfoundation.cli import build_parser; build_parser()"
    assert not loaded_by(code) & {"torch", "transformers", "mne", "pandas", "matplotlib"}


def test_data_modules_load_no_model_library():
    names = [m for m in MODULES if part(m) not in STAGES | {"models"} and m != "eegfoundation"]
    loaded = loaded_by("\n".join(f"import {name}" for name in names))
    assert "numpy" in loaded
    assert not loaded & {"torch", "transformers"}


@pytest.mark.parametrize("name", eegfoundation.__all__)
def test_public_names_resolve(name):
    assert getattr(eegfoundation, name).__name__ == name
    assert getattr(eegfoundation, name).__doc__


def test_public_names_are_explicit():
    assert sorted(eegfoundation.__all__) == eegfoundation.__all__ == dir(eegfoundation)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = eegfoundation.nothing
    for module in ("eegfoundation.models",):
        loaded = importlib.import_module(module)
        assert all(hasattr(loaded, name) for name in loaded.__all__)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_shadows_a_public_name(module):
    """A module `embed` would replace the function `eegfoundation.embed` once it is imported."""
    assert part(module) not in eegfoundation.__all__


def test_functions_stay_reachable_after_their_modules_were_imported():
    loaded_by(
        "import eegfoundation.embedding, eegfoundation.prediction, eegfoundation.report\n"
        "import eegfoundation\n"
        "assert callable(eegfoundation.embed) and callable(eegfoundation.predict)\n"
        "assert callable(eegfoundation.make_report)"
    )
