"""What `embed` promises: rows, times, quality, and that nothing irrelevant changes the numbers."""

import copy
import json
import logging
import tracemalloc

import mne
import numpy as np
import pytest
import torch

from eegfoundation import Embeddings, embed, load_encoder, preprocess, read_recording
from eegfoundation.embedding import embed_files, iter_embeddings
from eegfoundation.errors import (
    CheckpointError,
    EEGFoundationError,
    ModelInputError,
    PreprocessingError,
    RecordingError,
    UnitsError,
    UntrainedWeightsWarning,
)
from eegfoundation.models import EEGFoundationForMaskedLM, fingerprint
from eegfoundation.recording import Recording
from samples import NAMES, files_in, noise, waves, write_edf

SIZE = 128  # of the tiny encoder's context vector: mean and deviation of 64 states
THREE = {"sfreq": 200, "ch_names": NAMES[:3]}


def raw_of(x, sfreq=200, names=None):
    info = mne.create_info(names or NAMES[: len(x)], sfreq, "eeg", verbose="ERROR")
    return mne.io.RawArray(x * 1e-6, info, verbose="ERROR")


def spread(values):
    """How far rows and channels lie apart: the scale on which differences are small or large."""
    return np.linalg.norm(values - values.mean((0, 1)))


@pytest.fixture(scope="module")
def plain(encoder):
    """30 s of waves in three channels, embedded in windows of 5 s."""
    return embed(waves(200), encoder, 5.0, **THREE)


def test_the_test_encoder_tells_signals_apart(plain):
    """Without this, every comparison below could pass with an encoder that ignores its input."""
    rows = plain.values.reshape(-1, SIZE)
    distance = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
    assert distance[~np.eye(len(rows), dtype=bool)].min() > 0.02 * np.linalg.norm(rows[0])


# ---- rows ---------------------------------------------------------------------------------------


def test_one_row_per_window(plain):
    assert plain.values.shape == (6, 3, SIZE)
    assert plain.values.dtype == np.float32
    assert np.isfinite(plain.values).all()
    np.testing.assert_allclose(plain.times, [2.5, 7.5, 12.5, 17.5, 22.5, 27.5])
    np.testing.assert_array_equal(plain.quality, np.ones((6, 3)))
    assert plain.ch_names == NAMES[:3]


def test_windows_overlap(encoder, plain):
    half = embed(waves(200), encoder, 5.0, 2.5, **THREE)
    np.testing.assert_allclose(half.times, np.arange(2.5, 28, 2.5))
    np.testing.assert_allclose(half.values[::2], plain.values, atol=1e-5)
    assert half.history["windows"]["overlap"] == 2.5


@pytest.mark.parametrize("gap", [False, True])
def test_a_row_is_what_the_encoder_makes_of_its_window(encoder, gap):
    x = waves(200)
    if gap:
        x[0, 2100:2500] = np.nan  # stays missing up to the tokenizer: it is no zero
    filtered = preprocess(read_recording(x, **THREE), encoder.preprocessing).get_data()
    window = torch.from_numpy(filtered[None, :, 2000:3000])
    assert window.isnan().any() == gap
    with torch.inference_mode():
        expected = encoder.embed_signal(window)[0]
    np.testing.assert_allclose(embed(x, encoder, 5.0, **THREE).values[2], expected, atol=1e-5)


def test_a_recording_shorter_than_a_window_is_one_row_and_that_is_said(encoder, caplog):
    with caplog.at_level(logging.INFO, logger="eegfoundation"):
        short = embed(waves(200, duration=4), encoder, **THREE)
    assert short.values.shape == (1, 3, SIZE)
    np.testing.assert_allclose(short.times, [2.0])
    note = "one window of 4 s: the recording is shorter than 10 s"
    assert short.history["windows"]["notes"] == [note]
    assert caplog.messages.count(f"array: {note}") == 1


def test_nothing_is_logged_where_nothing_is_special(encoder, caplog):
    with caplog.at_level(logging.INFO, logger="eegfoundation"):
        embed(waves(200) + noise(3, 6000, sd=1), encoder, **THREE)
    assert caplog.messages == []


