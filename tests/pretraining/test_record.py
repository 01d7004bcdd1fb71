import json

import pytest

from eegfoundation.checksums import write_sums
from eegfoundation.corpus.reader import Corpus
from eegfoundation.errors import ConfigError, OutputError
from eegfoundation.models import SIZES, EEGFoundationConfig
from eegfoundation.pretraining import record

SETTINGS = {
    "out": "here",
    "corpus": "there",
    "steps": 10,
    "model_config": None,
    "learning_rate": 5e-4,
    "workers": 0,
    "log_steps": 5,
    "save_steps": 5,
    "report_to": "none",
}


@pytest.fixture
def start(tmp_path, corpus):
    def start(folder="run", n_processes=1, of=corpus, config=None, **changes):
        config = config or EEGFoundationConfig(**SIZES["tiny"])
        settings = {**SETTINGS, **changes}
        return record.start_run(tmp_path / folder, settings, Corpus(of), config, n_processes)

    return start


def checkpoint(folder, step, state=None):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"weights")
    if state is not False:
        (path / "trainer_state.json").write_text(state or json.dumps({"global_step": step}))
    return path


def test_a_run_says_what_it_is(start, tmp_path, corpus):
    run = start()
    assert run == json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["settings"] == SETTINGS
    assert run["corpus_hash"] == json.loads((corpus / "corpus.json").read_text())["hash"]
    assert run["corpus_settings"]["window"] == 2.0
    assert run["model"]["tokens_per_position"] == 25
    assert run["processes"] == 1
    assert {"eegfoundation", "torch", "transformers", "numpy"} == set(run["versions"])


def test_a_run_goes_on_with_the_same_settings(start):
    first = start()
    assert start() == first
    free = {"workers": 3, "log_steps": 1, "save_steps": 2, "report_to": "tensorboard"}
    assert start(**free, out="elsewhere", corpus="moved") == first


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 11}, "['steps']"),
        ({"learning_rate": 1e-3, "model_config": "x.json"}, "['model_config', 'learning_rate']"),
        ({"n_processes": 2}, "['processes']"),
        ({"config": EEGFoundationConfig(**SIZES["tiny"], rope_theta=5e3)}, "['model']"),
        ({"a_setting_of_a_later_version": 1}, "['a_setting_of_a_later_version']"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings(start, tmp_path, change, named):
    start()
    before = (tmp_path / "run" / "run.json").read_bytes()
    with pytest.raises(ConfigError) as error:
        start(**change)
    assert str(error.value) == (
        f"{tmp_path / 'run'} holds a run with other values of {named}; continue it with the same "
        "values or choose another folder."
    )
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_a_run_does_not_go_on_with_another_corpus(start, make_corpus):
    start()
    with pytest.raises(ConfigError, match=r"other values of \['corpus'\]"):
        start(of=make_corpus(seed=3))


def test_strange_checkpoints_are_not_taken_for_ours(start, tmp_path):
    checkpoint(tmp_path / "run", 5)
    with pytest.raises(ConfigError, match=r"has checkpoints but no run\.json"):
        start()


def test_a_folder_that_is_a_file(start, tmp_path):
    (tmp_path / "run").write_text("precious")
    with pytest.raises(OutputError, match="is a file; a folder is needed"):
        start()


def test_the_last_finished_checkpoint_is_found_and_unfinished_ones_go(tmp_path):
    assert record.last_checkpoint(tmp_path) is None
    for step in (5, 10, 9):
        checkpoint(tmp_path, step)
    torn = [checkpoint(tmp_path, 15, False), checkpoint(tmp_path, 20, '{"global_step": 2')]
    (tmp_path / "encoder").mkdir()
    assert record.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert not any(path.exists() for path in torn)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("checkpoint-5", "checkpoint-9", "checkpoint-10", "encoder"),
    }


@pytest.mark.parametrize("more", [[], ["trainer_state.json"]])
def test_a_checkpoint_half_removed_goes_without_a_word(tmp_path, more):
    """Killed while the old one was being removed, after the new one was written."""
    gone = ["model.safetensors", *more]
    for step in (5, 10):
        folder = checkpoint(tmp_path, step)
        write_sums(folder, ["model.safetensors", "trainer_state.json"])
    for name in gone:
        (tmp_path / "checkpoint-5" / name).unlink()
    assert record.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert not (tmp_path / "checkpoint-5").exists()
    for name in gone:
        (tmp_path / "checkpoint-10" / name).unlink()
    with pytest.warns(UserWarning, match="checkpoint-10 is damaged and was removed"):
        assert record.last_checkpoint(tmp_path) is None


def test_only_unfinished_checkpoints_are_none(tmp_path):
    checkpoint(tmp_path, 5, False)
    assert record.last_checkpoint(tmp_path) is None


def test_every_recording_is_listed(corpus):
    listed = record.training_data(Corpus(corpus))
    assert listed["recordings"] == [
        {"recording": f"set/r{i}.npz", "subject": f"set/r{i}"} for i in range(2)
    ]
    assert (listed["n_windows"], listed["n_subjects"], listed["channel_hours"]) == (180, 2, 0.1)
