import contextlib
import copy
import logging
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, downstream_config, normal, scramble, tiny_config
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from eegfoundation.errors import (
    CheckpointError,
    ConfigError,
    ModelInputError,
    SimulatedTrainingWarning,
    UntrainedWeightsWarning,
)
from eegfoundation.models import (
    EEGFoundationForClassification,
    EEGFoundationModel,
    fingerprint,
    load_downstream_model,
)
from eegfoundation.montage import positions as standard_positions


def classifier(**changes):
    return scramble(EEGFoundationForClassification(downstream_config(**changes)))


MODEL = classifier()


@pytest.fixture(scope="module")
def encoder():
    return scramble(EEGFoundationModel(tiny_config()))


@pytest.fixture
def attached(encoder):
    model = classifier(embedding_dim=128)
    model.attach_encoder(copy.deepcopy(encoder))
    return model


def electrodes(n_chans, seed=0):
    return F.normalize(normal(n_chans, 3, seed=seed), dim=-1) * 0.09


@torch.no_grad()
def logits(model, *args, **kwargs):
    return model(*args, **kwargs).logits


# --- Inputs -------------------------------------------------------------------------------------


def test_one_context_vector_serves_all_channels():
    x, e = normal(2, 5, 200), normal(2, 16)
    assert logits(MODEL, x, e).shape == (2, 3)
    per_channel = e.unsqueeze(1).repeat(1, 5, 1)
    assert distance(logits(MODEL, x, e), logits(MODEL, x, per_channel)) < 1e-6
    assert distance(logits(MODEL, x, e), logits(MODEL, x, per_channel * 2)) > 1e-3


def test_the_encoder_computes_what_is_not_given(attached, encoder):
    x = normal(2, 4, 300) * 20
    x[0, 1, 30:60] = torch.nan
    explicit = encoder.embed_signal(x)
    assert distance(logits(attached, x), logits(attached, x, explicit)) < 1e-5
    # with the encoder microvolts matter: it sees amplitude
    assert distance(logits(attached, x), logits(attached, x * 10)) > 1e-3
    assert distance(logits(attached, x, explicit), logits(attached, x * 10, explicit)) < 1e-4


def test_arguments_have_their_published_names_and_outputs_are_a_mapping():
    outputs = MODEL(input_ids=normal(2, 5, 200), embedding_data=normal(2, 16))
    assert set(outputs) == {"logits", "attentions"}
    assert torch.equal(outputs["logits"], outputs.logits)
    assert outputs.attentions[0].shape == (2, 5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int16, torch.float16])
def test_signals_of_any_number_format(dtype):
    x = (normal(2, 5, 200) * 100).round()
    e = normal(2, 16)
    assert distance(logits(MODEL, x.to(dtype), e), logits(MODEL, x, e)) < 1e-5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input_ids", normal(5, 200)),
        ("input_ids", normal(2, 5, 0)),
        ("input_ids", normal(2, 0, 200)),
        ("embedding_data", normal(2, 17)),
        ("embedding_data", normal(3, 16)),
        ("embedding_data", normal(2, 4, 16)),
        ("embedding_data", normal(16)),
        ("positions", normal(4, 3)),
        ("positions", normal(5, 2)),
        ("positions", normal(3, 5, 3)),
        ("channel_mask", torch.ones(4)),
        ("channel_mask", torch.ones(2, 4)),
        ("channel_mask", torch.ones(3, 5)),
        ("channel_mask", torch.ones(2, 1)),
        ("labels", torch.zeros(3)),
        ("labels", torch.zeros(2, 3)),
    ],
    ids=lambda value: "x".join(map(str, value.shape)) if isinstance(value, torch.Tensor) else value,
)
def test_a_wrong_shape_is_named_in_one_sentence(name, value):
    arguments = {"input_ids": normal(2, 5, 200), "embedding_data": normal(2, 16), name: value}
    found = str(tuple(value.shape)).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ModelInputError, match=f"{name} has shape {found}; expected") as error:
        MODEL(**arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_labels_give_the_cross_entropy(dtype):
    x, e, labels = normal(4, 5, 200), normal(4, 16), torch.tensor([0, 2, 1, 1])
    out = MODEL(x, e, labels=labels.to(dtype))
    assert out.loss.item() == pytest.approx(F.cross_entropy(out.logits, labels).item())
    assert MODEL(x, e).loss is None


def test_the_sampling_rate_of_the_configuration_places_patches_in_time():
    slow = classifier(preprocessing={"sfreq": 100.0, "lowpass": 40.0})
    moments = []
    for model in (MODEL, slow):
        spy = model.fusion.moment.register_forward_hook(
            lambda m, args, out: moments.append(args[0])
        )
        logits(model, normal(1, 5, 200), normal(1, 16))
        spy.remove()
    torch.testing.assert_close(moments[1], 2 * moments[0])


# --- Channels -----------------------------------------------------------------------------------


@given(data=st.data(), n_chans=st.integers(1, 10), n_times=st.integers(10, 260))
@settings(max_examples=40, deadline=None)
def test_the_order_of_channels_does_not_matter(data, n_chans, n_times):
    x, e = normal(2, n_chans, n_times), normal(2, n_chans, 16)
    positions = electrodes(n_chans)
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n_chans, max_size=n_chans)))
    order = list(data.draw(st.permutations(range(n_chans))))
    with torch.no_grad():
        a = MODEL(x, e, positions=positions, channel_mask=mask)
        b = MODEL(x[:, order], e[:, order], positions=positions[order], channel_mask=mask[order])
    assert distance(a.logits, b.logits) < 1e-5
    assert distance(a.attentions[0][:, order], b.attentions[0]) < 1e-5


