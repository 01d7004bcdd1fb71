"""What `predict` promises: one row per window, probabilities, and an account of both."""

import copy
import itertools
import json
import shutil
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import torch

from eegfoundation import load_downstream_model, predict, preprocess, read_recording
from eegfoundation.errors import (
    CheckpointError,
    ConfigError,
    ModelInputError,
    OutputError,
    SimulatedTrainingWarning,
    UntrainedWeightsWarning,
)
from eegfoundation.models import (
    DownstreamConfig,
    EEGFoundationForClassification,
    fingerprint,
    save_downstream_model,
)
from eegfoundation.prediction import class_names, load_classifier, predict_files
from samples import NAMES, files_in, noise, waves, write_edf

CLASSES = ["left", "right", "feet"]
THREE = {"sfreq": 200, "ch_names": ["C3", "Cz", "C4"]}
PUBLISHED = {
    "seq_len": 800,
    "patch_size": 100,
    "stride": 100,
    "d_model": 32,
    "num_classes": 3,
    "num_channel": 22,
    "embedding_dim": 128,
    "projection_embedding_dim": 24,
    "classification_hidden_dim": 20,
}


@pytest.fixture(scope="module")
def classifier(encoder, encoder_folder):
    config = DownstreamConfig(
        **PUBLISHED,
        class_names=CLASSES,
        encoder=str(encoder_folder),
        encoder_sha256=fingerprint(encoder),
    )
    torch.manual_seed(0)
    model = EEGFoundationForClassification(config).eval()
    with torch.no_grad():
        model.final_layer.weight.mul_(30)  # decisions that differ visibly ...
    model.attach_encoder(encoder)
    x = torch.from_numpy(waves(200).reshape(3, -1, 1000).swapaxes(0, 1).copy())
    with torch.no_grad():
        model.final_layer.bias.sub_(model(x.float()).logits.mean(0))  # ... and are not all the same
    return model


@pytest.fixture(scope="module")
def saved(classifier, tmp_path_factory):
    """The two files that a command is given."""
    folder = tmp_path_factory.mktemp("classifier")
    save_downstream_model(classifier, folder / "model.pth")
    values = {**PUBLISHED, "model_type": DownstreamConfig.model_type}
    (folder / "config.json").write_text(json.dumps(values))
    return str(folder / "model.pth"), str(folder / "config.json")


def probabilities(table):
    return table[[f"p_{name}" for name in CLASSES]].to_numpy()


def raw_of(x, names, sfreq=200):
    info = mne.create_info(names, sfreq, "eeg", verbose="ERROR")
    return mne.io.RawArray(x * 1e-6, info, verbose="ERROR")


def test_table(classifier):
    table = predict(waves(200), classifier, **THREE)
    columns = ["start", "stop", "predicted", "p_left", "p_right", "p_feet", "quality"]
    assert list(table.columns) == columns
    assert len(table) == 7  # 30 s in windows of the model's own 4 s
    np.testing.assert_allclose(table["start"], 4 * np.arange(7))
    np.testing.assert_allclose(table["stop"], 4 * np.arange(7) + 4)
    p = probabilities(table)
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)
    assert ((p > 0) & (p < 1)).all()
    assert table["predicted"].tolist() == [CLASSES[i] for i in p.argmax(1)]
    assert np.ptp(p, axis=0).max() > 0.3  # it depends on the window
    np.testing.assert_array_equal(table["quality"], 1)


def test_a_row_is_what_the_classifier_makes_of_its_window(classifier):
    source = read_recording(waves(200), **THREE)
    table = predict(source, classifier)
    recording = preprocess(source, classifier.preprocessing)
    windows = recording.get_data(0, 5600).reshape(3, 7, 800).swapaxes(0, 1)
    positions = torch.from_numpy(recording.positions)
    with torch.no_grad():
        outputs = [
            classifier(window[None], positions=positions) for window in torch.tensor(windows)
        ]
    expected = torch.cat([output.logits.softmax(-1) for output in outputs])
    np.testing.assert_allclose(probabilities(table), expected, atol=1e-4)
    shares = torch.cat([output.attentions[0] for output in outputs])
    assert shares.std(0).max() > 1e-4  # so that their mean is not just any of them
    assert list(table.attrs["attention"].values()) == pytest.approx(
        shares.mean(0).tolist(), abs=1e-6
    )


