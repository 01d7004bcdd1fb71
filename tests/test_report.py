import re
from html.parser import HTMLParser

import matplotlib as mpl
import mne
import numpy as np
import pytest
from scipy.signal import welch

import eegfoundation
from eegfoundation import make_report, read_recording
from eegfoundation.embedding import embed
from eegfoundation.errors import ModelInputError, OutputError, UntrainedWeightsWarning
from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification, load_encoder
from eegfoundation.prediction import predict
from eegfoundation.recording import Recording
from eegfoundation.report import measures, page, report
from eegfoundation.report.drawing import MAX_BINS, TimeAxis
from shared_data import ROOT

DEMO = ROOT / "demo_data" / "motor_imagery.edf"
SECTIONS = ["Summary", *page.CAPTIONS]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder("tiny", weights="random")


@pytest.fixture(scope="module")
def classifier(encoder):
    config = DownstreamConfig(
        num_classes=3,
        class_names=["left", "right", "rest"],
        num_channel=4,
        seq_len=400,
        d_model=64,
        embedding_dim=encoder.config.context_size,
    )
    model = EEGFoundationForClassification(config).eval()
    model.attach_encoder(encoder)
    return model


@pytest.fixture(scope="module")
def demo_page(encoder, classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "pages" / "demo.html"
    assert make_report(DEMO, path, model=encoder, classifier=classifier, window=4) == path
    return path.read_text(encoding="utf-8")


def noise(n_chans=4, seconds=12, sfreq=200, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n_chans, int(seconds * sfreq))) * 20


def n_pictures(text):
    return text.count('src="data:image/webp')


def test_page_shows_everything(demo_page):
    for title in SECTIONS:
        assert f">{title}</a>" in demo_page
    assert n_pictures(demo_page) == 5
    assert "50 Hz (detected in the signal)" in demo_page
    assert "250 → 200 Hz" in demo_page
    assert "left_hand (3 times)" in demo_page
    assert "classes left, right, rest" in demo_page
    assert demo_page.count("Not a medical device.") == 2  # in the summary and at the foot


def test_untrained_weights_are_announced_on_top(demo_page):
    body = demo_page[demo_page.index('id="content"') :]
    assert body.index("eegf-notice") < body.index("motor_imagery.edf:")
    # on top, and again where their results are shown
    for what in ("encoder", "classifier"):
        assert body.count(f"The {what} has UNTRAINED weights") >= 2


def test_trained_weights_are_not_called_untrained(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder.config, "trained", True)
    path = make_report(noise(), tmp_path / "r.html", model=encoder, sfreq=200)
    assert "UNTRAINED" not in path.read_text(encoding="utf-8")


class Resources(HTMLParser):
    """Addresses that a browser would load, and addresses that a reader may follow."""

    def __init__(self):
        super().__init__()
        self.loaded, self.links, self.styles = [], [], ""

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "srcset", "data", "poster") or (name == "href" and tag != "a"):
                self.loaded.append(value)
            elif name == "href":
                self.links.append(value)

    def handle_data(self, data):
        if self.lasttag == "style":
            self.styles += data


def test_page_needs_no_network(demo_page):
    found = Resources()
    found.feed(demo_page)
    assert len(found.loaded) == 6  # our figures, and the logo in MNE's header
    assert all(address.startswith("data:") for address in found.loaded)
    assert [a for a in found.links if not a.startswith("#")] == ["https://mne.tools"]  # credit
    assert "accordion" in found.styles
    assert "@import" not in found.styles
    assert all(url.startswith("data:") for url in re.findall(r"url\([\"']?([^)]+)", found.styles))


def test_page_has_no_date(demo_page):
    assert "Created on" not in demo_page


CASES = {
    "one channel": (noise(1), {"ch_names": ["Cz"], "window": 2}),
    "no positions": (noise(), {}),
    "some positions": (noise(), {"ch_names": ["C3", "C4", "x", "y"], "window": 2}),
    "one row": (noise(), {"ch_names": ["C3", "C4", "Cz", "Pz"]}),
    "half a second": (noise(seconds=0.6), {"ch_names": ["C3", "C4", "Cz", "Pz"]}),
    "epochs": (noise(2, 12).reshape(2, 6, -1).swapaxes(0, 1), {"ch_names": ["C3", "C4"]}),
    "one epoch": (noise(2, 2)[None], {}),
    "zeros": (0 * noise(2), {"ch_names": ["C3", "C4"]}),
    "nothing finite": (np.nan * noise(2), {"ch_names": ["C3", "C4"]}),
    "many channels": (noise(70, 4), {"window": 2}),
    "slow": (noise(2, 12, 100), {"sfreq": 100}),
}