def test_half_a_second_is_enough_and_less_is_refused(encoder):
    assert embed(noise(3, 100), encoder, **THREE).values.shape == (1, 3, SIZE)
    for n_times in (98, 50, 1):
        with pytest.raises(RecordingError, match=r"must last at least 0\.5 s, found"):
            embed(noise(3, n_times), encoder, **THREE)
    with pytest.raises(RecordingError, match="holds no samples"):
        embed(noise(3, 0), encoder, **THREE)


@pytest.mark.parametrize(("window", "overlap"), [(0.4, 0), (5, 5), (5, -1), (float("nan"), 0)])
def test_impossible_windows(encoder, window, overlap):
    with pytest.raises(PreprocessingError, match=r"window must last|overlap must lie"):
        embed(noise(3, 2000), encoder, window, overlap, **THREE)


# ---- sources ------------------------------------------------------------------------------------


def test_every_source_of_the_same_signal_gives_the_same(encoder, plain, tmp_path):
    x = waves(200).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    raw_of(x).save(tmp_path / "x_raw.fif", verbose="ERROR")
    sources = {
        "array": (read_recording(x, **THREE), {}),
        "x.npy": (tmp_path / "x.npy", THREE),
        "raw": (raw_of(x), {}),
        "x_raw.fif": (str(tmp_path / "x_raw.fif"), {}),
    }
    for name, (source, how) in sources.items():
        found = embed(source, encoder, 5.0, **how)
        assert found.history["reading"]["source"] == name
        assert np.linalg.norm(found.values - plain.values) < 0.01 * spread(plain.values)
        np.testing.assert_array_equal(found.times, plain.times)


def test_units(encoder, plain):
    x = waves(200)
    for unit, factor in {"V": 1e-6, "mV": 1e-3, "nV": 1e3}.items():
        found = embed(x * factor, encoder, 5.0, units=unit, **THREE)
        assert np.linalg.norm(found.values - plain.values) < 0.01 * spread(plain.values)
    with pytest.raises(UnitsError, match="pass units='V'"):
        embed(x * 1e-6, encoder, **THREE)


@pytest.mark.parametrize("container", ["array", "mne.Epochs"])
def test_epochs_are_one_row_each(encoder, container):
    x = np.stack([waves(200, seed=seed, duration=2) for seed in range(5)])
    if container == "array":
        source, how = x, THREE
    else:
        events = np.stack([1000 + 700 * np.arange(5), np.zeros(5, int), np.ones(5, int)], axis=1)
        info = mne.create_info(NAMES[:3], 200, "eeg")
        source = mne.EpochsArray(x * 1e-6, info, events, tmin=-0.5, verbose="ERROR")
        how = {}
    found = embed(source, encoder, **how)  # the default window is longer: epochs are taken whole
    assert found.values.shape == (5, 3, SIZE)
    alone = np.concatenate([embed(epoch[None], encoder, **THREE).values for epoch in x])
    np.testing.assert_allclose(found.values, alone, atol=0.01)
    assert spread(found.values) > 1
    if container == "array":  # their place is unknown: they count as if they followed each other
        np.testing.assert_allclose(found.times, [1, 3, 5, 7, 9])
    else:
        centre = -0.5 + (2 - 1 / 200) / 2
        np.testing.assert_allclose(found.times, 5 + 3.5 * np.arange(5) + centre)


def test_epochs_of_less_than_half_a_second_are_refused(encoder):
    assert embed(noise(4, 3, 100), encoder, **THREE).values.shape == (4, 3, SIZE)
    with pytest.raises(RecordingError, match=r"epochs must last at least 0\.5 s, found 0\.4 s"):
        embed(noise(4, 3, 80), encoder, **THREE)


# ---- what cannot be used -------------------------------------------------------------------------


