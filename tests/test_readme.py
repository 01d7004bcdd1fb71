"""What the README and the pages in docs/ show does work: every block of Python, every command."""

import re
import shlex
import shutil
import warnings
from pathlib import Path

import pytest

from eegfoundation import SimulatedTrainingWarning, UntrainedWeightsWarning
from eegfoundation.cli import COMMANDS, build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += [ROOT / name for name in ("demo_data/README.md", "models/README.md")]
PAGES += sorted((ROOT / "docs").glob("**/*.md"))
#: Language, a package that the block needs ("python moabb"), code.
FENCE = re.compile(r"^( *)```(\w*)(?: (\w+))?[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
PACKAGES = ("moabb", "braindecode")
#: Any recording that a page names stands for the one that ships.
RECORDING = "motor_imagery.edf"


def blocks(page, *languages, package=None):
    """The code in a page's fenced blocks, with the line where each begins.

    Those that need no package beyond ours, or those that need this one.
    """
    text = page.read_text(encoding="utf-8")
    return [
        (text[: found.start()].count("\n") + 1, found[4])
        for found in FENCE.finditer(text)
        if found[2] in languages and found[3] == package
    ]


def commands(page):
    """Command lines of a page: in shell blocks, and `inline` ones that begin with the command."""
    text = page.read_text(encoding="utf-8")
    lines = [
        line.strip().removeprefix("$ ").partition(" #")[0].strip()
        for _, block in blocks(page, "bash", "console", "sh", "shell")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [*lines, *re.findall(r"`((?:eegfoundation|make) [^`]+)`", text)]


PYTHON = [
    pytest.param(code, id=f"{page.name}:{line}")
    for page in PAGES
    # whose blocks are one script: tests/test_estimators.py and tests/integrations run them
    if page.exists() and page.name not in ("braindecode.md", "scikit_learn.md")
    for line, code in blocks(page, "python")
]
OTHERS = [
    pytest.param(package, code, id=f"{page.name}:{line}")
    for page in PAGES
    if page.exists()
    for package in PACKAGES
    for line, code in blocks(page, "python", package=package)
]
SHELL = sorted({command for page in PAGES if page.exists() for command in commands(page)})
OURS = [command for command in SHELL if re.match(r"eegfoundation\b(?!\.)", command)]


def test_the_readme_shows_code_and_commands():
    """Without this, a README whose blocks are not found would pass."""
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    assert len(blocks(readme, "python")) >= 3
    assert text.count("```") == 2 * len(FENCE.findall(text))
    assert text.count("```python") == len(blocks(readme, "python"))
    assert len(OURS) >= 3
    assert "make demo" in SHELL
    assert "make test" in SHELL
    assert "not a medical device" in text.lower()


def test_every_block_of_python_is_run_somewhere():
    """A block that needs a package nobody knows here would be passed over."""
    for page in filter(Path.exists, PAGES):
        known = [blocks(page, "python", package=package) for package in (None, *PACKAGES)]
        assert sum(map(len, known)) == page.read_text(encoding="utf-8").count("```python"), page


def test_the_published_quick_start_is_there_word_for_word():
    code = "\n".join(code for _, code in blocks(ROOT / "README.md", "python"))
    for line in (
        "from src.models.downstream_EEGFoundation import load_downstream_model",
        'model_path="models/BCIC-2a_model.pth"',
        'config_path="configs/BCIC_IV_2a_config.json"',
        "outputs = model(input_ids=torch.randn(2, 20, 2000), embedding_data=torch.randn(2, 512))",
        "torch.softmax(outputs['logits'], dim=-1)",
    ):
        assert line in code


def visible():
    """Files at the root, without the caches of tools that run at the same time."""
    return {path.name for path in ROOT.iterdir() if path.name[0] not in "._"}


@pytest.mark.parametrize("code", PYTHON)
def test_python(code, monkeypatch):
    """From the root of the repository, each in a namespace of its own, as a reader pastes it."""
    before = visible()
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrainedWeightsWarning)
        warnings.simplefilter("ignore", SimulatedTrainingWarning)  # the quick start's
        exec(compile(code, "README", "exec"), {"__name__": "__main__"})
    assert visible() == before, "an example leaves files in the clone"


@pytest.mark.filterwarnings("default")  # of those packages and what they import
@pytest.mark.parametrize(("package", "code"), OTHERS)
def test_python_with_another_package(package, code, monkeypatch, tmp_path):
    """Where it is installed: `make test-integrations`."""
    pytest.importorskip(package, reason=f"{package} is not installed: make test-integrations")
    monkeypatch.setenv("MNE_DATA", str(tmp_path))
    before = visible()
    monkeypatch.chdir(ROOT)
    exec(compile(code, "README", "exec"), {"__name__": "__main__"})
    assert visible() == before, "an example leaves files in the clone"


@pytest.mark.parametrize("command", [line for line in SHELL if line.split()[:1] == ["make"]])
def test_make(command):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    words = [word for word in command.split()[1:] if "=" not in word and word[:1] != "-"]
    assert set(words) <= set(targets)


@pytest.mark.parametrize("line", OURS)
def test_commands_exist(line):
    """Whatever takes long is only parsed: the command, its flags and their types are right."""
    name, *args = shlex.split(line)[1:] or ["--help"]
    assert name in COMMANDS or name.startswith("-")
    if "FILE" not in line and "..." not in line and name in COMMANDS and args:
        assert build_parser().parse_args([name, *args]).command == name


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.SimulatedTrainingWarning")
@pytest.mark.parametrize(
    "line",
    # those that need no other file than a recording
    [
        line
        for line in OURS
        if re.search(r"(embed|predict|tokenize|info) \S+\.edf", line) and "runs/" not in line
    ],
)
def test_commands_run(line, command, tmp_path, monkeypatch):
    """On 12 s and three channels of the recording that ships, under the name that the page uses."""
    import mne

    monkeypatch.chdir(tmp_path)
    shipped = mne.io.read_raw_edf(ROOT / "demo_data" / RECORDING, verbose="ERROR")
    short = shipped.pick(["C3", "Cz", "C4"]).crop(0, 12, include_tmax=False).load_data()
    args = []
    for word in shlex.split(line)[1:]:
        if word.endswith(".edf"):
            names = ["a.edf", "b.edf"] if "*" in word else [word]
            for name in names:
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                if not Path(name).exists():
                    mne.export.export_raw(name, short, verbose="ERROR")
            args += names
        elif Path(ROOT / word).is_file():
            Path(word).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / word, word)
            args.append(word)
        else:
            args.append(word)
    code, out, _ = command(*args)
    assert code == 0
    assert out
