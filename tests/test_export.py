"""Exported files compute what PyTorch does, say what they are, and run without this package."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eegfoundation import predict, preprocess, read_recording
from eegfoundation.errors import ConfigError, OutputError
from eegfoundation.export import check, files
from eegfoundation.export.graphs import make_graph
from eegfoundation.export.run import export_model
from eegfoundation.models import (
    DownstreamConfig,
    EEGFoundationForClassification,
    fingerprint,
    save_downstream_model,
)
from eegfoundation.prediction import load_model
from eegfoundation.windows import iter_windows
from shared_data import shared_path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
NAMES = ["Fz", "C3", "Cz", "C4", "Pz", "O1", "O2", "P7", "P8", "Fp1", "Fp2"]

pytestmark = pytest.mark.filterwarnings(
    "ignore::eegfoundation.UntrainedWeightsWarning", "ignore:.*LeafSpec:FutureWarning"
)


def classifier(encoder, encoder_folder, **settings):
    """A classifier of random weights, all of which matter."""
    config = DownstreamConfig(
        **{
            **{"seq_len": 400, "patch_size": 150, "stride": 60, "d_model": 32, "num_classes": 3},
            **{"num_channel": len(NAMES), "ch_names": NAMES, "class_names": ["a", "b", "c"]},
            **{"projection_embedding_dim": 24, "classification_hidden_dim": 20},
            **{"embedding_dim": encoder.config.context_size, "encoder": str(encoder_folder)},
            **{"preprocessing": encoder.config.preprocessing},
            "encoder_sha256": fingerprint(encoder),
            **settings,
        }
    )
    model = EEGFoundationForClassification(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise * 0.5 / parameter.shape[-1] ** 0.5)
    model.attach_encoder(encoder)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def recording():
    """Real EEG; each test takes from it windows and channels of its own."""
    return preprocess(
        read_recording(shared_path("formats", "eegmat_Subject30_arithmetic.edf")),
        load_model("small").preprocessing,
    )


def windows(recording, n_chans, seconds):
    """A few windows of the first channels, with what real recordings have."""
    x = next(iter_windows(recording, seconds, block=3 * seconds)).data[:3, :n_chans].copy()
    x[0, 0, 20:50] = np.nan
    if n_chans > 2:
        x[-1, 1] = 7.0  # flat
        x[0, 2] = np.nan  # bad
    return np.ascontiguousarray(x)


def assert_close(found, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value.numpy(), rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def exported(folder, encoder, encoder_folder):
    """Every kind of graph once: (model, file) by name."""
    models = {
        "encoder": encoder,
        "fusion": classifier(encoder, encoder_folder),
    }
    for name, settings in {
        "aligned": {"alignment": "euclidean+standardise"},
        "bands": {"alignment": "components"},
        "flickers": {"alignment": "components", "flicker_hz": [8.0, 13.0]},
    }.items():
        models[name] = classifier(encoder, encoder_folder, readout="linear", **settings)
    made = {}
    for name, model in models.items():
        path = folder / f"{name}.onnx"
        if name == "fusion":
            model.save_pretrained(folder / name)
            export_model(str(folder / name), path)
        elif name == "encoder":
            export_model(str(encoder_folder), path)
        else:
            weights, config = folder / f"{name}.pth", folder / f"{name}.json"
            save_downstream_model(model, weights, config)
            export_model(str(weights), path, classifier_config=str(config))
        made[name] = model, path
    return made


@pytest.mark.parametrize(("n_chans", "seconds"), [(7, 4.3), (1, 0.5), (19, 10.0), (3, 0.745)])
def test_an_encoder_gives_the_same_in_onnx_on_real_windows(exported, recording, n_chans, seconds):
    encoder, path = exported["encoder"]
    x = windows(recording, n_chans, seconds)
    with torch.no_grad():
        expected = encoder.embed_signal(torch.from_numpy(x))
    assert_close(files.run_onnx(path)({"signal": x}), {"embeddings": expected})
    if n_chans > 2:
        assert expected[-1, 1].isnan().all(), "a flat channel has no embedding"


@pytest.mark.parametrize(("n_chans", "seconds"), [(7, 4.3), (1, 0.5), (19, 10.0), (3, 0.745)])
def test_a_fusion_gives_the_same_in_onnx_on_real_windows(exported, recording, n_chans, seconds):
    model, path = exported["fusion"]
    x = windows(recording, n_chans, seconds)
    positions = recording.positions[:n_chans].astype(np.float32)
    positions[0] = np.nan  # an electrode whose place nobody knows
    with torch.no_grad():
        output = model(torch.from_numpy(x), positions=torch.from_numpy(positions))
    found = files.run_onnx(path)({"signal": x, "positions": positions})
    expected = {"logits": output.logits, "attention": output.attentions[0]}
    assert_close(found, {**expected, "probabilities": output.logits.softmax(-1)})


@pytest.mark.parametrize("name", ["aligned", "bands", "flickers"])
def test_aligned_by_numpy_a_file_predicts_what_the_package_predicts(exported, monkeypatch, name):
    """The statistics of the recording are inputs: nobody can leave them out unawares."""
    monkeypatch.syspath_prepend(EXAMPLES)
    from onnx_alignment import run_aligned
    from onnx_inference import load, run

    model, path = exported[name]
    source = read_recording(shared_path("formats", "eegmat_Subject30_arithmetic.edf"))
    expected = predict(source, model, window=4.0)
    recording = preprocess(source, model.preprocessing)
    x = np.concatenate([block.data for block in iter_windows(recording, 4.0)])
    session, about = load(path, recording.sfreq)
    outputs = run_aligned(session, about, x, positions=recording.positions)
    columns = [f"p_{name}" for name in about["class_names"]]
    difference = np.abs(outputs["probabilities"] - expected[columns].to_numpy()).max(axis=1)
    assert np.median(difference) < 1e-5
    # The example whitens in float32, the package in float64: now and then a sample lies on the edge
    # of a bin, and its token is the neighbour.
    assert difference.max() < 0.01
    with pytest.raises(KeyError, match="whitening"):  # and what else there is
        run(session, about, signal=x, positions=recording.positions)
    with pytest.raises(ValueError, match="250"):
        load(path, 250.0)


def test_electrodes_out_of_reach_or_without_signal_give_nan(exported):
    _, path = exported["aligned"]
    inputs = {
        "signal": np.random.default_rng(0).normal(0, 20, (2, 2, 400)),
        "positions": np.full((2, 3), 0.5),
        "whitening": np.eye(2),
        "context_mean": np.zeros((2, 128)),
        "context_deviation": np.ones((2, 128)),
    }
    run = files.run_onnx(path)
    found = run({name: value.astype(np.float32) for name, value in inputs.items()})
    assert np.isnan(found["probabilities"]).all()

    _, path = exported["fusion"]
    x = np.full((2, 2, 400), np.nan, np.float32)
    x[1, 0] = np.arange(400) % 17
    found = files.run_onnx(path)({"signal": x, "positions": np.zeros((2, 3), np.float32)})
    assert np.isnan(found["probabilities"]).all(1).tolist() == [True, False]


def test_a_file_says_what_it_is(exported, encoder):
    import onnx

    model, path = exported["fusion"]
    loaded = onnx.load(path)
    about = json.loads(
        {item.key: item.value for item in loaded.metadata_props}["eegfoundation.json"]
    )
    assert about["preprocessing"] == model.preprocessing.to_dict()
    assert about["class_names"] == ["a", "b", "c"]
    assert about["ch_names"] == NAMES
    assert np.array(about["positions"], float).shape == (len(NAMES), 3)
    assert about["encoder_sha256"] == fingerprint(encoder)
    assert "UNTRAINED" in about["notice"]
    assert "UNTRAINED" in loaded.doc_string
    assert [axis.dim_param for axis in loaded.graph.input[0].type.tensor_type.shape.dim] == [
        *("batch", "channels", "samples")
    ]
    onnx.checker.check_model(loaded)
    assert b"site-packages" not in path.read_bytes(), "it tells where the exporter's code lay"


def test_a_program_runs_where_there_is_only_pytorch(folder, encoder_folder, encoder, recording):
    path = folder / "encoder.pt2"
    export_model(str(encoder_folder), path, format="torch")
    x = windows(recording, 7, 4.3)
    np.save(folder / "x.npy", x)
    code = f"""