def test_the_order_of_channels_does_not_matter_with_the_encoder_either(attached):
    x, positions, order = normal(2, 6, 220) * 20, electrodes(6), [4, 2, 0, 5, 3, 1]
    a = logits(attached, x, positions=positions)
    assert distance(a, logits(attached, x[:, order], positions=positions[order])) < 1e-5
    assert distance(a, logits(attached, x[:, order], positions=positions)) > 1e-4


def test_positions_per_window_and_for_all_windows():
    x, e = normal(2, 5, 200), normal(2, 16)
    both = torch.stack([electrodes(5), electrodes(5, seed=1)])
    a, b = logits(MODEL, x, e, positions=both[0]), logits(MODEL, x, e, positions=both[1])
    assert distance(a, b) > 1e-3
    mixed = logits(MODEL, x, e, positions=both)
    assert distance(mixed, torch.stack([a[0], b[1]])) < 1e-5
    assert distance(a, logits(MODEL, x, e)) > 1e-3  # unknown positions are something else


def test_configured_channel_names_give_positions_where_the_number_fits():
    names = ["Fp1", "C3", "Cz", "C4", "nonsense"]
    model, nameless = classifier(ch_names=names), MODEL
    x, e = normal(2, 5, 200), normal(2, 16)
    positions = torch.from_numpy(standard_positions(names)).float()
    assert positions[-1].isnan().all()
    expected = logits(nameless, x, e, positions=positions)
    assert distance(logits(model, x, e), expected) < 1e-6
    assert distance(logits(nameless, x, e), expected) > 1e-3
    # four channels could be any four: unknown, never guessed
    assert torch.equal(logits(model, x[:, :4], e), logits(nameless, x[:, :4], e))
    # and what the caller says goes first
    assert torch.equal(
        logits(model, x, e, positions=electrodes(5)),
        logits(nameless, x, e, positions=electrodes(5)),
    )


BAD_CHANNELS = {
    "masked": lambda x: x,
    "flat": lambda x: torch.full_like(x, 3.25),
    "zero": torch.zeros_like,
    "NaN": lambda x: torch.full_like(x, torch.nan),
    "infinite": lambda x: torch.full_like(x, torch.inf),
    "flat where usable": lambda x: torch.where(torch.arange(len(x)) % 3 == 0, torch.nan, 7.0),
    "beyond a kilovolt": lambda x: x.sign() * 3e38,
}


@pytest.mark.parametrize("kind", BAD_CHANNELS)
@pytest.mark.parametrize("given", ["context given", "encoder"])
def test_a_bad_channel_is_a_missing_channel(attached, kind, given):
    x = normal(1, 5, 200) * 20
    positions, keep = electrodes(5), [0, 1, 3, 4]
    x[0, 2] = BAD_CHANNELS[kind](x[0, 2])
    mask = torch.tensor([True, True, kind != "masked", True, True])
    e = normal(1, 5, 128) if given == "context given" else None
    with torch.no_grad():
        bad = attached(x, e, positions=positions, channel_mask=mask)
        removed = attached(x[:, keep], None if e is None else e[:, keep], positions=positions[keep])
    assert distance(bad.logits, removed.logits) < 1e-5
    assert bad.attentions[0][0, 2] == 0
    assert distance(bad.attentions[0][:, keep], removed.attentions[0]) < 1e-5