def test_windows_of_another_length_that_overlap(classifier):
    table = predict(waves(200), classifier, 6.0, 3.0, **THREE)
    np.testing.assert_allclose(table["start"], 3 * np.arange(9))
    np.testing.assert_allclose(table["stop"] - table["start"], 6)


def test_more_than_one_block(classifier):
    """Blocks of a minute: the rows go on where the block before ended."""
    x = waves(200, duration=130)
    table = predict(x, classifier, **THREE)
    np.testing.assert_allclose(table["start"], 4 * np.arange(32))
    assert table.index.tolist() == list(range(32))
    alone = predict(x[:, : 32 * 800], classifier, 4.0, **THREE)
    np.testing.assert_allclose(probabilities(table)[:20], probabilities(alone)[:20], atol=1e-3)


def test_any_channels_will_do(classifier):
    for n_chans in (1, 2, 6):
        x = waves(200, n_chans=n_chans)
        table = predict(x, classifier, sfreq=200, ch_names=NAMES[:n_chans])
        np.testing.assert_allclose(probabilities(table).sum(1), 1, atol=1e-6)
        share = table.attrs["attention"]
        assert list(share) == NAMES[:n_chans]
        assert sum(share.values()) == pytest.approx(1, abs=1e-5)


def test_the_order_of_channels_does_not_matter_but_their_place_does(classifier):
    x = waves(200)
    table = predict(x, classifier, **THREE)
    order = [2, 0, 1]
    names = [THREE["ch_names"][i] for i in order]
    same = predict(x[order], classifier, sfreq=200, ch_names=names)
    np.testing.assert_allclose(probabilities(same), probabilities(table), atol=1e-5)
    assert same.attrs["attention"] == pytest.approx(table.attrs["attention"], abs=1e-5)
    moved = predict(x, classifier, sfreq=200, ch_names=["Oz", "Cz", "F8"])
    assert np.abs(probabilities(moved) - probabilities(table)).max() > 1e-3


def test_bad_channels_are_left_out(classifier):
    x = waves(200)
    raw = raw_of(x, THREE["ch_names"])
    raw.info["bads"] = ["Cz"]
    table = predict(raw, classifier)
    without = predict(raw.copy().drop_channels("Cz"), classifier)
    np.testing.assert_allclose(probabilities(table), probabilities(without), atol=1e-5)
    np.testing.assert_allclose(table["quality"], 2 / 3, atol=1e-6)
    assert table.attrs["attention"]["Cz"] == pytest.approx(0, abs=1e-6)


def test_a_window_without_usable_data_has_no_answer(classifier, saved, tmp_path):
    x = waves(200)
    x[:, 800:1600] = np.nan
    table = predict(x, classifier, **THREE)
    assert np.isnan(probabilities(table)[1]).all()
    assert pd.isna(table["predicted"][1])
    assert table["quality"][1] == 0
    rest = table.drop(index=1)
    assert np.isfinite(probabilities(rest)).all()
    assert rest["predicted"].isin(CLASSES).all()
    nothing = predict(np.zeros((3, 2000)), classifier, **THREE)
    assert np.isnan(probabilities(nothing)).all()
    assert "attention" not in nothing.attrs


def test_epochs_are_one_row_each(classifier):
    x = np.stack([waves(200, duration=2, seed=seed) for seed in range(4)])
    table = predict(x, classifier, **THREE)
    assert len(table) == 4
    np.testing.assert_allclose(table["start"], [0, 2, 4, 6])
    np.testing.assert_allclose(probabilities(table).sum(1), 1, atol=1e-6)
    alone = predict(x[2:3], classifier, **THREE)
    np.testing.assert_allclose(probabilities(alone)[0], probabilities(table)[2], atol=1e-3)