def test_quality_and_empty_rows(encoder, plain):
    x = waves(200)
    x[0, 2000:2500] = np.nan  # half of window 2
    x[1] = 7.0  # flat
    x[2, :1000] = np.nan  # window 0
    found = embed(x, encoder, 5.0, **THREE)
    np.testing.assert_allclose(found.quality[:, 0], [1, 1, 0.5, 1, 1, 1])
    np.testing.assert_array_equal(found.quality[:, 1], 0)
    np.testing.assert_array_equal(found.quality[:, 2], [0, 1, 1, 1, 1, 1])
    np.testing.assert_array_equal(np.isnan(found.values).any(-1), found.quality == 0)
    np.testing.assert_array_equal(np.isnan(found.values).all(-1), found.quality == 0)
    # what is left of a window still counts, and what is missing is noticed
    assert not np.allclose(found.values[2, 0], plain.values[2, 0], atol=1e-3)


def test_bad_channels_stay_but_do_not_count(encoder):
    x = waves(200)
    raw = raw_of(x)
    raw.info["bads"] = ["C3"]
    found = embed(raw, encoder, 5.0)
    assert found.ch_names == NAMES[:3]
    np.testing.assert_array_equal(found.quality, [[1, 0, 1]] * 6)
    assert np.isfinite(found.values[:, 1]).all()  # the data is there for who wants it
    without = embed(raw.copy().drop_channels("C3"), encoder, 5.0)
    np.testing.assert_allclose(found.pooled(), without.pooled(), atol=1e-5)
    assert not np.allclose(found.pooled(), found.values.mean(1), atol=1e-2)


@pytest.mark.parametrize("fill", [np.nan, np.inf, 0.0])
def test_nothing_usable_gives_nan_and_not_zero(encoder, fill):
    found = embed(np.full((3, 2000), fill), encoder, 5.0, **THREE)
    assert np.isnan(found.values).all()
    assert np.isnan(found.pooled()).all()
    np.testing.assert_array_equal(found.quality, 0)


# ---- what must not matter -----------------------------------------------------------------------


def test_same_input_same_bytes(encoder, tmp_path):
    x = waves(200)
    for name in ("a.npz", "b.npz"):
        embed(x, encoder, 5.0, **THREE).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("batch_size", [1, 7, 10_000])
def test_batch_size_does_not_matter(encoder, plain, batch_size):
    found = embed(waves(200), encoder, 5.0, batch_size=batch_size, **THREE)
    np.testing.assert_allclose(found.values, plain.values, atol=1e-5)


def test_blocks_do_not_matter(encoder):
    """Twelve minutes are read in three blocks: as many windows, the same numbers as each alone."""
    x = waves(100, duration=720)
    source = read_recording(x, sfreq=100, ch_names=NAMES[:3])
    found = embed(source, encoder, 10.0)
    assert found.values.shape == (72, 3, SIZE)
    recording = preprocess(source, encoder.preprocessing)
    assert len(list(iter_embeddings(recording, encoder))) == 3
    with torch.inference_mode():
        for row in (0, 29, 30, 71):
            window = recording.get_data(row * 2000, (row + 1) * 2000)
            expected = encoder.embed_signal(torch.from_numpy(window))
            np.testing.assert_allclose(found.values[row], expected, atol=1e-3)


def test_the_order_of_channels_only_orders_the_output(encoder, plain):
    order = [2, 0, 1]
    names = [NAMES[i] for i in order]
    found = embed(waves(200)[order], encoder, 5.0, sfreq=200, ch_names=names)
    assert found.ch_names == names
    np.testing.assert_allclose(found.values, plain.values[:, order], atol=1e-5)
    np.testing.assert_allclose(found.pooled(), plain.pooled(), atol=1e-5)