def test_a_channel_without_context_is_a_missing_channel():
    x, e, keep = normal(1, 5, 200), normal(1, 5, 16), [0, 1, 2, 4]
    e[0, 3, 7] = torch.nan
    assert distance(logits(MODEL, x, e), logits(MODEL, x[:, keep], e[:, keep])) < 1e-5


def test_the_mask_of_a_window_is_its_own():
    x, e = normal(2, 5, 200), normal(2, 5, 16)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 1]])
    both = logits(MODEL, x, e, channel_mask=mask)
    assert distance(both[:1], logits(MODEL, x[:1], e[:1])) < 1e-5
    assert distance(both[1:], logits(MODEL, x[1:, ::2], e[1:, ::2])) < 1e-5


@pytest.mark.parametrize("batch", [1, 3])
def test_a_window_without_any_good_channel_is_finite(attached, batch):
    x = normal(batch, 4, 200) * 20
    x[0] = torch.nan
    out = attached(x, labels=torch.zeros(batch))
    assert out.logits.isfinite().all()
    out.loss.backward()
    assert all(p.grad.isfinite().all() for p in attached.parameters() if p.grad is not None)
    if batch > 1:
        assert distance(out.logits[1:], logits(attached, x[1:])) < 1e-5


def test_a_row_alone_equals_the_row_in_a_batch(attached):
    x = normal(4, 5, 230) * torch.tensor([1.0, 20, 50, 200])[:, None, None]
    together = logits(attached, x)
    for i in range(4):
        assert distance(logits(attached, x[i : i + 1]), together[i : i + 1]) < 1e-5


@pytest.mark.parametrize(("n_chans", "n_times"), [(1, 100), (256, 400), (3, 12_000), (2, 20)])
def test_any_number_of_channels_and_half_a_second_to_a_minute(attached, n_chans, n_times):
    with torch.no_grad():
        out = attached(normal(1, n_chans, n_times) * 20)
    assert out.logits.isfinite().all()
    torch.testing.assert_close(out.attentions[0].sum(1), torch.ones(1))


def test_another_shape_is_logged_once(caplog):
    model = classifier(seq_len=180)
    with caplog.at_level(logging.WARNING):
        model(normal(2, 5, 180), normal(2, 16))
        assert caplog.messages == []
        model(normal(2, 4, 170), normal(2, 16))
        model(normal(2, 4, 170), normal(2, 16))
    assert len(caplog.messages) == 1
    assert "4 channels and 170 samples; the configuration expects 5 and 180" in caplog.messages[0]


# --- Training -----------------------------------------------------------------------------------


def test_gradients_reach_every_parameter():
    model = classifier().train()
    positions = electrodes(5)
    positions[3] = torch.nan
    x, e, labels = normal(4, 5, 200), normal(4, 5, 16), torch.tensor([0, 1, 2, 0])
    model(x, e, labels, positions).loss.backward()
    still = {name for name, p in model.named_parameters() if not p.grad.abs().max() > 1e-7}
    assert still == {
        # a constant added to all scores cancels in the softmax
        "fusion.block.attention.k_proj.bias",
    }


def test_dropout_acts_in_training_only():
    model = classifier()
    x, e = normal(2, 5, 200), normal(2, 16)
    assert torch.equal(logits(model, x, e), logits(model, x, e))
    model.train()
    assert distance(logits(model, x, e), logits(model, x, e)) > 1e-4


def test_weights_are_linear_layers_that_adapters_find():
    matrices = {
        id(p): name for name, p in MODEL.named_parameters() if p.ndim > 1
    }  # biases, norms and the learned "unknown" are vectors
    linear = {id(m.weight) for m in MODEL.modules() if type(m) is nn.Linear}
    assert set(matrices) == linear
    attention = dict(MODEL.fusion.block.attention.named_children())
    assert attention.keys() == {"q_proj", "k_proj", "v_proj", "out_proj"}


# --- The encoder behind it ----------------------------------------------------------------------


def test_the_encoder_stays_outside_and_gets_no_gradient(attached):
    attached.train()
    assert not attached.encoder.training
    own = {id(p) for p in attached.parameters()}
    assert not own & {id(p) for p in attached.encoder.parameters()}
    assert not [key for key in attached.state_dict() if "encoder" in key]
    assert attached.state_dict().keys() == classifier(embedding_dim=128).state_dict().keys()
    attached(normal(2, 4, 200) * 20, labels=torch.zeros(2)).loss.backward()
    assert all(p.grad is None for p in attached.encoder.parameters())


