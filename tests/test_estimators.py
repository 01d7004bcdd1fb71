"""scikit-learn's own checks, and what they cannot ask about signals."""

import pickle
import re

import mne
import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from eegfoundation import embed
from eegfoundation.errors import EEGFoundationError
from eegfoundation.estimators import EEGFoundationClassifier, EEGFoundationFeatures
from eegfoundation.finetuning import fitting
from eegfoundation.synthetic import simulate_motor_imagery
from samples import waves, write_edf
from shared_data import ROOT, shared_path

NAMES = ["C3", "Cz", "C4", "Pz"]
SFREQ = 250

#: Checks of scikit-learn that do not hold, and why; docs/scikit_learn.md says the same.
EXCEPTIONS = {
    "check_n_features_in": "any number of channels and samples is taken: none is remembered",
    "check_n_features_in_after_fitting": "likewise: another montage is matched, not refused",
    "check_estimators_empty_data_messages": "refused, in words of ours: there are no features",
    "check_fit2d_predict1d": "refused, in words of ours: reshaping makes no signal of a row",
}
OF_THE_MEAN = {"check_transformer_general": "the average over channels takes any number of them"}


class TakesTables:
    """The checks speak tables (n, d): one channel per column, whose amplitude is the value."""

    encoder = None  # the one of conftest.py, set below: checks are collected before fixtures exist

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags

    def _encoder(self):
        return TakesTables.encoder

    def _read(self, X, preprocessing):
        if not hasattr(X, "toarray"):
            table = np.asarray(X)
            if table.ndim == 2 and table.dtype.kind in "fiubO":
                noise = np.random.default_rng(0).normal(0, 20, (table.shape[1], 200))
                X = np.exp(table.astype(float).clip(-3, 3) / 2)[:, :, None] * noise
        return super()._read(X, preprocessing)


class TableFeatures(TakesTables, EEGFoundationFeatures):
    pass


class TableClassifier(TakesTables, EEGFoundationClassifier):
    pass


def exceptions(estimator):
    pooled = getattr(estimator, "pooling", None) == "mean"
    return {**EXCEPTIONS, **(OF_THE_MEAN if pooled else {})}


@pytest.fixture(autouse=True)
def _encoder_of_the_checks(encoder, monkeypatch):
    monkeypatch.setattr(TakesTables, "encoder", encoder)


@parametrize_with_checks(
    [
        TableFeatures(sfreq=200),
        TableFeatures(sfreq=200, pooling="mean"),
        TableClassifier(sfreq=200),
    ],
    expected_failed_checks=exceptions,
    xfail_strict=True,
)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [EEGFoundationFeatures, EEGFoundationClassifier])
def test_scikit_learn_is_told_that_tables_are_not_taken(kind):
    tags = kind().__sklearn_tags__().input_tags
    assert tags.three_d_array
    assert not tags.two_d_array


def trials(subjects=(0, 1), n_trials_per_class=4, ch_names=NAMES):
    """Arrays of microvolts at 250 Hz, labels that are words, subjects."""
    sessions = [
        simulate_motor_imagery(ch_names, subject=s, n_trials_per_class=n_trials_per_class)
        for s in subjects
    ]
    x, y = (np.concatenate(part) for part in zip(*(s.trials() for s in sessions), strict=True))
    words = np.array(["tongue", "left", "right", "feet"])  # not in the order of the alphabet
    return x, words[y], np.repeat(subjects, 4 * n_trials_per_class)


def as_epochs(x, **options):
    info = mne.create_info(NAMES, SFREQ, "eeg")
    return mne.EpochsArray(x * 1e-6, info, verbose="error", **options)


@pytest.fixture(autouse=True, scope="module")
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EEGFOUNDATION_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def data():
    return trials()


@pytest.fixture
def features(encoder):
    return EEGFoundationFeatures(encoder, sfreq=SFREQ, ch_names=NAMES)


@pytest.fixture
def classifier(encoder):
    return EEGFoundationClassifier(encoder, sfreq=SFREQ, ch_names=NAMES)


def alike(a, b):
    """Equal but for rounding of the signal (volts in float64 against microvolts)."""
    np.testing.assert_allclose(a, b, atol=0.02)


