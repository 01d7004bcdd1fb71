import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, downstream_config, normal, scramble
from scipy.special import log_softmax

from eegfoundation.errors import ModelInputError
from eegfoundation.models import EEGFoundationForClassification
from eegfoundation.models.readout import LinearReadout
from eegfoundation.montage import positions as standard_positions
from eegfoundation.probe import fit_probe

NAMES = ["Fp1", "C3", "Cz", "C4", "O1"]
PLACES = torch.from_numpy(standard_positions(NAMES)).float()
ALL = torch.ones(2, 5, dtype=torch.bool)


def readout(**changes):
    module = LinearReadout(downstream_config(ch_names=NAMES, **changes))
    with torch.no_grad():
        module.weight.copy_(normal(5, 16, 3))
        module.mean.copy_(normal(5, 16, seed=1))
        module.scale.copy_(normal(5, 16, seed=2).abs())
    return module.requires_grad_(False)


def places(names):
    return torch.from_numpy(standard_positions(names)).float()


def test_a_probe_as_a_model_gives_the_numbers_of_the_probe():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 5, 16)).astype(np.float32)
    y = np.arange(40) % 3
    features[np.arange(40), y] += 0.5
    features[3, 2], features[:, 4, 7] = np.nan, 1.0  # a bad channel, and a value that never varies
    probe = fit_probe(features.reshape(40, -1), y, np.arange(40) % 4, 3)
    expected = probe.predict_log_proba(features.reshape(40, -1))

    model = EEGFoundationForClassification(downstream_config(readout="linear", ch_names=NAMES))
    model.readout.load_state_dict(
        {
            "weight": torch.from_numpy(probe.weight.reshape(5, 16, 3)),
            "bias": torch.from_numpy(probe.bias),
            "mean": torch.from_numpy(probe.mean.reshape(5, 16)),
            "scale": torch.from_numpy(probe.scale.reshape(5, 16)),
            "electrodes": PLACES,
        }
    )
    with torch.no_grad():
        output = model.eval()(normal(40, 5, 200), torch.from_numpy(features), positions=PLACES)
    np.testing.assert_allclose(log_softmax(output.logits.numpy(), axis=1), expected, atol=1e-5)
    assert expected.argmax(1).tolist() == y.tolist()


@given(order=st.permutations(range(5)), mask=st.lists(st.booleans(), min_size=5, max_size=5))
@settings(max_examples=40, deadline=None)
def test_electrodes_are_found_in_any_order(order, mask):
    e, mask = normal(2, 5, 16), torch.tensor(mask).expand(2, -1)
    order = list(order)
    a, share = readout()(e, PLACES.expand(2, -1, -1), mask)
    b, other = readout()(e[:, order], PLACES[order].expand(2, -1, -1), mask[:, order])
    assert distance(a, b) < 1e-4
    assert distance(share[:, order], other) < 1e-5
    total = mask.any(1).float()
    assert distance(share.sum(1), total) < 1e-5
    in_order, _ = readout()(e, None, mask)
    assert distance(a, in_order) < 1e-4


def test_absent_electrodes_count_as_the_average_and_others_are_not_read():
    module, e = readout(), normal(2, 5, 16)
    few, _ = module(e[:, 1:4], PLACES[1:4].expand(2, -1, -1), ALL[:, 1:4])
    filled = module.mean.expand(2, -1, -1).clone()
    filled[:, 1:4] = e[:, 1:4]
    assert distance(few, module(filled, None, ALL)[0]) < 1e-4
    # T7 and P8 are near none of ours
    more = places(["C3", "T7", "P8", "Cz", "C4"]).expand(2, -1, -1)
    mixed = torch.cat([e[:, 1:2], normal(2, 2, 16, seed=9) * 100, e[:, 2:4]], dim=1)
    found, share = module(mixed, more, ALL)
    assert distance(found, few) < 1e-4
    assert share[:, 1:3].abs().max() == 0


def test_a_neighbour_stands_for_an_electrode():
    module, e = readout(), normal(2, 5, 16)
    near = places(["AF3", "C1", "Cz", "C2", "PO3"])
    assert distance(module(e, near.expand(2, -1, -1), ALL)[0], module(e, None, ALL)[0]) < 1e-4


def test_a_bad_channel_is_left_out():
    module, e, mask = readout(), normal(2, 5, 16), ALL.clone()
    mask[:, 2] = False
    keep = [0, 1, 3, 4]
    expected, _ = module(e[:, keep], PLACES[keep].expand(2, -1, -1), mask[:, keep])
    found, share = module(e, PLACES.expand(2, -1, -1), mask)
    assert distance(found, expected) < 1e-4
    assert share[:, 2].abs().max() == 0


def test_electrodes_of_no_known_place_are_read_in_order_from_the_same_montage():
    names = ["E1", "E2", "E3", "E4", "Cz"]
    module = LinearReadout(downstream_config(ch_names=names)).requires_grad_(False)
    module.weight.copy_(normal(5, 16, 3))
    e = normal(2, 5, 16)
    found, _ = module(e, places(names).expand(2, -1, -1), ALL)
    assert distance(found, module(e, None, ALL)[0]) < 1e-6


@pytest.mark.parametrize(
    ("positions", "n_chans", "message"),
    [
        (None, 4, "4 channels without positions; this classifier reads 5 electrodes"),
        (torch.full((1, 5, 3), torch.nan), 5, "None of the 5 channels lies within 4 cm"),
        (places(["T7", "T8"])[None], 2, "None of the 2 channels lies within 4 cm"),
    ],
)
def test_a_montage_that_says_nothing_is_refused(positions, n_chans, message):
    mask = torch.ones(1, n_chans, dtype=torch.bool)
    with pytest.raises(ModelInputError, match=message):
        readout()(normal(1, n_chans, 16), positions, mask)


def test_the_share_of_an_electrode_is_what_it_adds():
    module, e = readout(), normal(2, 5, 16)
    _, share = module(e, None, ALL)
    z = (e - module.mean) * module.scale
    added = torch.einsum("bre,rek->brk", z, module.weight)
    size = (added - added.mean(-1, keepdim=True)).abs().sum(-1)
    assert distance(share, size / size.sum(1, keepdim=True)) < 1e-5


def test_gradients_reach_the_weights():
    model = scramble(EEGFoundationForClassification(downstream_config(readout="linear")))
    model(normal(4, 5, 200), normal(4, 5, 16), torch.tensor([0, 1, 2, 0])).loss.backward()
    assert all(p.grad.abs().max() > 1e-6 for p in model.parameters())


def test_components_come_after_the_channels_of_any_montage():
    module = LinearReadout(
        downstream_config(ch_names=NAMES, readout="linear", alignment="components", flicker_hz=[9])
    )
    with torch.no_grad():
        module.weight.copy_(normal(7, 16, 3))
    e = normal(2, 7, 16)
    mask = torch.ones(2, 7, dtype=torch.bool)
    everything, _ = module(e, PLACES.expand(2, -1, -1), mask)
    assert distance(everything, module(e, None, mask)[0]) < 1e-4
    order = [3, 1]  # other channels, in another order: the last two signals are components still
    part = e[:, [*order, 5, 6]]
    few, its = module(part, PLACES[order].expand(2, -1, -1), mask[:, :4])
    absent = e.clone()
    absent[:, [0, 2, 4]] = 0.0  # the mean
    assert distance(few, module(absent, None, mask)[0]) < 1e-4
    assert its.shape == (2, 4)
    without, _ = module(part, PLACES[order].expand(2, -1, -1), mask[:, :4].clone().fill_(False))
    assert distance(without, module.bias.expand(2, -1)) < 1e-6