def test_the_sampling_rate_hardly_matters(encoder):
    """The same sines sampled at 250 and 500 Hz: nearly the same tokens, so nearly the same vectors.

    Not quite: bands that hold no sine hold what rounding leaves, and the encoder reads their
    energy's logarithm. The first and last second differ more: what lies beyond them is a guess from
    other samples.
    """
    found = {
        sfreq: embed(waves(sfreq), encoder, 5.0, sfreq=sfreq, ch_names=NAMES[:3])
        for sfreq in (250, 500)
    }
    a, b = found[250].values, found[500].values
    distance = np.linalg.norm(a - b, axis=-1) / np.linalg.norm(a, axis=-1)
    # against what neighbouring windows of the same sines differ by
    windows = np.linalg.norm(np.diff(a, axis=0), axis=-1) / np.linalg.norm(a[1:], axis=-1)
    assert windows.min() > 0.18
    assert distance[1:-1].max() < windows.min() / 45
    assert distance.max() < windows.min() / 2
    assert found[500].history["preprocessing"]["sfreq_before"] == 500
    assert found[500].history["preprocessing"]["sfreq"] == 200


def test_low_precision_is_close_but_not_the_same(encoder, plain):
    for dtype in ("bfloat16", torch.bfloat16):
        low = embed(waves(200), encoder, 5.0, dtype=dtype, **THREE).values
        assert low.dtype == np.float32
        norms = np.linalg.norm(low, axis=-1) * np.linalg.norm(plain.values, axis=-1)
        cosine = (low * plain.values).sum(-1) / norms
        assert cosine.min() >= 0.999
        assert np.linalg.norm(low - plain.values) < 0.1 * spread(plain.values)
        assert not np.array_equal(low, plain.values)
    same = embed(waves(200), encoder, 5.0, dtype="float32", **THREE).values
    np.testing.assert_array_equal(same, plain.values)


@pytest.mark.parametrize("dtype", ["float64", "int8", "banana", torch.float64])
def test_other_types_are_refused(encoder, dtype):
    with pytest.raises(ModelInputError, match="expected one of float32, bfloat16, float16"):
        embed(noise(3, 2000), encoder, dtype=dtype, **THREE)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_encoder_that_gives_nan_is_said(encoder, dtype):
    damaged = copy.deepcopy(encoder)
    with torch.no_grad():
        damaged.layers[0].fc1.weight *= 1e30 if dtype == "float32" else 1e6
        damaged.layers[0].fc2.weight *= 1e30 if dtype == "float32" else 1e6
    with pytest.raises(CheckpointError, match=f"gives NaN for usable signal, in {dtype}; its"):
        embed(waves(200), damaged, dtype=dtype, **THREE)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_impossible_batches_are_refused(encoder, batch_size):
    with pytest.raises(ModelInputError, match="at least 1 is needed"):
        embed(noise(3, 2000), encoder, batch_size=batch_size, **THREE)


def test_an_encoder_in_training_is_used_without_dropout_and_stays_in_training(encoder, plain):
    twin = load_encoder("tiny", weights="random")
    twin.load_state_dict(encoder.state_dict())
    twin.train()
    found = embed(waves(200), twin, 5.0, **THREE)
    np.testing.assert_array_equal(found.values, plain.values)
    assert twin.training
    assert all(module.training for module in twin.modules())
    assert not encoder.training


def test_a_bar_shows_the_progress(encoder, capsys):
    for progress, shown in ((True, True), (False, False), (None, False)):  # no terminal here
        embed(noise(3, 4000), encoder, progress=progress, **THREE)
        assert ("2/2" in capsys.readouterr().err) == shown


def test_the_callers_objects_stay_as_they_are(encoder):
    x = waves(200)
    raw, before = raw_of(x), x.copy()
    source = read_recording(x, **THREE)
    history = json.dumps(source.history)
    embed(x, encoder, **THREE)
    embed(source, encoder)
    embed(raw, encoder)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(raw.get_data() * 1e6, before)
    assert json.dumps(source.history) == history


# ---- every position -----------------------------------------------------------------------------


@pytest.mark.parametrize("n_times", [1000, 990])  # whole positions, and a last one in part
def test_time_resolved(encoder, n_times):
    x = waves(200)[:, : 3 * n_times]
    window = n_times / 200
    states = embed(x, encoder, window, time_resolved=True, **THREE)
    assert states.values.shape == (3, 3, 40, 64)
    context = embed(x, encoder, window, **THREE)
    np.testing.assert_allclose(states.values.mean(2), context.values[..., 64:], atol=1e-5)
    assert states.pooled().shape == (3, 40, 64)
    np.testing.assert_allclose(states.pooled(), states.values.mean(1), atol=1e-5)
    with pytest.raises(ModelInputError, match="four axes"):
        states.to_dataframe()