class TestFeatures:
    def test_arrays_epochs_and_lists_of_epochs_are_the_same(self, features, data):
        x = data[0]
        found = features.fit_transform(x)
        assert found.shape == (len(x), 4 * 128)
        assert found.dtype == np.float32
        epochs = as_epochs(x)
        knowing = clone(features).set_params(sfreq=None, ch_names=None)
        alike(knowing.fit_transform(epochs), found)
        alike(knowing.transform([epochs[i] for i in range(5)]), found[:5])

    def test_they_are_the_vectors_that_embed_gives(self, features, data, encoder):
        x = data[0]
        direct = embed(x, encoder, sfreq=SFREQ, ch_names=NAMES).values
        np.testing.assert_allclose(features.fit_transform(x), direct.reshape(len(x), -1), atol=1e-5)
        pooled = features.set_params(pooling="mean").fit_transform(x)
        np.testing.assert_allclose(pooled, direct.mean(1), atol=1e-5)

    def test_a_file_is_one_sample_averaged_over_its_windows(self, encoder):
        paths = [
            shared_path("formats", f"eegmat_Subject30_{kind}.edf")
            for kind in ("rest", "arithmetic")
        ]
        features = EEGFoundationFeatures(encoder, pooling="mean", window=5)
        found = features.fit_transform(paths)
        for row, path in zip(found, paths, strict=True):
            windows = embed(path, encoder, window=5).pooled()
            np.testing.assert_allclose(row, windows.mean(0), atol=1e-4)
        assert features.preprocessing_.notch == "auto"  # each file has its own mains

    def test_files_of_other_montages_share_columns(self, encoder, tmp_path):
        x = waves(100, n_chans=3)
        whole = write_edf(tmp_path / "whole.edf", x, ["C3", "Cz", "C4"])
        part = write_edf(tmp_path / "part.edf", x[[2, 0]], ["C4", "C3"])
        features = EEGFoundationFeatures(encoder)
        found = features.fit_transform([whole, part]).reshape(2, 3, -1)
        assert features.ch_names_ == ("C3", "Cz", "C4")
        # what is missing is the mean of what there is: here, that of the other file
        np.testing.assert_array_equal(found[1, 1], found[0, 1])
        assert np.isfinite(found).all()

    def test_electrodes_are_found_by_their_place(self, features, data):
        x = data[0]
        found = features.fit_transform(x).reshape(len(x), 4, -1)
        turned = features.set_params(ch_names=["Pz", "C4", "C3"])
        asked = turned.transform(x[:, [3, 2, 0]]).reshape(len(x), 4, -1)
        # another reference, which is an average of the channels: alike, not equal
        for row in (0, 2, 3):
            matched = [
                np.corrcoef(asked[:, row].ravel(), found[:, i].ravel())[0, 1] for i in range(4)
            ]
            assert int(np.argmax(matched)) == row
        mean = features.fill_.reshape(4, -1)[1]
        near = np.linalg.norm(features.positions_[1] - features.positions_, axis=1)
        assert near[near > 0].min() > 0.04  # nothing may stand for Cz
        np.testing.assert_array_equal(asked[:, 1], np.tile(mean, (len(x), 1)))

    def test_unknown_channels_are_matched_only_if_they_are_the_same(self, features, data):
        x = data[0]
        features.set_params(ch_names=None).fit(x)
        features.transform(x[:2])
        with pytest.raises(EEGFoundationError, match="None of the 3 channels lies within 4 cm"):
            features.transform(x[:, :3])

    def test_windows_of_a_sample_are_averaged(self, features, data):
        x = data[0]
        halves = features.set_params(window=2.0).fit_transform(x)
        assert halves.shape == (len(x), 4 * 128)
        whole = clone(features).set_params(window=None).fit_transform(x)
        assert 0 < np.abs(halves - whole).max() < 3

    def test_mains_is_decided_when_fitted(self, features, data):
        """A trial is treated alike, whatever comes with it."""
        x = data[0]
        features.fit(x)
        assert features.preprocessing_.notch == 50.0
        np.testing.assert_allclose(
            features.transform(x[3:4]), features.transform(x)[3:4], atol=1e-4
        )

    def test_unusable_channels_become_the_mean(self, features, data):
        x = data[0].copy()
        x[0, 1] = np.nan
        found = features.fit_transform(x).reshape(len(x), 4, -1)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[0, 1], found[1:, 1].mean(0), atol=1e-5)

    def test_names_of_columns(self, features, data):
        features.fit(data[0])
        names = features.get_feature_names_out()
        assert names[[0, -1]].tolist() == ["C3_e000", "Pz_e127"]
        table = features.set_output(transform="pandas").transform(data[0][:2])
        assert table.columns.tolist() == names.tolist()


