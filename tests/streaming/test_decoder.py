import time

import numpy as np
import pytest
import torch
from stream_helpers import NAMES, recorded, signal

from eegfoundation.alignments import standardises, whitens
from eegfoundation.covariance import CovarianceFeatures
from eegfoundation.embedding import inference
from eegfoundation.errors import ConfigError, ModelInputError
from eegfoundation.evaluation.alignment import (
    euclidean,
    standardise,
    whitening,
)
from eegfoundation.evaluation.components import SpectralSums, masks_of, mixed
from eegfoundation.prediction import load_model
from eegfoundation.streaming.decoder import Decoder, faster_type
from eegfoundation.streaming.session import Session
from eegfoundation.streaming.sources import ReplaySource
from eegfoundation.streaming.windows import CausalWindows


def rows_of(model, x, every=0.1, dtype="float32", **settings):
    source = ReplaySource(recorded(x), speed=0)
    decoder = Decoder(model, source.recording.positions, dtype=dtype, **settings)
    session = Session(source, decoder, every=every)
    return list(session.rows())


def windows_of(model, x, every=0.1):
    recording = recorded(x)
    cutter = CausalWindows(recording, model.preprocessing, 2.0, every)
    x = recording.get_data().astype(np.float64)
    return recording, list(cutter.push(np.arange(x.shape[1]) / 250, x))


def test_predictions_are_the_classifier_s_own_on_the_same_windows(classifier):
    model = classifier()
    x = signal(7, 250.0, 8.0)
    x[4, 1400:] = np.nan  # lost for good
    rows = rows_of(model, x)
    recording, windows = windows_of(model, x)
    assert len(rows) == len(windows) == 80
    with inference(model):
        for row, window in zip(rows, windows, strict=True):
            assert row.time == window.time
            if window.n_seen < 400:
                assert row.values is None
                assert row.status.startswith("filling")
                continue
            logits = model(
                torch.from_numpy(window.data)[None],
                positions=torch.from_numpy(recording.positions),
                channel_mask=torch.from_numpy(window.quality > 0)[None],
            ).logits
            np.testing.assert_allclose(row.values, logits.softmax(-1)[0], atol=1e-6)
            assert row.predicted == ["rest", "left", "right"][row.values.argmax()]
    assert rows[-1].quality[4] == 0


def test_too_little_signal_is_no_prediction(classifier):
    x = signal(7, 250.0, 9.0)
    x[:, 1500:1800] = np.nan
    rows = rows_of(classifier(), x)
    middle = next(row for row in rows if row.time > 7.2)
    assert middle.values is middle.predicted is None
    assert "unusable" in middle.status
    assert rows[-1].values is not None or rows[-1].quality.mean() < 0.5
    assert next(r for r in rows_of(classifier(), x, max_unusable=0.9) if r.time > 7.2).predicted


@pytest.mark.parametrize(
    "kind", ["euclidean", "standardise", "euclidean+standardise", "components"]
)
def test_alignment_is_that_of_all_windows_so_far(classifier, encoder, kind):
    """At the end of a stream: as if whoever aligned had seen the same windows offline."""
    mixes = kind == "components"
    model = classifier(alignment=kind, ch_names=NAMES, readout="linear" if mixes else "fusion")
    if mixes:
        with torch.no_grad():
            model.readout.weight.normal_(0, 0.1)
    x = signal(7, 250.0, 21.0)
    rows = rows_of(model, x, every=2.0, calibration=8.0)
    recording, windows = windows_of(model, x, every=2.0)
    assert [row.status.partition(":")[0] for row in rows] == ["calibrating"] * 4 + ["ok"] * 6
    data = np.stack([window.data for window in windows])
    if whitens(kind):
        # whitened by the calibration alone: the later windows come out as that would make them
        whitened = []
        for i in range(4, 10):
            covariance = sum(np.nan_to_num(w).astype(float) @ np.nan_to_num(w).T for w in data[:4])
            whitened.append((whitening(covariance) @ np.nan_to_num(data[i])).astype(np.float32))
        first = np.nan_to_num(euclidean(data[:4], np.zeros(4)))
        given, data = data, np.concatenate([first, np.stack(whitened)])
    if mixes:
        sums = SpectralSums(masks_of(400, 200, None))
        sums.add(given[:4])
        data = np.concatenate([data, mixed(sums.filters(), given)], axis=1)
    with inference(model):
        context = None
        if standardises(kind):
            context = encoder.embed_signal(torch.from_numpy(data)).double().numpy()
            context = torch.from_numpy(standardise(context, np.zeros(10))[-1:]).float()
        logits = model(
            torch.from_numpy(data[-1:]), context, positions=torch.from_numpy(recording.positions)
        ).logits
    np.testing.assert_allclose(rows[-1].values, logits.softmax(-1)[0], atol=2e-3)