def test_a_model_in_training_is_used_without_dropout_and_stays_in_training(classifier):
    expected = probabilities(predict(waves(200), classifier, **THREE))
    classifier.train()
    try:
        found = probabilities(predict(waves(200), classifier, **THREE))
        assert classifier.training
        assert classifier.head.training
    finally:
        classifier.eval()
    np.testing.assert_array_equal(found, expected)


def test_history_says_what_was_done_and_by_which_model(classifier, encoder_folder):
    history = predict(waves(200), classifier, **THREE).attrs["history"]
    json.dumps(history, allow_nan=False)
    assert list(history) == ["reading", "preprocessing", "windows", "classifier"]
    assert history["windows"]["n_done"] == 7
    said = history["classifier"]
    assert said["classes"] == CLASSES
    assert said["encoder"] == str(encoder_folder)
    assert said["trained"] is False
    assert "UNTRAINED" in said["notice"]


def test_classes_without_names_are_numbers():
    config = DownstreamConfig(**PUBLISHED)
    assert class_names(EEGFoundationForClassification(config)) == ["0", "1", "2"]


# ---- models that want a recording aligned, and models with a linear readout ----------------------


def aligned_trials(source, model):
    """The windows of a recording as `predict_trials` takes them."""
    from eegfoundation.tasks.trials import Trials

    recording = preprocess(source, model.preprocessing)
    n = recording.n_times // 800
    x = recording.get_data(0, 800 * n).reshape(recording.n_chans, n, 800).swapaxes(0, 1)
    return Trials(
        x=np.ascontiguousarray(x),
        y=np.zeros(n, int),
        **{name: np.full(n, "0") for name in ("subject", "session", "run")},
        classes=("a", "b", "c"),
        ch_names=tuple(recording.ch_names),
        positions=recording.positions,
        preprocessing=model.preprocessing,
    )


def of_kind(encoder, alignment, readout, **more):
    config = DownstreamConfig(
        **{**PUBLISHED, "num_channel": 3},
        class_names=CLASSES,
        ch_names=THREE["ch_names"],
        alignment=alignment,
        readout=readout,
        **more,
    )
    torch.manual_seed(1)
    model = EEGFoundationForClassification(config).eval()
    if readout == "linear":
        with torch.no_grad():
            model.readout.weight.normal_(0, 0.1)
            if config.covariance:
                model.covariance.weight.normal_(0, 0.3)
                for band in model.covariance.reference:
                    band.copy_(20 * torch.eye(3))
    model.attach_encoder(encoder)
    return model


def noisy_waves():
    """Windows of waves alone hardly differ, and standardising them would magnify rounding."""
    x = waves(200, duration=130) * np.array([1, 2, 3])[:, None]
    x += np.random.default_rng(0).normal(0, 5, x.shape)
    x[1, 5000:5100] = np.nan
    return x


@pytest.mark.parametrize(
    ("alignment", "readout"),
    [
        *itertools.product(
            ["standardise", "euclidean", "euclidean+standardise"], ["linear", "fusion"]
        ),
        ("components", "linear"),
    ],
)
def test_a_recording_is_aligned_as_in_training(encoder, alignment, readout, monkeypatch, tmp_path):
    from eegfoundation.finetuning.predicting import predict_trials

    monkeypatch.setenv("EEGFOUNDATION_CACHE", str(tmp_path))
    model = of_kind(encoder, alignment, readout)
    x = noisy_waves()
    source = read_recording(x, **THREE)
    table = predict(source, model)
    expected = predict_trials(model, aligned_trials(source, model))
    np.testing.assert_allclose(probabilities(table), expected, atol=1e-3)
    unaligned = predict(source, of_kind(encoder, "none", readout))
    if readout == "linear":
        assert np.abs(probabilities(unaligned) - probabilities(table)).max() > 1e-2
    said = table.attrs["history"]["alignment"]
    assert (said["kind"], said["n_windows"]) == (alignment, 32)
    assert "read beforehand" in said["notes"][0]
    assert "without labels" in said["notes"][0]
    assert table.attrs["history"]["classifier"]["alignment"] == alignment
    assert list(table.attrs["attention"]) == THREE["ch_names"] + model.config.component_names
    assert "alignment" not in unaligned.attrs["history"]