@pytest.mark.parametrize("case", CASES)
def test_any_recording_makes_a_page(case, encoder, classifier, tmp_path):
    x, settings = CASES[case]
    settings = {"sfreq": 200, **settings}
    window = settings.pop("window", 20)
    path = tmp_path / "r.html"
    make_report(x, path, model=encoder, classifier=classifier, window=window, **settings)
    text = path.read_text(encoding="utf-8")
    for title in SECTIONS:
        assert f">{title}</a>" in text
    has_map = case in ("one channel", "no positions", "some positions", "epochs")
    assert (page.NO_MAP not in text) == (n_pictures(text) == 5)
    if has_map and case != "no positions":
        assert n_pictures(text) == 5
    if case in ("zeros", "nothing finite"):
        assert page.NO_CLASSES in text


def test_bad_channels_segments_and_events(encoder, classifier, tmp_path):
    x = noise(4, 40)
    x[2, 1000:1400] = 4000
    info = mne.create_info(["EEG FP1-REF", "Cz", "T3", "EOG"], 200, ["eeg", "eeg", "eeg", "eog"])
    raw = mne.io.RawArray(x * 1e-6, info, verbose="error")
    raw.info["bads"] = ["Cz"]
    onsets, lengths = [2, 4, 6, 6, 30], [0, 1, 1, 0, 5]
    texts = ["$1", "音", "<b>bold</b>", "left", "BAD_x"]
    raw.set_annotations(mne.Annotations(onsets, lengths, texts))
    path = make_report(raw, tmp_path / "r.html", model=encoder, classifier=classifier, window=4)
    text = path.read_text(encoding="utf-8")
    assert "EEG FP1-REF → Fp1" in text
    assert "T3 → T7" in text
    assert "<td>Cz</td>" in text  # bad channels
    assert "EOG (" in text  # left out, and why
    assert "<td>1, 5 s in all: left out</td>" in text
    assert "&lt;b&gt;bold&lt;/b&gt; (1 times)" in text
    assert "<b>bold" not in text
    assert "above the artefact limit" in text


def test_all_channels_bad(encoder, classifier, tmp_path):
    raw = mne.io.RawArray(
        noise(2) * 1e-6, mne.create_info(["C3", "C4"], 200, "eeg"), verbose="error"
    )
    raw.info["bads"] = ["C3", "C4"]
    path = make_report(raw, tmp_path / "r.html", model=encoder, classifier=classifier)
    text = path.read_text(encoding="utf-8")
    assert page.NO_CLASSES in text
    assert page.NO_MAP in text


def test_same_recording_same_bytes_whatever_the_users_style(encoder, tmp_path):
    x = noise()
    settings = {"model": encoder, "sfreq": 200, "window": 2}
    before = dict(mpl.rcParams)
    first = make_report(x, tmp_path / "1.html", **settings)
    assert dict(mpl.rcParams) == before
    with mpl.style.context("dark_background"):
        second = make_report(x, tmp_path / "2.html", **settings)
    assert first.read_bytes() == second.read_bytes()


def test_computed_before_or_now_is_the_same_page(encoder, classifier, tmp_path):
    x, settings = noise(), {"sfreq": 200, "ch_names": ["C3", "C4", "Cz", "Pz"]}
    now = make_report(
        x, tmp_path / "1.html", model=encoder, classifier=classifier, window=2, **settings
    )
    before = make_report(
        x,
        tmp_path / "2.html",
        model=encoder,
        embeddings=embed(x, encoder, 2, **settings),
        predictions=predict(x, classifier, **settings),
        **settings,
    )
    assert now.read_bytes() == before.read_bytes()


def test_embeddings_of_something_else_are_refused(encoder, tmp_path):
    other = embed(noise(3), encoder, sfreq=200)
    with pytest.raises(ModelInputError, match="4 channels"):
        make_report(noise(4), tmp_path / "r.html", model=encoder, embeddings=other, sfreq=200)
    assert not list(tmp_path.iterdir())


def test_note(encoder, tmp_path):
    path = make_report(
        noise(1, 2), tmp_path / "r.html", model=encoder, sfreq=200, note="Made up & <short>."
    )
    text = path.read_text(encoding="utf-8")
    assert "Made up &amp; &lt;short&gt;." in text
    assert page.NO_CLASSIFIER in text


def test_existing_page_is_kept(encoder, tmp_path):
    path = tmp_path / "r.html"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        make_report(noise(), path, model=encoder, sfreq=200)
    assert path.read_text() == "mine"
    make_report(noise(1, 2), path, model=encoder, sfreq=200, overwrite=True)
    assert path.stat().st_size > 10_000
    assert list(tmp_path.iterdir()) == [path]


def test_command(encoder, tmp_path, capsys):
    encoder.save_pretrained(tmp_path / "encoder")
    file, out = tmp_path / "short_raw.fif", tmp_path / "r.html"
    info = mne.create_info(["C3", "C4"], 200, "eeg")
    mne.io.RawArray(noise(2, 3) * 1e-6, info, verbose="error").save(file, verbose="error")
    with pytest.warns(UntrainedWeightsWarning):
        report(str(file), str(out), model=str(tmp_path / "encoder"), classes=False)
    assert capsys.readouterr().out == f"{out}: open it in a browser\n"
    text = out.read_text(encoding="utf-8")
    assert "EEGFoundation: short_raw.fif" in text
    assert page.NO_CLASSIFIER in text