@pytest.mark.parametrize("alignment", ["none", "standardise"])
def test_covariance_is_centred_by_the_calibration(classifier, encoder, alignment):
    model = classifier(alignment=alignment, ch_names=NAMES, readout="linear", covariance=True)
    with torch.no_grad():
        model.readout.weight.normal_(0, 0.1)
        model.covariance.weight.normal_(0, 0.3)
        model.covariance.reference.copy_(100 * torch.eye(7))
    x = signal(7, 250.0, 21.0)
    rows = rows_of(model, x, every=2.0, calibration=8.0)
    recording, windows = windows_of(model, x, every=2.0)
    data = np.stack([window.data for window in windows])
    together = CovarianceFeatures(model, recording.positions)
    if alignment != "none":
        together.add(data[:4])
        together.finish()
    with inference(model):
        context = encoder.embed_signal(torch.from_numpy(data))
        if alignment != "none":
            context = torch.from_numpy(standardise(context.double().numpy(), np.zeros(10))).float()
        logits = model(
            torch.from_numpy(data[-1:]),
            context[-1:],
            positions=torch.from_numpy(recording.positions),
            covariance_data=together(data[-1:]),
        ).logits
    np.testing.assert_allclose(rows[-1].values, logits.softmax(-1)[0], atol=2e-3)


def test_predictions_that_would_be_old_are_skipped(classifier, caplog):
    """A model that takes three times as long as there is: the stream is not left behind."""

    class Slow(Decoder):
        def __call__(self, window):
            time.sleep(0.15 if window.n_seen > 400 else 0.0)
            return super().__call__(window)

    source = ReplaySource(recorded(signal(7, 250.0, 8.0)), speed=2)
    session = Session(source, Slow(classifier(), source.recording.positions))
    rows = list(session.rows())
    assert session.n_skipped > 10
    assert len(rows) + session.n_skipped == 80
    assert np.median([row.latency for row in rows if row.values is not None]) < 1
    assert "predictions come too late" in caplog.text


def test_an_encoder_gives_embeddings_of_the_usable_channels(encoder):
    x = signal(7, 250.0, 12.0)
    x[4, 500:] = np.nan
    source = ReplaySource(recorded(x), speed=0)
    decoder = Decoder(encoder, source.recording.positions, dtype="float32")
    last = list(Session(source, decoder, window=2.0, every=0.5).rows())[-1]
    assert last.values.shape == (encoder.config.context_size,) == (len(decoder.names),)
    assert np.isfinite(last.values).all()
    assert last.predicted is None


def test_bfloat16_is_nearly_the_same(classifier):
    x = signal(7, 250.0, 6.0)
    full, half = (rows_of(classifier(), x, dtype=d)[-1] for d in ("float32", "bfloat16"))
    np.testing.assert_allclose(full.values, half.values, atol=0.03)
    assert full.values.tolist() != half.values.tolist()


@pytest.mark.parametrize(
    ("device", "found", "expected"),
    [
        ("cpu", {"avx512_bf16": True}, "bfloat16"),
        ("cpu", {"amx_bf16": True, "avx512_bf16": False}, "bfloat16"),
        ("cpu", {"avx2": True}, "float32"),
        ("cuda", {"avx512_bf16": True}, "float32"),
    ],
)
def test_the_faster_type_is_the_default(classifier, monkeypatch, device, found, expected):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: found, raising=False)
    assert faster_type(torch.device(device)) == expected
    if device == "cpu":
        decoder = Decoder(classifier(), np.zeros((7, 3)))
        assert decoder.dtype == decoder.describe()["dtype"] == expected


def test_impossible_settings_are_refused(classifier):
    with pytest.raises(ModelInputError, match="int4; expected"):
        Decoder(classifier(), np.zeros((7, 3)), dtype="int4")
    with pytest.raises(ConfigError, match=r"found 1\.0"):
        Decoder(classifier(), np.zeros((7, 3)), max_unusable=1.0)
    with pytest.raises(ConfigError, match="calibration"):
        Decoder(classifier(alignment="euclidean"), np.zeros((7, 3)), calibration=0)


def test_models_are_found_as_weights_folders_and_names(classifier, encoder_folder, tmp_path):
    model = classifier(encoder=str(encoder_folder))
    model.save_pretrained(tmp_path / "classifier")
    loaded = load_model(str(tmp_path / "classifier"))
    assert loaded.config.class_names == ["rest", "left", "right"]
    assert not loaded.training
    assert load_model("small").config.hidden_size == 256
    with pytest.raises(ConfigError, match="leave it out"):
        load_model("small", "config.json")