@pytest.mark.parametrize("flicker_hz", [None, [8.0, 10.0]])
@pytest.mark.parametrize("alignment", ["none", "standardise", "components"])
def test_covariance_is_measured_as_in_training(
    encoder, alignment, flicker_hz, monkeypatch, tmp_path
):
    from eegfoundation import covariance
    from eegfoundation.finetuning.predicting import predict_trials

    monkeypatch.setenv("EEGFOUNDATION_CACHE", str(tmp_path))
    monkeypatch.setattr(covariance, "MAX_WINDOWS", 21)
    model = of_kind(encoder, alignment, "linear", covariance=True, flicker_hz=flicker_hz)
    without = of_kind(encoder, alignment, "linear") if flicker_hz is None else None
    x = noisy_waves()
    source = read_recording(x, **THREE)
    table = predict(source, model)
    expected = predict_trials(model, aligned_trials(source, model))
    np.testing.assert_allclose(probabilities(table), expected, atol=1e-3)
    if without is not None:
        assert np.abs(probabilities(predict(source, without)) - expected).max() > 1e-2
    order = [2, 0, 1]
    names = [THREE["ch_names"][i] for i in order]
    turned = predict(x[order], model, sfreq=200, ch_names=names)
    # components and whitening are of the order's own rounding
    np.testing.assert_allclose(probabilities(turned), expected, atol=2e-2)


@pytest.mark.parametrize(
    "alignment", ["standardise", "euclidean", "euclidean+standardise", "components"]
)
def test_alignment_leaves_bad_channels_out(encoder, alignment):
    model = of_kind(encoder, alignment, "linear")
    raw = raw_of(waves(200, duration=40), THREE["ch_names"])
    raw.info["bads"] = ["Cz"]
    table = predict(raw, model)
    without = predict(raw.copy().drop_channels("Cz"), model)
    # C1 and C2 would stand for Cz, C3 and C4 are too far away
    np.testing.assert_allclose(probabilities(table), probabilities(without), atol=1e-4)
    nothing = predict(np.zeros((3, 4000)), model, **THREE)
    assert np.isnan(probabilities(nothing)).all()


@pytest.mark.parametrize(
    "alignment", ["standardise", "euclidean", "euclidean+standardise", "components"]
)
def test_a_single_window_cannot_be_aligned(encoder, alignment):
    model = of_kind(encoder, alignment, "linear")
    with pytest.raises(ModelInputError, match=r"array gives a single window.*at least two"):
        predict(waves(200, duration=5), model, **THREE)


def test_a_linear_readout_knows_electrodes_by_their_place(encoder):
    model = of_kind(encoder, "none", "linear")
    x = waves(200)
    table = predict(x, model, **THREE)
    order = [2, 0, 1]
    names = [THREE["ch_names"][i] for i in order]
    same = predict(x[order], model, sfreq=200, ch_names=names)
    np.testing.assert_allclose(probabilities(same), probabilities(table), atol=1e-5)
    assert same.attrs["attention"] == pytest.approx(table.attrs["attention"], abs=1e-5)
    with pytest.raises(ModelInputError, match="None of the 2 channels lies within 4 cm"):
        predict(x[:2], model, sfreq=200, ch_names=["T7", "O2"])


def test_what_saw_simulations_only_says_so_in_the_history(encoder):
    model = of_kind(encoder, "none", "linear")
    model.config.trained = model.config.simulated = True
    said = predict(waves(200), model, **THREE).attrs["history"]["classifier"]
    assert "SIMULATED" in said["notice"]