def test_a_long_recording_is_read_in_pieces(encoder, tmp_path):
    sfreq, hours = 100, 1
    spans = []

    def reader(start, stop):
        spans.append(stop - start)
        return np.random.default_rng(start).standard_normal((1, stop - start)) * 20

    night = Recording(
        name="night",
        ch_names=["Cz"],
        sfreq=sfreq,
        n_times=hours * 3600 * sfreq,
        positions=np.array([[0, 0, 0.1]]),
        reader=reader,
        events=[(i * 30.0, 30.0, f"stage {i % 11}") for i in range(hours * 120)],
        history=read_recording(noise(1), sfreq=200).history,
    )
    make_report(night, tmp_path / "r.html", model=encoder)
    assert max(spans) < 330 * sfreq


def test_spectrum_is_welchs():
    x = noise(2, 10, 250)
    recording = read_recording(x, sfreq=250)
    freqs, psd = measures.spectrum(recording)
    expected_freqs, expected = welch(x, 250, nperseg=500)
    np.testing.assert_allclose(freqs, expected_freqs)
    # SciPy halves the two outermost frequencies, which have no mirror image
    np.testing.assert_allclose(psd[:, 1:-1], expected[:, 1:-1], rtol=1e-4)


def test_spectrum_leaves_out_what_is_unusable():
    x = noise(2, 10, 250)
    x[0, 600:700] = np.nan
    x[1] = np.nan
    _, psd = measures.spectrum(read_recording(x, sfreq=250))
    assert np.isfinite(psd[0]).all()
    assert np.isnan(psd[1]).all()


def test_principal_components():
    rng = np.random.default_rng(0)
    t = np.linspace(0, 6, 50)
    axes = np.linalg.qr(rng.standard_normal((20, 2)))[0]
    pooled = 5 + 3 * np.outer(np.sin(t), axes[:, 0]) + np.outer(np.cos(3 * t), axes[:, 1])
    pooled[7] = np.nan
    scores, explained = measures.principal_components(pooled)
    assert np.isnan(scores[7]).all()
    assert explained[:2].sum() == pytest.approx(1)
    rest = np.delete(np.arange(50), 7)
    assert abs(np.corrcoef(scores[rest, 0], np.sin(t[rest]))[0, 1]) > 0.95
    np.testing.assert_allclose(scores[rest].mean(axis=0), 0, atol=1e-9)
    mirrored, _ = measures.principal_components(pooled[::-1])
    np.testing.assert_allclose(mirrored[::-1][:, :2], scores[:, :2], atol=1e-9)


@pytest.mark.parametrize("pooled", [np.ones((2, 8)), np.ones((9, 8)), np.full((9, 8), np.nan)])
def test_no_principal_components(pooled):
    assert measures.principal_components(pooled) is None


def test_similarity():
    rng = np.random.default_rng(0)
    pooled = rng.standard_normal((6, 8)).astype(np.float32)
    pooled[2] = np.nan
    matrix = measures.similarity(pooled)
    rest = np.array([0, 1, 3, 4, 5])
    np.testing.assert_allclose(np.diag(matrix)[rest], 1, rtol=1e-5)
    assert np.isnan(matrix[2]).all()
    assert np.abs(matrix[np.ix_(rest, rest)]).max() < 1 + 1e-5


def test_excerpt_prefers_good_signal_with_an_event():
    recording = read_recording(noise(2, 100), sfreq=200)
    recording.events = [(5.0, 0.0, "early"), (63.0, 0.0, "late")]
    quality = np.ones((10, 2))
    quality[0] = 0.5
    times = np.arange(10) * 10.0 + 5
    rows = measures.Rows(np.zeros((10, 8)), times, quality, {"windows": {"window": 10.0}})
    x, seconds = measures.excerpt(recording, rows)
    assert (x.shape, seconds[0]) == ((2, 2000), 60.0)


def test_time_axis_averages_many_rows():
    n_rows = 5 * MAX_BINS - 3
    recording = read_recording(noise(1), sfreq=200)
    recording.n_times = n_rows * 2000  # nothing is read
    axis = TimeAxis.of(np.arange(n_rows) * 10.0 + 5, recording)
    assert (axis.label, axis.seconds) == ("time (h)", 3600)
    values = np.arange(n_rows, dtype=float)[None]
    values[0, :5] = np.nan
    values[0, 5] = np.nan
    mean, coarse = axis.binned(values)
    assert mean.shape == (1, MAX_BINS)
    assert np.isnan(mean[0, 0])
    assert mean[0, 1] == pytest.approx(7.5)
    assert len(coarse.edges) == MAX_BINS + 1
    np.testing.assert_allclose(coarse.edges[[0, -1]], [0, n_rows * 10 / 3600])


def test_is_offered_lazily():
    assert eegfoundation.make_report is make_report