class TestClassifier:
    def test_labels_of_any_kind_come_back(self, classifier, data):
        x, y, groups = data
        classifier.fit(x, y, groups=groups)
        assert classifier.classes_.tolist() == ["feet", "left", "right", "tongue"]
        probability = classifier.predict_proba(x)
        np.testing.assert_allclose(probability.sum(1), 1)
        assert (classifier.predict(x) == classifier.classes_[probability.argmax(1)]).all()
        assert classifier.score(x, y) > 0.5

    @pytest.mark.parametrize("strategy", ["probe", "head"])
    def test_fitting_twice_and_pickling_change_nothing(self, classifier, data, strategy):
        x, y, groups = data
        classifier.set_params(strategy=strategy, epochs=2)
        first = classifier.fit(x, y, groups=groups).predict_proba(x)
        again = clone(classifier).fit(x, y, groups=groups)
        np.testing.assert_array_equal(again.predict_proba(x), first)
        loaded = pickle.loads(pickle.dumps(classifier))
        np.testing.assert_array_equal(loaded.predict_proba(x), first)

    def test_what_it_trained_is_a_classifier_like_any_other(self, classifier, data, tmp_path):
        from eegfoundation.models import EEGFoundationForClassification

        x, y, _ = data
        model = classifier.fit(x, y).model_
        assert isinstance(model, EEGFoundationForClassification)
        assert model.config.class_names == ["feet", "left", "right", "tongue"]
        assert model.config.ch_names == NAMES

    def test_files(self, encoder, tmp_path):
        rng = np.random.default_rng(0)
        t = np.arange(2400) / 100
        paths, labels = [], []
        for i in range(8):
            x = waves(100, n_chans=2, duration=24, seed=i) + rng.normal(0, 5, (2, 2400))
            if i % 2:
                x += 40 * np.sin(2 * np.pi * 10 * t)
            paths.append(write_edf(tmp_path / f"{i}.edf", x, ["O1", "O2"]))
            labels.append("closed" if i % 2 else "open")
        classifier = EEGFoundationClassifier(encoder, window=4).fit(paths[:6], labels[:6])
        assert classifier.predict(paths[6:]).tolist() == ["open", "closed"]
        assert classifier.predict(np.array(paths[6:], dtype=str)).tolist() == ["open", "closed"]

    def test_prediction_on_another_montage(self, classifier, data):
        x, y, _ = data
        classifier.fit(x, y)
        part = classifier.set_params(ch_names=["C4", "C3"]).predict_proba(x[:, [2, 0]])
        assert part.shape == (len(x), 4)
        with pytest.raises(EEGFoundationError, match="None of the 2 channels"):
            classifier.set_params(ch_names=["O1", "O2"]).predict(x[:, :2])

    def test_a_sample_without_signal_gets_an_answer(self, classifier, data):
        x, y, _ = data
        classifier.fit(x, y)
        empty = classifier.predict_proba(np.full_like(x[:1], np.nan))
        np.testing.assert_allclose(empty.sum(), 1)

    @pytest.mark.parametrize("alignment", ["standardise", "euclidean", "components"])
    @pytest.mark.parametrize("strategy", ["probe", "probe+covariance"])
    def test_alignment_is_within_a_session(self, classifier, data, alignment, strategy):
        x, y, groups = data
        classifier.set_params(alignment=alignment, strategy=strategy).fit(x, y, groups=groups)
        together = classifier.predict_proba(x, sessions=groups)
        apart = [classifier.predict_proba(x[groups == one]) for one in (0, 1)]
        np.testing.assert_allclose(together, np.concatenate(apart), atol=1e-6)
        assert np.abs(classifier.predict_proba(x) - together).max() > 1e-4
        assert classifier.score(x, y, sessions=groups) > 0.5