def test_time_resolved_epochs(encoder):
    assert embed(noise(4, 3, 150), encoder, time_resolved=True, **THREE).values.shape == (
        4,
        3,
        6,
        64,
    )


# ---- which encoder ------------------------------------------------------------------------------


def test_encoder_by_object_path_or_name(encoder, plain, encoder_folder):
    for model in (encoder_folder, str(encoder_folder)):
        with pytest.warns(UntrainedWeightsWarning, match="UNTRAINED"):
            found = embed(waves(200), model, 5.0, **THREE)
        np.testing.assert_array_equal(found.values, plain.values)
        assert found.history["encoder"]["name"] == "of_tests"  # no folder of the user


def test_the_default_is_the_shipped_encoder():
    small = load_encoder_quietly("small")
    found = embed(noise(1, 400), sfreq=200) if small.config.trained else untrained_embed()
    assert found.values.shape == (1, 1, 512)
    assert found.history["encoder"]["name"] == "small"
    assert found.history["encoder"]["sha256"] == fingerprint(small)


def load_encoder_quietly(name):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UntrainedWeightsWarning)
        return load_encoder(name)


def untrained_embed():
    with pytest.warns(UntrainedWeightsWarning, match="UNTRAINED"):
        return embed(noise(1, 400), sfreq=200)


def test_history_says_which_encoder_it_was(encoder, plain):
    said = plain.history["encoder"]
    assert said["sha256"] == fingerprint(encoder)
    assert said["trained"] is False
    assert "UNTRAINED" in said["notice"]
    other = load_encoder("tiny", weights="random", seed=1)
    found = embed(waves(200), other, 5.0, **THREE)
    assert found.history["encoder"]["sha256"] != said["sha256"]
    assert spread(found.values) > 0.1
    other.config.trained = True
    found = embed(waves(200), other, 5.0, **THREE)
    assert found.history["encoder"]["trained"] is True
    assert "notice" not in found.history["encoder"]


def test_history_has_every_stage_and_is_json(plain):
    history = json.loads(json.dumps(plain.history, allow_nan=False))
    assert list(history) == ["reading", "preprocessing", "encoder", "windows"]
    assert history["windows"]["n_done"] == 6


def test_a_model_that_is_no_encoder(encoder):
    with_head = EEGFoundationForMaskedLM(encoder.config)
    for model in (with_head, None, 5):
        with pytest.raises(ModelInputError, match=type(model).__name__):
            embed(noise(3, 2000), model, **THREE)
    assert embed(noise(3, 2000), with_head.encoder, **THREE).values.shape == (1, 3, SIZE)


def test_mains_frequency(encoder):
    t = np.arange(200 * 30) / 200
    x = waves(200) + 30 * np.sin(2 * np.pi * 60 * t)
    for line_freq, freq, source in ((None, 60, "detected"), (50, 50, "argument")):
        done = embed(x, encoder, line_freq=line_freq, **THREE).history["preprocessing"]
        assert (done["line_freq"], done["line_freq_source"]) == (freq, source)
    a, b = (embed(x, encoder, line_freq=freq, **THREE).values for freq in (50, 60))
    assert not np.allclose(a, b, atol=1e-2)  # one of them has the hum still in it
    with pytest.raises(PreprocessingError, match="line_freq must be a positive number"):
        embed(x, encoder, line_freq=-50, **THREE)