def test_attaching_an_encoder_leaves_it_as_it_was():
    encoder = EEGFoundationModel(tiny_config(hidden_dropout_prob=0.5)).train()
    model = classifier(embedding_dim=128)
    model.attach_encoder(encoder)
    x = normal(2, 4, 200) * 20
    assert torch.equal(logits(model, x), logits(model, x))  # without its dropout
    assert encoder.training
    assert all(p.requires_grad for p in encoder.parameters())


def test_an_encoder_of_another_width_is_refused(encoder):
    with pytest.raises(CheckpointError, match=r"128 wide.*embedding_dim=16"):
        classifier().attach_encoder(encoder)


def test_an_encoder_with_another_fingerprint_is_refused(encoder):
    model = classifier(embedding_dim=128, encoder_sha256=fingerprint(encoder))
    model.attach_encoder(copy.deepcopy(encoder))
    other = scramble(EEGFoundationModel(tiny_config()), seed=1)
    with pytest.raises(CheckpointError, match=fingerprint(other)[:12]):
        model.attach_encoder(other)
    same_weights = EEGFoundationModel(tiny_config(tokenizer={"scaling": "minmax"}))
    same_weights.load_state_dict(encoder.state_dict())
    with pytest.raises(CheckpointError, match="attach the version of 'small'"):
        model.attach_encoder(same_weights)


def test_a_tuned_encoder_is_not_replaced_by_the_one_of_its_name():
    model = classifier(embedding_dim=128, encoder_tuned=True)
    with pytest.raises(CheckpointError, match=r"along with its encoder, a tuned 'small'"):
        model(normal(1, 5, 200))


def test_context_that_needs_the_whole_recording_is_not_made_up(encoder):
    model = classifier(embedding_dim=128, alignment="standardise")
    model.attach_encoder(encoder)
    with pytest.raises(ModelInputError, match=r"standardised within their recording.*predict"):
        model(normal(1, 5, 200))
    assert logits(model, normal(1, 5, 200), normal(1, 5, 128)).isfinite().all()


def test_signals_without_their_components_are_refused(encoder):
    model = classifier(embedding_dim=128, readout="linear", alignment="components")
    model.attach_encoder(encoder)
    with pytest.raises(ModelInputError, match=r"14 channels; expected some, and then 14 compon"):
        model(normal(1, 14, 200), normal(1, 14, 128))
    places = torch.full((5, 3), torch.nan)
    mask = torch.ones(5, dtype=torch.bool)
    x, e = normal(1, 19, 200), normal(1, 19, 128)
    output = model(x, e, positions=places, channel_mask=mask)
    assert output.attentions[0].shape == (1, 19)
    for wrong in ({"positions": torch.zeros(19, 3)}, {"channel_mask": torch.ones(19)}):
        with pytest.raises(ModelInputError, match=r"expected \(5"):
            model(x, e, **wrong)


def test_components_need_a_readout_that_tells_them_apart():
    with pytest.raises(ConfigError, match="alignment='components' needs readout='linear'"):
        downstream_config(alignment="components")
    with pytest.raises(ConfigError, match=r"flicker_hz=.* leave it out"):
        downstream_config(flicker_hz=[13.0])


def test_what_covariance_says_is_averaged_and_never_left_out():
    model = classifier(embedding_dim=128, readout="linear", covariance=True, flicker_hz=[8.0, 13.0])
    plain = classifier(embedding_dim=128, readout="linear")
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if "covariance" not in k})
    x, e, measured = normal(3, 5, 200), normal(3, 5, 128), normal(3, 2)
    with torch.no_grad():
        found = model(x, e, covariance_data=measured).logits.exp()
        other = model.covariance(measured).softmax(-1)
        expected = (plain(x, e).logits.softmax(-1) + other) / 2
    assert distance(found, expected) < 1e-5
    with pytest.raises(ModelInputError, match="found none, this classifier expects some"):
        model(x, e)
    with pytest.raises(ModelInputError, match="found some, this classifier expects none"):
        plain(x, e, covariance_data=measured)
    with pytest.raises(ModelInputError, match=r"covariance_data has shape \(3, 3\)"):
        model(x, e, covariance_data=normal(3, 3))
    unknown = model(x, e, covariance_data=torch.full((3, 2), torch.nan)).logits
    mean = model(x, e, covariance_data=model.covariance.mean.expand(3, -1)).logits
    assert distance(unknown, mean) < 1e-6
    for wrong in ({"readout": "fusion"}, {"covariance": 1}):
        with pytest.raises(ConfigError, match="covariance="):
            downstream_config(**{"readout": "linear", "covariance": True, **wrong})


