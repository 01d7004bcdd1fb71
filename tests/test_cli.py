"""The command line as a user meets it: help, outputs, one sentence per mistake, no half files."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import eegfoundation
from eegfoundation import AmplitudeTokenizer, Embeddings
from eegfoundation.cli import COMMANDS, build_parser
from samples import files_in, noise, waves, write_edf

EXECUTABLE = [sys.executable, "-m", "eegfoundation.cli"]


def run(*args, **kwargs):
    """`eegfoundation` as a process of its own, without network."""
    command = [*EXECUTABLE, *(str(arg) for arg in args)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **kwargs)


@pytest.fixture
def edf(tmp_path):
    return write_edf(tmp_path / "night.edf", waves(100))


@pytest.fixture
def embed(command, encoder_folder):
    """`eegfoundation embed --model <tiny>`."""
    return lambda *args: command("embed", *args, "--model", encoder_folder)


# ---- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("args", [["--help"], ["embed", "--help"]])
def test_help_imports_nothing_heavy(args):
    """What help costs is imports: 0.4 s of processor time without these, 4 s with them."""
    code = (
        f"import sys; sys.argv = ['eegfoundation', *{args}]\n"
        "from eegfoundation.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: print(e.code, *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    code, *modules = done.stderr.split()
    assert code == "0"
    heavy = {"torch", "mne", "transformers", "scipy", "matplotlib", "pandas", "sklearn"}
    assert not heavy & set(modules)
    assert "jsonargparse" in modules
    assert done.stdout.startswith("usage: eegfoundation")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(command, name):
    code, out, err = command(name, "--help")
    assert (code, err) == (0, [])
    text = "\n".join(out)
    assert COMMANDS[name].__doc__.splitlines()[0][:40] in text
    for parameter in COMMANDS[name].__annotations__:
        assert parameter == "return" or parameter in text.lower()
    # every option has a text: the docstring is complete and its names are right
    for action in build_parser()._subparsers._group_actions[0].choices[name]._actions:
        assert action.help, f"{name} {action.dest}"


def test_the_list_of_commands(command):
    code, out, _ = command("--help")
    assert code == 0
    for name in COMMANDS:
        assert any(line.strip().startswith(name) for line in out)
    assert any("Not a medical device" in line for line in out)
    assert command("--version")[1] == [f"eegfoundation {eegfoundation.__version__}"]


def test_the_script_that_is_installed():
    script = Path(sys.executable).with_name("eegfoundation")
    done = subprocess.run([script, "--version"], capture_output=True, text=True)
    assert done.stdout.strip() == f"eegfoundation {eegfoundation.__version__}"


# ---- results ------------------------------------------------------------------------------------


def test_several_files_two_of_the_same_stem(embed, tmp_path):
    x = waves(100)
    a = write_edf(tmp_path / "a" / "rest.edf", x)
    b = write_edf(tmp_path / "b" / "rest.edf", x[:2])
    c = write_edf(tmp_path / "b" / "task.edf", x[:1])
    code, out, err = embed(a, b, c, "--out", tmp_path / "out", "--window", "5")
    assert (code, err) == (0, [])
    stems = {"a_rest-edf": 3, "b_rest-edf": 2, "task": 1}
    for (stem, n_chans), line in zip(stems.items(), out, strict=True):
        path = tmp_path / "out" / f"{stem}_embeddings.npz"
        assert line == f"{path}: 6 windows, {n_chans} channels, 128 values each"
        assert Embeddings.load(path).values.shape == (6, n_chans, 128)
    assert len(files_in(tmp_path / "out")) == 6


def test_one_bad_file_among_good_ones(embed, tmp_path):
    good = [write_edf(tmp_path / f"{name}.edf") for name in ("a", "b")]
    empty = tmp_path / "empty.edf"
    empty.touch()
    files = (good[0], empty, tmp_path / "absent.edf", good[1])
    code, out, err = embed(*files, "--out", tmp_path / "out")
    assert code == 2
    assert len(out) == 2
    assert files_in(tmp_path / "out") == [
        *("a_embeddings.npz", "a_embeddings.preprocessing.json"),
        *("b_embeddings.npz", "b_embeddings.preprocessing.json"),
    ]
    assert err == [
        "empty.edf is empty (0 bytes): copy it again from its source.",
        f"{tmp_path / 'absent.edf'} does not exist: check the path.",
        "eegfoundation: 2 of 4 files failed, for the reasons above.",
    ]


def test_an_npy_file_needs_a_rate_and_takes_names(embed, tmp_path):
    np.save(tmp_path / "x.npy", waves(100))
    code, _, err = embed(tmp_path / "x.npy", "--out", tmp_path)
    assert (code, len(err)) == (2, 1)
    assert "sfreq" in err[0]
    code, _, err = embed(
        *(tmp_path / "x.npy", "--out", tmp_path, "--sfreq", "100"),
        *("--ch_names", "[C3, Cz, EEG C4-REF]"),
    )
    assert (code, err) == (0, [])
    assert Embeddings.load(tmp_path / "x_embeddings.npz").ch_names == ["C3", "Cz", "C4"]


def test_channels_of_a_file_can_be_chosen(embed, edf, tmp_path):
    code, _, err = embed(edf, "--out", tmp_path, "--ch_names", "[Cz, Fp1]")
    assert (code, err) == (0, [])
    assert Embeddings.load(tmp_path / "night_embeddings.npz").ch_names == ["Cz", "Fp1"]


def test_settings_from_a_yaml_file(embed, edf, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"files: ['{edf}']\nout: {tmp_path / 'out'}\nwindow: 5\noverlap: 2.5\n")
    code, _, err = embed("--config", recipe)
    assert (code, err) == (0, [])
    path = tmp_path / "out" / "night_embeddings.npz"
    assert Embeddings.load(path).values.shape == (11, 3, 128)
    # a flag after it goes before it
    code, _, err = embed("--config", recipe, "--overlap", "0", "--overwrite", "true")
    assert (code, err) == (0, [])
    assert Embeddings.load(path).values.shape == (6, 3, 128)


def test_a_yaml_file_with_a_wrong_key_is_refused(embed, edf, tmp_path):
    (tmp_path / "recipe.yaml").write_text("windows: 5\n")
    code, _, err = embed(edf, "--out", tmp_path / "out", "--config", tmp_path / "recipe.yaml")
    assert code == 2
    assert "windows" in err[-1]
    assert files_in(tmp_path / "out") == []


def test_untrained_weights_and_short_recordings_are_said(tmp_path, encoder_folder):
    path = write_edf(tmp_path / "x.edf", waves(100, duration=3))
    done = run("embed", path, "--out", tmp_path, "--model", encoder_folder)
    assert done.returncode == 0, done.stderr
    untrained, *said = done.stderr.splitlines()
    assert "UNTRAINED" in untrained
    assert "x.edf: one window of 3 s: the recording is shorter than 10 s" in said
    assert all(line.startswith("x.edf: ") for line in said)
    history = json.loads((tmp_path / "x_embeddings.preprocessing.json").read_text())
    assert "UNTRAINED" in history["encoder"]["notice"]


def test_the_other_commands_run(command, edf, tmp_path):
    code, out, err = command("tokenize", edf, "--out", tmp_path, "--scaling", "minmax")
    assert (code, err) == (0, [])
    with np.load(tmp_path / "night_tokens.npz") as file:
        settings = json.loads(str(file["tokenizer"]))
    assert AmplitudeTokenizer.from_dict(settings).scaling == "minmax"
    code, out, err = command("info", edf)
    assert (code, err) == (0, [])
    assert out[0].split() == ["recording", "night.edf"]
    code, out, err = command("predict", edf, "--out", tmp_path)
    assert code == 0
    assert out[-1].endswith("7 windows, classes left_hand, right_hand, feet, tongue")
    assert "night_predictions.csv" in files_in(tmp_path)


# ---- mistakes -----------------------------------------------------------------------------------


def make_text(folder):
    (folder / "x.edf").write_text("This is no EDF file. " * 100)
    return folder / "x.edf"


def make_truncated(folder):
    path = write_edf(folder / "x.edf")
    path.write_bytes(path.read_bytes()[:1000])
    return path


def make_empty(folder):
    (folder / "x.edf").touch()
    return folder / "x.edf"


MISTAKES = {
    "missing": (lambda folder: folder / "x.edf", "x.edf does not exist: check the path."),
    "text": (make_text, "x.edf does not begin as EDF files do"),
    "truncated": (make_truncated, "x.edf"),
    "empty": (make_empty, "x.edf is empty (0 bytes)"),
    "folder": (lambda folder: folder, "is a folder: give the path of one recording in it."),
}


@pytest.mark.parametrize("name", ["embed", "tokenize", "predict", "report", "info"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_file_is_one_sentence(command, encoder_folder, tmp_path, name, mistake):
    make, expected = MISTAKES[mistake]
    folder = tmp_path / "in"
    folder.mkdir()
    more = [] if name == "info" else ["--out", tmp_path / "out" / "x.html"]
    if name in ("embed", "report"):
        more += ["--model", encoder_folder]
    if name == "report":
        more += ["--classes", "false"]
    code, out, err = command(name, make(folder), *more)
    assert (code, out, len(err)) == (2, [], 1), err
    assert err[0].startswith("eegfoundation: ")
    assert expected in err[0]
    assert files_in(tmp_path / "out") == []


def test_the_same_as_a_process(tmp_path):
    done = run("tokenize", make_text(tmp_path), "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "x.edf does not begin as EDF files do" in done.stderr


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["--window", "0.1"], "a window must last at least 0.5 s"),
        (["--window", "1e308"], "and at most 1e+09 s"),
        (["--window", "9" * 400], "a number of more than 1e308"),
        (["--device", "nowhere"], "device='nowhere' cannot be used"),
        (["--device", "meta"], "device='meta' cannot be used"),
        (["--overlap", "10"], "overlap must lie between 0 s and the window"),
        (["--units", "kV"], "units='kV' is unknown"),
        (["--line_freq", "-50"], "line_freq must be a positive number"),
        (["--line_freq", "1e-320"], "line_freq must be a positive number"),
        (["--sfreq", "123"], "but sfreq=123 was given"),
        (["--ch_names", "[Pz]"], "Pz"),
    ],
)
def test_a_wrong_setting_is_one_sentence(embed, edf, tmp_path, args, expected):
    code, out, err = embed(edf, "--out", tmp_path / "out", *args)
    assert (code, out, len(err)) == (2, [], 1), err
    assert expected in err[0]
    assert files_in(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("window: !!float abc\n", "cannot be read as YAML: could not convert string to float"),
        ("window: !!timestamp x\n", "one of the settings cannot be read as YAML"),
        ('window: !!int ""\n', "one of the settings cannot be read as YAML"),
        (f"window: {'9' * 5000}\n", "one of the settings cannot be read as YAML"),
        ('units: "a\\0b"\n', "units holds a NUL character"),
    ],
)
def test_a_value_that_is_none_is_one_sentence(embed, edf, tmp_path, text, expected):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    code, out, err = embed(edf, "--out", tmp_path / "out", "--config", recipe)
    assert (code, out, len(err)) == (2, [], 1), err
    assert expected in err[0]


def test_of_a_name_of_thousands_of_letters_the_ends_are_shown(embed, edf, tmp_path):
    name = "first" + "x" * 3000 + "last"
    code, out, err = embed(edf, "--out", tmp_path / "out", "--ch_names", f"[{name}]")
    assert (code, out, len(err)) == (2, [], 1)
    assert "first" in err[0]
    assert "last" in err[0]
    assert len(err[0]) < 900


def test_an_unknown_model_is_one_sentence(edf, tmp_path):
    done = run("embed", edf, "--out", tmp_path / "out", "--model", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "nonsense" in done.stderr


@pytest.mark.parametrize("model", ["base", "folder"])
def test_a_model_without_weights_is_one_sentence(command, edf, tmp_path, model):
    (tmp_path / "folder").mkdir()
    model = tmp_path / "folder" if model == "folder" else model
    code, out, err = command("embed", edf, "--out", tmp_path / "out", "--model", model)
    assert (code, out, len(err)) == (2, [], 1), err
    assert str(model) in err[0]


def test_an_output_folder_that_is_a_file(embed, edf, tmp_path):
    (tmp_path / "file").write_text("precious")
    code, out, err = embed(edf, "--out", tmp_path / "file")
    assert (code, out, len(err)) == (2, [], 1)
    assert "is a file; a folder is needed" in err[0]
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_must_not_be_written(embed, edf, tmp_path):
    (tmp_path / "out").mkdir(mode=0o500)
    code, out, err = embed(edf, "--out", tmp_path / "out")
    assert (code, out, len(err)) == (2, [], 1)
    assert "Permission denied" in err[0]


def test_an_existing_result_is_kept_unless_asked(embed, edf, tmp_path):
    path = tmp_path / "night_embeddings.npz"
    path.write_text("precious")
    code, out, err = embed(edf, "--out", tmp_path)
    assert (code, out, len(err)) == (2, [], 1)
    assert "exists already" in err[0]
    assert path.read_text() == "precious"
    code, _, err = embed(edf, "--out", tmp_path, "--overwrite", "true")
    assert (code, err) == (0, [])
    assert Embeddings.load(path).ch_names == ["Fp1", "C3", "Cz"]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nonsense"],
        ["embed"],
        ["embed", "x.edf"],  # --out is required
        ["embed", "x.edf", "--out", "out", "--nonsense", "1"],
        ["embed", "x.edf", "--out", "out", "--wind", "4"],  # no guessing
        ["embed", "x.edf", "--out", "out", "--window", "long"],
    ],
)
def test_what_argparse_refuses(command, args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command(*args)
    assert (code, out) == (2, [])
    assert any(line.startswith("error:") for line in err)
    assert not any("Traceback" in line for line in err)
    assert files_in(tmp_path) == []


def test_our_own_mistakes_keep_their_traceback(command, monkeypatch, edf):
    def broken(target: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setitem(COMMANDS, "info", broken)
    with pytest.raises(ZeroDivisionError):
        command("info", edf)


# ---- interruptions ------------------------------------------------------------------------------


def test_what_fails_midway_leaves_nothing(embed, tmp_path, monkeypatch):
    """The second block of a recording cannot be read: a disk was pulled out."""
    from eegfoundation.errors import RecordingError
    from eegfoundation.preprocessing import PreprocessedReader

    path = write_edf(tmp_path / "x.edf", noise(2, 400 * 100))
    read = PreprocessedReader.read

    def read_once(self, start, stop):
        if start > 0:
            assert all(name.endswith(".unfinished") for name in files_in(tmp_path / "out"))
            raise RecordingError("x.edf is gone.")
        return read(self, start, stop)

    monkeypatch.setattr(PreprocessedReader, "read", read_once)
    code, out, err = embed(path, "--out", tmp_path / "out")
    assert (code, out, err) == (2, [], ["eegfoundation: x.edf is gone."])
    assert files_in(tmp_path / "out") == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_ctrl_c_leaves_nothing(encoder_folder, tmp_path):
    sfreq, hours = 200, 48  # far more than could be done before the signal
    shape = (8, hours * 3600 * sfreq)
    np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, shape)  # zeros take no space
    args = ["embed", tmp_path / "x.npy", "--out", tmp_path / "out", "--sfreq", sfreq]
    # a test run that was itself started in the background hands down that SIGINT is ignored
    listening = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from eegfoundation.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", listening, *map(str, args), "--model", encoder_folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        begun = tmp_path / "out" / "x_embeddings.npz.unfinished"
        while not begun.exists() and time.monotonic() < deadline:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
        assert all(name.endswith(".unfinished") for name in files_in(tmp_path / "out"))
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "eegfoundation: interrupted; only finished results are kept."
    assert "Traceback" not in err
    assert files_in(tmp_path / "out") == []