class TestWhoIsWho:
    @pytest.fixture
    def seen(self, monkeypatch):
        """Trials and parts that a fit was asked for."""
        calls = []
        real = fitting.fit

        def record(trials, train, validation, *args, **kwargs):
            calls.append((trials, train, validation))
            return real(trials, train, validation, *args, **kwargs)

        monkeypatch.setattr(fitting, "fit", record)
        return calls

    def test_groups_are_subjects(self, classifier, data, seen):
        x, y, groups = data
        classifier.fit(x, y, groups=groups)
        assert seen[0][0].subject.tolist() == groups.astype(str).tolist()
        assert len(seen[0][2]) == 0  # the probe needs none for stopping

    def test_epochs_may_bring_their_own(self, encoder, data, seen):
        import pandas as pd

        x, y, groups = data
        table = pd.DataFrame({"subject": groups, "session": ["a"] * len(x)})
        epochs = as_epochs(x, metadata=table)
        EEGFoundationClassifier(encoder).fit(epochs, y)
        assert seen[0][0].group("session").tolist() == [f"{one}/a" for one in groups]

    def test_nobody_is_learned_from_and_validated_on(self, classifier, seen):
        x, y, groups = trials(subjects=(0, 1, 2), n_trials_per_class=2)
        classifier.set_params(strategy="head", epochs=1, validation=0.34)
        classifier.fit(x, y, groups=groups)
        ours, train, validation = seen[0]
        assert sorted([*train, *validation]) == list(range(len(x)))
        assert not set(ours.subject[train]) & set(ours.subject[validation])
        assert len(set(ours.subject[validation])) == 1

    def test_windows_of_a_sample_stay_together(self, classifier, data, seen):
        x, y, _ = data
        classifier.set_params(strategy="head", epochs=1, window=2.0).fit(x, y)
        ours, train, validation = seen[0]
        assert len(ours) == 2 * len(x)
        assert len(validation)
        assert not set(ours.run[train]) & set(ours.run[validation])

    def test_too_few_to_validate_is_said(self, classifier, data, seen, caplog):
        x, y, _ = data
        classifier.set_params(strategy="head", epochs=1).fit(x[:3], y[:3], groups=[0, 0, 0])
        assert len(seen[0][2]) == 0
        assert "too few to set some aside for validation" in caplog.text

    def test_metadata_routing_in_a_grid_search(self, classifier, seen):
        x, y, groups = trials(subjects=(0, 1, 2), n_trials_per_class=2)
        with config_context(enable_metadata_routing=True):
            routed = clone(classifier).set_fit_request(groups=True)
            search = GridSearchCV(routed, {"alignment": ["none", "euclidean"]}, cv=GroupKFold(3))
            search.fit(x, y, groups=groups)
        assert search.cv_results_["mean_test_score"].shape == (2,)
        assert len(seen) == 2 * 3 + 1
        for ours, _, _ in seen[:-1]:
            assert len(set(ours.subject)) == 2  # the third is held out
        assert set(seen[-1][0].subject) == {"0", "1", "2"}