# ---- the command --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
@pytest.mark.parametrize("time_resolved", [False, True])
def test_the_command_writes_what_the_function_returns(
    encoder, encoder_folder, tmp_path, capsys, time_resolved
):
    path = write_edf(tmp_path / "night.edf", waves(100))
    out = tmp_path / "results"
    embed_files([str(path)], str(out), str(encoder_folder), 5.0, 1.0, time_resolved=time_resolved)
    assert files_in(out) == ["night_embeddings.npz", "night_embeddings.preprocessing.json"]
    written = Embeddings.load(out / "night_embeddings.npz")
    expected = embed(path, encoder, 5.0, 1.0, time_resolved=time_resolved)
    for name in ("values", "times", "quality"):
        np.testing.assert_array_equal(getattr(written, name), getattr(expected, name))
    assert written.ch_names == expected.ch_names
    name = written.history["encoder"].pop("name")
    assert name == "of_tests"
    expected.history["encoder"].pop("name")
    assert written.history == expected.history  # the drop log included: it is complete
    history = json.loads((out / "night_embeddings.preprocessing.json").read_text())
    assert history["windows"] == expected.history["windows"]
    size = 64 if time_resolved else SIZE
    said = f"{out / 'night_embeddings.npz'}: 7 windows, 3 channels, {size} values each\n"
    assert capsys.readouterr().out == said


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
def test_the_command_on_short_recordings_and_epochs(encoder_folder, tmp_path):
    """The shape on disk is fixed before the first row is there: it has to be right."""
    for name, x, shape in (
        ("short", waves(100, duration=3), (1, 3, 24, 64)),
        ("epochs", noise(4, 3, 150), (4, 3, 12, 64)),
    ):
        np.save(tmp_path / f"{name}.npy", x)
        args = ([str(tmp_path / f"{name}.npy")], str(tmp_path), str(encoder_folder))
        embed_files(*args, sfreq=100, time_resolved=True)
        assert Embeddings.load(tmp_path / f"{name}_embeddings.npz").values.shape == shape


def lazily(duration, sfreq=250, n_chans=4):
    """A long recording of which nothing exists before it is read."""

    def read(start, stop):
        t = np.arange(start, stop) / sfreq
        return np.stack([20 * np.sin(2 * np.pi * (8 + c) * t) for c in range(n_chans)])

    return Recording(
        name="night",
        ch_names=NAMES[:n_chans],
        sfreq=sfreq,
        n_times=round(duration * sfreq),
        positions=np.full((n_chans, 3), np.nan),
        reader=lambda start, stop: read(start, stop).astype(np.float32),
    )


def peak_of(work):
    """Bytes of NumPy arrays that lived at the same time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def peak_of_embedding(duration, encoder):
    recording = preprocess(lazily(duration), encoder.preprocessing)
    blocks = iter_embeddings(recording, encoder)
    n_rows = []
    peak = peak_of(lambda: n_rows.extend(len(times) for _, times, _ in blocks))
    assert sum(n_rows) == duration // 10
    return peak


def test_memory_does_not_grow_with_the_recording(encoder):
    short, long = (peak_of_embedding(minutes * 60, encoder) for minutes in (15, 90))
    assert long < 1.1 * short
    assert long < 4 * 90 * 60 * 250 * 4  # the signal itself, once, as float32


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
def test_the_command_streams_its_output_to_disk(encoder_folder, tmp_path):
    """Every state of an hour: 15 MB on disk, but not in memory."""
    peaks = []
    for minutes in (10, 60):
        path, out = tmp_path / f"{minutes}.npy", tmp_path / str(minutes)
        np.save(path, noise(2, minutes * 60 * 100).astype(np.int16))
        args = ([str(path)], str(out), str(encoder_folder))
        peaks.append(peak_of(lambda a=args: embed_files(*a, sfreq=100, time_resolved=True)))
    short, long = peaks
    assert long < 1.2 * short
    assert long < (out / "60_embeddings.npz").stat().st_size / 3


@pytest.mark.long
def test_a_day_of_eeg(encoder):
    found = embed(lazily(24 * 3600), encoder)
    assert found.values.shape == (8640, 4, SIZE)
    assert found.times[-1] == 86_395
    assert np.isfinite(found.values).all()
    assert peak_of_embedding(24 * 3600, encoder) < 100e6


def test_every_refusal_is_a_value_error(encoder):
    with pytest.raises(ValueError, match="expected a path"):
        embed([[1.0]], encoder)
    assert issubclass(EEGFoundationError, ValueError)