def test_the_configured_encoder_is_loaded_on_first_use(tmp_path, encoder):
    trained = scramble(EEGFoundationModel(tiny_config(trained=True)))
    trained.save_pretrained(tmp_path)
    sha256 = fingerprint(trained)
    model = classifier(embedding_dim=128, encoder=str(tmp_path), encoder_sha256=sha256)
    x = normal(2, 5, 200) * 20
    assert distance(logits(model, x), logits(model, x, encoder.embed_signal(x))) < 1e-5
    assert model.encoder is model.encoder

    missing = classifier(embedding_dim=128, encoder=str(tmp_path / "missing"))
    with pytest.raises(CheckpointError, match="missing"):
        missing(x)
    logits(missing, x, normal(2, 128))  # not needed where context is given


# --- Checkpoints in Hugging Face's form ---------------------------------------------------------


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
def test_hugging_face_saving_and_loading_gives_the_same_model(tmp_path, attached):
    attached.save_pretrained(tmp_path)
    assert not [key for key in load_file(tmp_path / "model.safetensors") if "encoder" in key]
    loaded = EEGFoundationForClassification.from_pretrained(tmp_path)
    saved = attached.state_dict()
    assert saved.keys() == loaded.state_dict().keys()
    assert all(torch.equal(value, saved[key]) for key, value in loaded.state_dict().items())
    # where the weights lie in memory decides the order of sums: equal but for rounding
    x, e = normal(2, 5, 200), normal(2, 128)
    assert distance(logits(loaded, x, e), logits(attached, x, e)) < 1e-5


@pytest.mark.parametrize(
    ("settings", "warning", "word"),
    [
        ({"trained": False}, UntrainedWeightsWarning, "UNTRAINED"),
        ({"trained": True, "simulated": True}, SimulatedTrainingWarning, "SIMULATED"),
        ({"trained": True}, None, ""),
    ],
)
def test_hugging_face_loading_says_what_weights_were_trained_on(tmp_path, settings, warning, word):
    classifier(**settings).save_pretrained(tmp_path)
    with contextlib.ExitStack() as stack:
        if warning is not None:
            stack.enter_context(pytest.warns(warning, match=word))
        EEGFoundationForClassification.from_pretrained(tmp_path)


def test_hugging_face_loading_is_strict_here_too(tmp_path):
    MODEL.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["final_layer.bias"]
    weights["final_layer.scale"] = torch.ones(1)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"final_layer\.bias.*final_layer\.scale"):
        EEGFoundationForClassification.from_pretrained(tmp_path)


@pytest.mark.filterwarnings("ignore::eegfoundation.errors.UntrainedWeightsWarning")
def test_a_tuned_encoder_travels_in_the_folder(tmp_path, encoder):
    model = classifier(embedding_dim=128, encoder_tuned=True, encoder_sha256=fingerprint(encoder))
    model.attach_encoder(encoder)
    model.save_pretrained(tmp_path)
    x = normal(2, 5, 200) * 20
    loaded = EEGFoundationForClassification.from_pretrained(tmp_path)
    assert fingerprint(loaded.encoder) == fingerprint(encoder)
    assert distance(logits(loaded, x), logits(model, x)) < 1e-5
    scramble(EEGFoundationModel(tiny_config()), seed=4).save_pretrained(tmp_path / "encoder")
    with pytest.raises(CheckpointError, match="was made with encoder"):
        EEGFoundationForClassification.from_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "encoder")
    with pytest.raises(CheckpointError, match="Cannot load"):
        EEGFoundationForClassification.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("weights", "config", "n_chans", "n_classes"),
    [
        ("BCIC-2a_model.pth", "configs/BCIC_IV_2a_config.json", 22, 4),
        ("stress_model.pth", "models/stress_config.json", 19, 2),
    ],
)
def test_the_shipped_classifiers_fit_the_shipped_encoder(weights, config, n_chans, n_classes):
    root = Path(__file__).resolve().parents[2]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model = load_downstream_model(root / "models" / weights, root / config)
        # loads the encoder, checks its fingerprint
        out = model(torch.randn(1, n_chans, model.config.seq_len) * 20)
    assert [one.category for one in said] == [SimulatedTrainingWarning] * model.config.simulated
    assert model.config.trained
    assert out.logits.shape == (1, n_classes)
    assert len(model.config.class_names) == n_classes
    assert np.isfinite(standard_positions(model.config.ch_names)).all()