import sys, numpy, torch
extra = {{"eegfoundation.json": ""}}
program = torch.export.load({str(path)!r}, extra_files=extra).module()
x = torch.from_numpy(numpy.load({str(folder / "x.npy")!r}))
numpy.save({str(folder / "y.npy")!r}, program(signal=x)["embeddings"].detach())
assert "microvolts" in extra["eegfoundation.json"]
assert not [name for name in sys.modules if name.split(".")[0] in ("eegfoundation", "mne")]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = encoder.embed_signal(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(np.load(folder / "y.npy"), expected, rtol=0, atol=1e-4)


def test_the_example_needs_neither_pytorch_nor_this_package(exported, folder, recording):
    _, path = exported["fusion"]
    x = windows(recording, 7, 4.3)
    positions = recording.positions[:7].astype(np.float32)
    np.savez(folder / "x.npz", signal=x, sfreq=200.0, positions=positions)
    code = f"""
import runpy, sys
sys.argv = ["onnx_inference.py", {str(path)!r}, {str(folder / "x.npz")!r}]
runpy.run_path({str(EXAMPLES / "onnx_inference.py")!r}, run_name="__main__")
assert not {{"torch", "eegfoundation", "mne", "scipy"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "UNTRAINED" in done.stdout
    assert "['a', 'b', 'c']" in done.stdout


def test_the_command_prints_the_difference_and_keeps_what_exists(
    command, folder, encoder_folder, exported
):
    before = (folder / "encoder.onnx").read_bytes()
    code, _, errors = command("export", encoder_folder, "--out", folder / "encoder.onnx")
    assert code == 2
    assert "exists already" in errors[0]
    assert (folder / "encoder.onnx").read_bytes() == before
    out = folder / "again.pt2"
    code, lines, errors = command("export", encoder_folder, "--format", "torch", "--out", out)
    assert (code, errors) == (0, [])
    (difference,) = re.findall(r"Largest difference to PyTorch: (\S+),", lines[-1])
    assert float(difference) <= 1e-5  # a graph multiplies with another library
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["small", "--out", "small.pt2"], "does not end in .onnx"),
        (["small", "--format", "tflite", "--out", "a.tflite"], "choose one of"),
        (["models/stress_model.pth", "--out", "a.onnx"], "--classifier_config"),
        (["small", "--classifier_config", "a.json", "--out", "a.onnx"], "leave it out"),
        (["smalll", "--out", "a.onnx"], "No encoder is called"),
    ],
)
def test_wrong_arguments_are_one_sentence(command, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, errors = command("export", *arguments)
    assert code == 2
    assert len(errors) == 1
    assert message in errors[0]
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_of_onnx_a_sentence_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'eegfoundation\[onnx\]'"):
        export_model("small", tmp_path / "small.onnx")


def test_a_file_that_computes_something_else_is_not_kept(encoder_folder, tmp_path, monkeypatch):
    """One exporter divided negative lengths in another way: plausible numbers, all wrong."""

    def slightly_wrong(path):
        run = run_torch(path)
        return lambda inputs: {name: value + 2e-4 for name, value in run(inputs).items()}

    run_torch = files.run_torch
    monkeypatch.setattr(files, "run_torch", slightly_wrong)
    with pytest.raises(OutputError, match=r"differs from PyTorch by 2.0e-04"):
        export_model(str(encoder_folder), tmp_path / "tiny.pt2", format="torch")
    assert list(tmp_path.iterdir()) == []


def test_a_nan_on_one_side_only_is_a_difference(encoder):
    graph = make_graph(encoder)
    run = lambda inputs: {"embeddings": np.zeros((*inputs["signal"].shape[:2], 128))}  # noqa: E731
    assert check.compare(encoder, graph, run)[0] == float("inf")


@pytest.mark.parametrize("name", ["aligned", "bands", "flickers"])
def test_what_is_mixed_to_compare_is_the_same_on_every_processor(exported, name):
    """Sums that rounding changes would change tokens that lie on the edge of a bin."""
    model, _ = exported[name]
    inputs = check.example_inputs(model, make_graph(model), 2, 7, 861)
    signal = inputs["signal"].nan_to_num()
    assert signal.any()
    assert not signal.double().mean(-1).any()
    for matrix in {"whitening", "filters"} & set(inputs):
        mixed = inputs[matrix] @ signal
        assert torch.equal(mixed.double(), inputs[matrix].double() @ signal.double())
        assert mixed.std() > 0.1


@pytest.mark.long
@pytest.mark.parametrize(
    ("weights", "config"),
    [
        ("models/stress_model.pth", "models/stress_config.json"),
        ("models/BCIC-2a_model.pth", "configs/BCIC_IV_2a_config.json"),
    ],
)
@pytest.mark.filterwarnings("ignore::eegfoundation.SimulatedTrainingWarning")
def test_shipped_classifiers(weights, config, recording, tmp_path):
    root = EXAMPLES.parent
    path = tmp_path / "shipped.onnx"
    export_model(str(root / weights), path, classifier_config=str(root / config))
    model = load_model(str(root / weights), str(root / config))
    assert (b"SIMULATED" in path.read_bytes()) == model.config.simulated
    x = windows(recording, 19, 5.0)
    positions = recording.positions.astype(np.float32)[:19]
    with torch.no_grad():
        expected = model(torch.from_numpy(x), positions=torch.from_numpy(positions))
    assert_close(
        files.run_onnx(path)({"signal": x, "positions": positions}), {"logits": expected.logits}
    )


def test_what_no_graph_computes_is_refused(encoder, encoder_folder, folder):
    model = classifier(encoder, encoder_folder, readout="linear", covariance=True)
    save_downstream_model(model, folder / "both.pth", folder / "both.json")
    with pytest.raises(ConfigError, match="export a classifier of strategy='probe'"):
        export_model(
            str(folder / "both.pth"),
            folder / "both.onnx",
            classifier_config=str(folder / "both.json"),
        )
    assert not (folder / "both.onnx").exists()