def test_pipeline_and_search_over_epochs(encoder, data):
    x, y, _ = data
    pipeline = make_pipeline(
        EEGFoundationFeatures(encoder), StandardScaler(), LogisticRegression(max_iter=1000)
    )
    grid = {"eegfoundationfeatures__pooling": ["channels", "mean"]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(as_epochs(x), y)
    assert search.predict(as_epochs(x)).shape == y.shape


def test_documented_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "scikit_learn.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) == 5
    names = {}
    for block in blocks:
        exec(block, names)
    assert capsys.readouterr().out.startswith("(8, 4)\n")
    assert names["both"].predict_proba(names["x"][16:]).shape == (8, 4)
    assert (tmp_path / "occlusion.png").exists()
    for check in (*EXCEPTIONS, *OF_THE_MEAN):
        assert f"`{check}`" in page


X = np.random.default_rng(0).normal(0, 20, (6, 4, 500))
Y = ["a", "b"] * 3


@pytest.mark.parametrize(
    ("changes", "x", "y", "message"),
    [
        ({"sfreq": None}, X, Y, "does not know its sampling rate"),
        ({"ch_names": NAMES[:3]}, X, Y, "so 4 channels, but ch_names has 3 names"),
        ({}, X[0], Y, r"X has shape \(4, 500\) and type float64; expected an array \(n, n_chans"),
        ({}, X * 1e-6, Y, "pass units='V'"),
        ({}, X, Y[:5], "y has 5 entries for 6 samples"),
        ({}, X, ["a"] * 6, r"y has 1 class at most, \['a'\]; at least two"),
        ({}, X, None, "y is None: give labels"),
        ({}, "night.edf", Y, "X is a single path; expected an array"),
        ({}, ["missing.edf", "gone.edf"], Y[:2], "missing.edf"),
        ({"window": 5.0}, X, Y, "window is 5 s, the samples last 2 s"),
        ({"strategy": "svm"}, X, Y, "strategy='svm'; choose one of"),
        ({"alignment": "yes"}, X, Y, "alignment='yes'; choose one of"),
        ({"validation": 1.5}, X, Y, "validation=1.5; a share between 0 and 1"),
        ({"model": 3}, X, Y, "model is of type int; expected a name"),
        ({"line_freq": -50}, X, Y, "notch must be a positive number"),
    ],
)
def test_mistakes_are_one_sentence(classifier, changes, x, y, message):
    with pytest.raises(EEGFoundationError, match=message) as caught:
        classifier.set_params(**changes).fit(x, y)
    assert "\n" not in str(caught.value)


def test_mistakes_of_the_transformer_and_in_groups(features, classifier):
    with pytest.raises(EEGFoundationError, match="pooling='max'; choose one of"):
        features.set_params(pooling="max").fit(X)
    with pytest.raises(EEGFoundationError, match="groups has 2 entries for 6 samples"):
        classifier.fit(X, Y, groups=[0, 1])


def two_classes(n=40):
    """Trials (n, 4, 500) of two amplitudes, and labels."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    return (10 + 10 * y[:, None, None]) * rng.normal(size=(n, 4, 500)), y


def test_samples_without_labels_teach(encoder):
    x, y = two_classes()
    few = np.where(np.arange(len(y)) < 6, y, -1)

    def fitted(labels, **more):
        classifier = EEGFoundationClassifier(encoder, sfreq=SFREQ, ch_names=NAMES, **more)
        return classifier.fit(x[: len(labels)], labels)

    taught, untaught = fitted(few, self_training=True), fitted(few[:6])
    assert taught.classes_.tolist() == [0, 1]
    assert not np.allclose(taught.predict_proba(x), untaught.predict_proba(x), atol=1e-3)
    assert (taught.predict(x) == y).mean() > 0.9
    complete = [fitted(y, self_training=told).predict_proba(x) for told in (True, False)]
    np.testing.assert_array_equal(*complete)
    assert fitted(few).classes_.tolist() == [-1, 0, 1]  # where it is not asked for, -1 is a label


@pytest.mark.parametrize("dtype", [str, object])
def test_texts_without_labels_are_empty(encoder, dtype):
    x, y = two_classes()
    labels = np.array(["rest", "task"], dtype)[y]
    labels[6:] = ""
    classifier = EEGFoundationClassifier(encoder, sfreq=SFREQ, ch_names=NAMES, self_training=True)
    assert (classifier.fit(x, labels).predict(x) == np.array(["rest", "task"])[y]).mean() > 0.9


def test_without_labels_only_a_probe_is_taught(encoder):
    x, y = two_classes()
    y[6:] = -1
    classifier = EEGFoundationClassifier(
        encoder, sfreq=SFREQ, ch_names=NAMES, strategy="head", self_training=True
    )
    with pytest.raises(EEGFoundationError, match="teach a probe only, found strategy='head'"):
        classifier.fit(x, y)
    with pytest.raises(EEGFoundationError, match=r"y has 1 class at most, \[\]"):
        classifier.set_params(strategy="probe").fit(x, np.full(len(x), -1))