def test_a_classifier_that_gives_nan_is_said(classifier):
    damaged = copy.deepcopy(classifier)
    with torch.no_grad():
        damaged.final_layer.bias[0] = torch.nan
    with pytest.raises(CheckpointError, match="the classifier gives NaN for usable signal"):
        predict(waves(200), damaged, **THREE)


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
def test_the_command_writes_what_the_function_returns(classifier, saved, tmp_path, capsys):
    path = str(write_edf(tmp_path / "run.edf", waves(100), THREE["ch_names"]))
    out = tmp_path / "out"
    predict_files([path], str(out), *saved, window=5.0, overlap=1.0)
    assert files_in(out) == ["run_predictions.csv", "run_predictions.preprocessing.json"]
    written = pd.read_csv(out / "run_predictions.csv")
    expected = predict(path, classifier, 5.0, 1.0)
    assert list(written.columns) == list(expected.columns)
    np.testing.assert_allclose(probabilities(written), probabilities(expected), rtol=1e-5)
    assert written["predicted"].tolist() == expected["predicted"].tolist()
    np.testing.assert_allclose(written[["start", "stop"]], expected[["start", "stop"]])
    history = json.loads((out / "run_predictions.preprocessing.json").read_text())
    assert history["windows"] == expected.attrs["history"]["windows"]
    assert "UNTRAINED" in history["classifier"]["notice"]
    said = capsys.readouterr().out
    assert said == f"{out / 'run_predictions.csv'}: 7 windows, classes left, right, feet\n"
    with pytest.raises(OutputError, match="exists already"):
        predict_files([path], str(out), *saved)


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
def test_no_answer_is_an_empty_field(saved, tmp_path):
    x = waves(200)
    x[:, 800:1600] = np.nan
    np.save(tmp_path / "x.npy", x)
    predict_files([str(tmp_path / "x.npy")], str(tmp_path), *saved, sfreq=200, ch_names=NAMES[:3])
    assert (tmp_path / "x_predictions.csv").read_text().splitlines()[2] == "4,8,,,,,0"


def test_the_classifier_that_ships():
    with pytest.warns(SimulatedTrainingWarning, match="BCIC-2a_model"):
        model = load_classifier()
    assert class_names(model) == ["left_hand", "right_hand", "feet", "tongue"]
    assert model.config.seq_len / model.preprocessing.sfreq == 4


@pytest.mark.parametrize(("weights", "config"), [("x.pth", None), (None, "x.json")])
def test_half_a_classifier_is_refused(weights, config):
    with pytest.raises(ConfigError, match="two files: give both --classifier"):
        load_classifier(weights, config)


def test_two_files_that_do_not_belong_together(saved, tmp_path):
    weights, config = saved
    values = json.loads(Path(config).read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**values, "d_model": 64}))
    with pytest.raises(CheckpointError, match=r"do not fit .*other\.json: of another shape"):
        load_classifier(weights, str(other))
    shutil.copy(config, tmp_path / "swapped.pth")
    with pytest.raises(CheckpointError, match="cannot be loaded as weights"):
        load_downstream_model(tmp_path / "swapped.pth", config)
    with pytest.raises(ConfigError, match="no valid JSON"):
        load_classifier(weights, weights)
    with pytest.raises(CheckpointError, match="not found"):
        load_classifier(str(tmp_path / "absent.pth"), config)


def test_the_encoder_is_the_one_it_was_made_with(saved, encoder_folder, tmp_path, monkeypatch):
    """A checkpoint whose encoder has changed since refuses it: one sentence, no silent nonsense."""
    from eegfoundation import load_encoder

    with pytest.warns(UntrainedWeightsWarning):
        model = load_classifier(*saved)
    model.config.encoder_sha256 = "0" * 64
    with (
        pytest.warns(UntrainedWeightsWarning),
        pytest.raises(CheckpointError, match="was made with encoder 000000000000"),
    ):
        predict(noise(3, 2000), model, **THREE)
    with pytest.raises(CheckpointError, match="found"):
        model.attach_encoder(load_encoder("tiny", weights="random", seed=3))
