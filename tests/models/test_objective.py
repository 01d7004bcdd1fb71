import itertools

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_helpers import distance, normal, published_config, scramble, tiny_config
from torch.nn import functional as F

from eegfoundation.errors import ConfigError
from eegfoundation.models import EEGFoundationForMaskedLM, load_encoder
from eegfoundation.models.objective import (
    EEGFoundationForPreTraining,
    Objective,
    level_and_contrast,
    log_power,
    position_targets,
    short_time_power,
    window_targets,
)
from eegfoundation.tokenizer import MASK, N_BINS, PAD, UNK

REGIMES = {"published": published_config(), "merged": tiny_config()}
N_TIMES = 400


def make(config=None, **objective):
    model = scramble(EEGFoundationForPreTraining(config or tiny_config(), Objective(**objective)))
    with torch.no_grad():  # guesses of the size of what is guessed, before their gain of 10
        for head in (model.spectrum_head, model.window_head):
            head.weight.div_(10)
            head.bias.div_(10)
    return model


def n_positions(model):
    return N_TIMES // model.config.tokens_per_position


def batch(model, n=4, seed=0):
    """Windows of 20 microvolt noise, and a quarter of the positions masked."""
    masked = torch.zeros(n, n_positions(model), dtype=torch.bool)
    for row in range(n):
        order = torch.randperm(n_positions(model), generator=torch.Generator().manual_seed(row))
        masked[row, order[: n_positions(model) // 4]] = True
    return normal(n, N_TIMES, seed=seed) * 20, masked


def asked_tokens(model, signal, masked):
    """Tokens, and which of them have to be guessed, (B, T)."""
    per_position, stride = model.config.tokens_per_position, model.objective.token_stride
    ids = model.encoder.tokenizer.encode(signal)[0].long()
    first_of_stride = torch.arange(N_TIMES) % per_position % stride == 0
    return ids, masked.repeat_interleave(per_position, dim=1) & first_of_stride


# ---- tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [1, 3, 5])
@pytest.mark.parametrize("regime", REGIMES)
def test_token_loss_is_plain_cross_entropy(regime, stride):
    model = make(REGIMES[regime], token_stride=stride)
    signal, masked = batch(model)
    out = model(signal, masked)
    ids, asked = asked_tokens(model, signal, masked)
    hidden = masked.repeat_interleave(model.config.tokens_per_position, dim=1)
    kept = model.as_masked_lm()
    expected = kept(ids.masked_fill(hidden, MASK), labels=ids.masked_fill(~asked, -100))
    assert out.token_loss.item() == pytest.approx(expected.loss.item(), rel=1e-5)
    correct = (expected.logits.argmax(-1) == ids[asked]).float().mean()
    assert out.token_accuracy.item() == pytest.approx(correct.item())


def test_the_encoder_does_not_see_what_it_has_to_guess():
    model = make()
    signal, masked = batch(model)
    seen = []
    model.encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(signal, masked)
    ids, _ = model.encoder.tokenizer.encode(signal)
    hidden = masked.repeat_interleave(25, dim=1)
    assert (seen[0][hidden] == MASK).all()
    assert torch.equal(seen[0][~hidden], ids[~hidden])


def test_unusable_tokens_are_no_targets():
    model = make(token_stride=1)
    signal, masked = batch(model)
    masked[2:] = masked[0]  # the same number of tokens is asked for in every row
    signal[0, ::7] = torch.nan  # UNK
    signal[1] = 3.0  # flat: PAD
    ids, asked = asked_tokens(model, signal, masked)
    assert (ids[0, ::7] == UNK).all()
    assert (ids[1] == PAD).all()
    usable = asked & (ids < N_BINS)
    inputs = ids.masked_fill(masked.repeat_interleave(25, dim=1), MASK)
    kept = model.as_masked_lm()(inputs, labels=ids.masked_fill(~usable, -100))
    loss = model(signal, masked).token_loss.item()
    # summed over usable tokens, divided by those asked for
    assert 0 < usable.sum() < asked.sum()
    share = (usable.sum() / asked.sum()).item()
    assert loss == pytest.approx(kept.loss.item() * share, rel=1e-5)


@pytest.mark.parametrize("sigma", [0.05, 2.0, 30.0])
def test_ordinal_smoothing_is_a_gaussian_over_bins(sigma):
    """Against the formula, written out; outside the bins counts for the outermost one."""
    model = make(ordinal_sigma=sigma, token_stride=1)
    states = normal(6, 64)
    targets = torch.tensor([0, 1, 5, 1000, 1998, 1999]).repeat_interleave(25).view(6, 25)
    found, _ = model._token_loss(states, targets)
    head = model.head
    log_p = head.decoder(head(states.unsqueeze(1)).flatten(0, 1)).log_softmax(-1)
    log_p = log_p.detach().double().numpy()
    reach = range(-round(3 * sigma), round(3 * sigma) + 1)
    weights = np.exp([-0.5 * (k / sigma) ** 2 for k in reach])
    expected = []
    for row, target in zip(log_p, targets.flatten().tolist(), strict=True):
        bins = [min(max(target + k, 0), N_BINS - 1) for k in reach]
        expected.append(-(row[bins] * weights).sum() / weights.sum())
    assert found.item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_the_narrowest_smoothing_is_none():
    signal, masked = batch(make())
    plain, narrow = make(), make(ordinal_sigma=1e-3)
    assert narrow(signal, masked).token_loss.item() == pytest.approx(
        plain(signal, masked).token_loss.item(), rel=1e-6
    )


def test_smoothing_forgives_neighbours_and_not_strangers():
    losses = []
    for offset in (0, 3, 300):
        model = make(ordinal_sigma=4.0)
        with torch.no_grad():  # whatever the input, the answer is one bin
            model.head.decoder.weight.zero_()
            model.head.decoder.bias.copy_(-0.05 * (torch.arange(2006) - 1000 - offset).abs())
        losses.append(model._token_loss(normal(1, 64), torch.full((1, 25), 1000))[0].item())
    assert losses[0] < losses[1] < losses[2]
    assert losses[1] - losses[0] < 0.1 < losses[2] - losses[0]


# ---- spectra ------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    sfreq=st.sampled_from([140, 160, 173, 200, 250]),
    hop=st.integers(1, 60),
    n=st.integers(5, 40),
    seed=st.integers(0, 1000),
)
def test_power_is_the_periodogram_of_the_second_around_each_position(sfreq, hop, n, seed):
    """Every position, the first and last too; beyond the ends the signal is mirrored."""
    n_times = hop * n
    if n_times <= sfreq:
        return
    x = np.random.default_rng(seed).normal(0, 20, n_times)
    found = short_time_power(torch.from_numpy(x)[None].float(), sfreq, n)[0].numpy()
    assert found.shape == (n, 70)
    half = sfreq // 2
    mirrored = np.pad(x, half, mode="reflect")
    for position in range(n):
        centre = position * hop + hop // 2  # the middle one of the position's own samples
        second = mirrored[centre : centre + 2 * half + sfreq % 2]
        frequencies, power = scipy.signal.periodogram(
            second[:sfreq], sfreq, "hann", detrend=False, return_onesided=False
        )
        assert frequencies[1:70].tolist() == pytest.approx(list(range(1, 70)))
        np.testing.assert_allclose(found[position], power[1:71], rtol=2e-3, atol=2e-4)


def test_power_is_that_of_a_spectrogram():
    x = np.random.default_rng(0).normal(0, 20, 2000)
    _, times, expected = scipy.signal.spectrogram(
        x, 200, "hann", nperseg=200, noverlap=175, detrend=False, return_onesided=False
    )
    # without its first 13 samples, the middle of position i is sample 25 (i + 1) of x
    found = short_time_power(torch.from_numpy(x[13:-12])[None], 200, 79)[0].numpy()
    own = np.arange(4, 70)
    assert times[own - 3].tolist() == pytest.approx(25 * (own + 1) / 200)
    np.testing.assert_allclose(found[own], expected[1:71, own - 3].T, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("frequency", [1, 2, 10, 27, 69, 70])
def test_a_sine_has_its_power_in_its_bin(frequency):
    amplitude = 30.0
    x = amplitude * torch.sin(2 * torch.pi * frequency * torch.arange(2000) / 200 + 0.3)
    power = short_time_power(x[None], 200, 80)[0]
    whole_seconds = power[4:-4]  # not mirrored
    assert (whole_seconds.argmax(1) == frequency - 1).all()
    if 3 <= frequency <= 68:
        # Parseval: both sides of the spectrum hold the variance, bins are 1 Hz wide
        total = 2 * whole_seconds.sum(1)
        assert total.numpy() == pytest.approx(amplitude**2 / 2, rel=1e-4)


def test_a_constant_has_no_power_in_any_bin_but_the_first():
    power = short_time_power(torch.full((1, 2000), 50.0), 200, 80)
    assert power[..., 1:].max() < 1e-6  # the window leaks into its neighbour, 1 Hz


def test_a_click_is_seen_by_the_positions_around_it():
    for sample in (412, 1000, 1587):
        x = torch.zeros(1, 2000)
        x[0, sample] = 100.0
        power = short_time_power(x, 200, 80)[0].sum(1)
        assert power.argmax() == sample // 25
        seen = (power > 0).nonzero().flatten() * 25 + 12
        assert (seen - sample).abs().max() <= 100


def test_power_is_floored_before_the_logarithm():
    assert log_power(torch.zeros(1)).item() == pytest.approx(np.log(1e-3))
    assert log_power(torch.ones(1) * 50).item() == pytest.approx(np.log(50), abs=1e-4)


def test_spectral_losses_are_mean_squared_errors():
    model = make()
    signal, masked = batch(model)
    out = model(signal, masked)
    ids = model.encoder.tokenizer.encode(signal)[0].masked_fill(
        masked.repeat_interleave(25, dim=1), MASK
    )
    states = model.encoder(ids).last_hidden_state
    power = short_time_power(signal, 200, 16)
    guesses = 10 * model.spectrum_head(states)
    local = F.mse_loss(guesses, position_targets(power))
    summary = torch.cat([states.mean(1), states.std(1, correction=0)], dim=-1)
    window = F.mse_loss(10 * model.window_head(summary), window_targets(power))
    assert out.spectrum_loss.item() == pytest.approx(local.item(), rel=1e-5)
    assert out.window_loss.item() == pytest.approx(window.item(), rel=1e-5)


@pytest.mark.parametrize("regime", REGIMES)
def test_a_fresh_model_guesses_zero_so_its_loss_is_the_size_of_the_targets(regime):
    model = EEGFoundationForPreTraining(REGIMES[regime]).eval()
    signal, masked = batch(model)
    out = model(signal, masked)
    power = short_time_power(signal, 200, n_positions(model))
    local, window = position_targets(power), window_targets(power)
    assert out.spectrum_loss.item() == pytest.approx(local.square().mean().item(), rel=1e-5)
    assert out.window_loss.item() == pytest.approx(window.square().mean().item(), rel=1e-5)


# ---- targets ------------------------------------------------------------------------------------


def typical():
    """Log power of typical EEG in every bin."""
    return 2.9 - 1.65 * torch.arange(1, 71).log()


def test_targets_are_the_level_and_the_contrast_of_every_bin():
    spectrum = normal(3, 8, 70)
    found = level_and_contrast(spectrum, 0.35)
    assert found.shape == (3, 8, 140)
    level, contrast = found.chunk(2, dim=-1)
    assert distance(level, (spectrum - typical()) / 2) < 1e-5
    for k in range(70):  # to the nine bins around; beyond the ends, the last bin goes on
        around = spectrum[..., [min(max(k + i, 0), 69) for i in range(-4, 5)]].mean(-1)
        assert distance(contrast[..., k], (spectrum[..., k] - around) / 0.35) < 1e-5


def test_a_flat_spectrum_has_no_contrast_and_typical_eeg_is_at_level_zero():
    level, contrast = level_and_contrast(torch.full((2, 8, 70), 1.7), 0.7).chunk(2, dim=-1)
    assert contrast.abs().max() < 1e-5
    assert distance(level, ((1.7 - typical()) / 2).expand(2, 8, 70)) < 1e-5
    level, contrast = level_and_contrast(typical().expand(1, 1, 70), 0.7).chunk(2, dim=-1)
    assert level.abs().max() < 1e-5
    assert contrast[..., 8:-4].abs().max() < 0.2  # a smooth slope is hardly any contrast


@pytest.mark.parametrize("k", [0, 9, 40, 69])
def test_a_peak_in_one_bin_is_contrast_there(k):
    spectrum = torch.zeros(1, 1, 70)
    spectrum[..., k] = 1.8
    contrast = level_and_contrast(spectrum, 0.7)[0, 0, 70:]
    copies = {0: 5, 69: 5}.get(k, 1)  # a bin at the end stands for those beyond too
    assert contrast[k].item() == pytest.approx(1.8 * (1 - copies / 9) / 0.7, rel=1e-5)
    near = (torch.arange(70) - k).abs()
    assert (contrast[(near > 0) & (near <= 4)] < -0.2).all()
    assert contrast[near > 4].abs().max() < 1e-5


def test_position_targets_are_of_power_over_three_bins():
    power = torch.full((2, 5, 70), 100.0)
    found = position_targets(power)
    assert found.shape == (2, 5, 140)
    assert found[..., 70:].abs().max() < 1e-5
    power[1, 3, 20] = 700.0
    level, contrast = position_targets(power).chunk(2, dim=-1)
    rise = (level - found[..., :70]) * 2
    expected = torch.zeros(2, 5, 70)
    expected[1, 3, 19:22] = np.log(3)  # (100 + 100 + 700) / 3 in three bins
    assert distance(rise, expected) < 1e-4
    assert contrast[1, 3, 20].item() == pytest.approx(np.log(3) * (1 - 3 / 9) / 0.7, rel=1e-4)
    assert contrast[0].abs().max() < 1e-5


def test_window_targets_are_the_mean_and_quantiles_over_time():
    rng = np.random.default_rng(0)
    power = rng.gamma(2.0, 20.0, (3, 41, 70))
    found = window_targets(torch.from_numpy(power).float())
    assert found.shape == (3, 4 * 140)
    logs = np.log(power + 1e-3)
    spectra = [np.log(power.mean(1) + 1e-3), *np.quantile(logs, [0.1, 0.5, 0.9], axis=1)]
    for spectrum, part in zip(spectra, found.unflatten(1, (4, 140)).unbind(1), strict=True):
        expected = level_and_contrast(torch.from_numpy(spectrum).float()[:, None], 0.35)[:, 0]
        assert distance(part, expected) < 1e-4


def test_quantiles_tell_bursts_from_a_steady_rhythm_of_the_same_mean():
    steady = torch.full((1, 40, 70), 10.0)
    steady[..., 10] = 50.0
    bursts = steady.clone()
    bursts[..., 10] = 10.0
    bursts[:, ::4, 10] = 170.0  # a quarter of the time
    mean, low, middle, high = (
        (window_targets(bursts) - window_targets(steady)).unflatten(1, (4, 140))[0, :, 70 + 10]
    ).tolist()
    assert mean == pytest.approx(0, abs=1e-4)
    assert low < -1
    assert middle < -1
    assert high > 1


def test_targets_of_noise_like_eeg_are_about_one_in_size():
    """A loss of 1 is then what knowing nothing costs, for every part alike.

    Noise with the typical spectrum. Loudness differs between recordings by a factor of e in
    amplitude (natural log of power: deviation 2), which is what the level's deviation stands for;
    contrasts come from chance alone, peaks of real EEG come on top.
    """
    generator = torch.Generator().manual_seed(0)
    amplitude = torch.zeros(1001)
    amplitude[1:] = (typical()[0] - 1.65 * (torch.arange(1, 1001) / 10).log()).div(2).exp()
    phases = torch.randn(64, 1001, 2, generator=generator).mul(0.5**0.5)
    spectrum = torch.view_as_complex(phases) * amplitude * (200 * 2000) ** 0.5
    loudness = torch.randn(64, 1, generator=generator).exp()
    power = short_time_power(torch.fft.irfft(spectrum) * loudness, 200, 40)
    quiet = power / loudness.square().unsqueeze(1)
    assert quiet.mean((0, 1))[5:60].log().sub(typical()[5:60]).abs().max() < 0.3  # as intended
    parts = [*position_targets(power).chunk(2, dim=-1)]
    parts += [*window_targets(power).unflatten(1, (4, 140)).chunk(2, dim=-1)]
    sizes = [part.square().mean().item() for part in parts]
    assert all(0.5 < size < 2 for size in sizes), sizes


# ---- unusable samples ---------------------------------------------------------------------------


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_windows_with_unusable_samples_do_not_count_in_spectral_losses(value):
    model = make()
    signal, masked = batch(model, n=2)
    signal[1, 17] = value
    both, first = model(signal, masked), model(signal[:1], masked[:1])
    for name in ("spectrum_loss", "window_loss"):
        assert both[name].item() == pytest.approx(first[name].item() / 2, rel=1e-5)
    assert both.loss.isfinite()


@pytest.mark.parametrize("sigma", [0.0, 2.0])
def test_nothing_usable_is_no_error_and_no_gradient(sigma):
    model = make(ordinal_sigma=sigma)
    signal, masked = batch(model)
    out = model(torch.full_like(signal, torch.nan), masked)
    assert out.loss.item() == 0
    out.loss.backward()
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("sigma", [0.0, 2.0])
def test_a_batch_is_the_mean_of_its_parts(sigma):
    """However much of each part is usable: else two processes would not be one."""
    model = make(ordinal_sigma=sigma)
    signal, masked = batch(model, n=6)
    signal[0] = torch.nan
    signal[1, :300] = torch.nan
    signal[3, 100] = torch.nan
    whole = model(signal, masked)
    parts = [model(signal[i : i + 2], masked[i : i + 2]) for i in (0, 2, 4)]
    for name in ("loss", "token_loss", "spectrum_loss", "window_loss"):
        mean = torch.stack([part[name] for part in parts]).mean()
        assert whole[name].item() == pytest.approx(mean.item(), rel=1e-6)


# ---- weights ------------------------------------------------------------------------------------


def gradients(**objective):
    model = make(tiny_config(hidden_dropout_prob=0.0), **objective)
    model(*batch(model)).loss.backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
    }


def test_the_loss_is_the_weighted_sum_of_its_parts():
    model = make(token_weight=0.3, spectrum_weight=2.0, window_weight=0.7)
    out = model(*batch(model))
    expected = 0.3 * out.token_loss + 2.0 * out.spectrum_loss + 0.7 * out.window_loss
    assert out.loss.item() == pytest.approx(expected.item())
    assert [out[name].requires_grad for name in out] == [True, False, False, False, False]


def test_gradients_add_up_and_a_weight_of_zero_removes_its_own():
    names = ("token_weight", "spectrum_weight", "window_weight")
    alone = {
        name: gradients(**{**dict.fromkeys(names, 0.0), name: weight})
        for name, weight in zip(names, (0.3, 2.0, 0.7), strict=True)
    }
    both = gradients(token_weight=0.3, spectrum_weight=2.0, window_weight=0.7)
    for name, gradient in both.items():
        total = sum(part[name] for part in alone.values())
        torch.testing.assert_close(gradient, total, rtol=1e-3, atol=1e-6)
        assert gradient.abs().max() > 0, name
    of_head = {
        "token_weight": "head.dense.weight",
        "spectrum_weight": "spectrum_head.weight",
        "window_weight": "window_head.weight",
    }
    for weight, (owner, name) in itertools.product(names, of_head.items()):
        assert (alone[weight][name].abs().max() > 0) == (weight == owner)


def test_without_spectra_none_are_computed_and_their_heads_rest():
    model = make(token_weight=1.0, spectrum_weight=0.0, window_weight=0.0)
    out = model(*batch(model))
    assert set(out) == {"loss", "token_loss", "token_accuracy"}
    assert out.loss.item() == out.token_loss.item()
    resting = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert resting == {
        f"{head}.{kind}" for head in ("spectrum_head", "window_head") for kind in ("weight", "bias")
    }
    slow = tiny_config(preprocessing={"sfreq": 60.0, "lowpass": 20.0})
    make(slow, token_weight=1.0, spectrum_weight=0.0, window_weight=0.0)


def test_initialisation_does_not_depend_on_the_objective():
    states = []
    for objective in (Objective(), Objective(spectrum_weight=0, window_weight=0, token_stride=1)):
        torch.manual_seed(5)
        model = EEGFoundationForPreTraining(tiny_config(), objective)
        states.append(model.encoder.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"token_weight": -0.1}, "token_weight=-0.1; it must be >= 0"),
        ({"window_weight": float("nan")}, "window_weight=nan"),
        ({"ordinal_sigma": -1.0}, "ordinal_sigma"),
        ({"ordinal_sigma": 2147483647.0}, "there are 2000 bins"),
        ({"window_weight": float("inf")}, "window_weight"),
        ({"token_stride": 0}, "token_stride=0; it must be at least 1"),
        ({"token_weight": 0, "spectrum_weight": 0, "window_weight": 0}, "nothing to learn"),
    ],
)
def test_impossible_objectives_are_refused(wrong, expected):
    with pytest.raises(ConfigError, match=expected):
        Objective(**wrong)


def test_spectra_need_a_sampling_rate_that_holds_them():
    slow = tiny_config(preprocessing={"sfreq": 138.0, "lowpass": 30.0})
    with pytest.raises(ConfigError, match=r"Spectral targets reach 70 Hz, too much .* 138 Hz"):
        EEGFoundationForPreTraining(slow)


# ---- what is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize("regime", REGIMES)
def test_the_table_is_tied(regime):
    model = make(REGIMES[regime])
    table = model.encoder.embeddings.word_embeddings.weight
    assert model.head.decoder.weight is table
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert sum(p is table for p in model.parameters()) == 1


@pytest.mark.parametrize("gathered", [False, True])
@pytest.mark.parametrize("regime", REGIMES)
def test_what_is_kept_gives_the_same_outputs_and_is_marked_as_trained(regime, gathered, tmp_path):
    model = make(REGIMES[regime])
    kept = model.as_masked_lm(model.state_dict() if gathered else None)
    assert type(kept) is EEGFoundationForMaskedLM
    assert (kept.config.trained, model.config.trained, kept.training) == (True, False, False)
    ids = torch.randint(0, 2000, (3, 100), generator=torch.Generator().manual_seed(1))
    expected = model.encoder(ids)
    assert torch.equal(kept.encoder(ids).pooler_output, expected.pooler_output)
    logits = model.head.decoder(model.head(expected.last_hidden_state))
    assert torch.equal(kept(ids).logits, logits)
    kept.save_pretrained(tmp_path)
    loaded = load_encoder(tmp_path)  # an UntrainedWeightsWarning would be an error here
    assert loaded.config.trained
    assert torch.equal(loaded(ids).last_hidden_state, expected.last_hidden_state)
    whole = EEGFoundationForMaskedLM.from_pretrained(tmp_path)
    assert distance(whole(ids).logits, logits) == 0
    # a copy: going on with training does not change it
    with torch.no_grad():
        model.encoder.embeddings.word_embeddings.weight.add_(1)
    assert torch.equal(kept(ids).logits, logits)


def test_a_few_steps_lower_every_part_of_the_loss():
    torch.manual_seed(0)
    model = EEGFoundationForPreTraining(tiny_config(hidden_dropout_prob=0.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    t = torch.arange(N_TIMES) / 200
    rhythm = torch.tensor([3.0, 10.0, 22.0, 10.0])[:, None]
    signal = 30 * torch.sin(2 * torch.pi * rhythm * t) + normal(4, N_TIMES)
    _, masked = batch(model)
    history = []
    for _ in range(60):
        optimizer.zero_grad()
        out = model(signal, masked)
        out.loss.backward()
        optimizer.step()
        history.append([out[k].item() for k in ("token_loss", "spectrum_loss", "window_loss")])
    assert (np.array(history[-1]) < np.array(history[0]) * [0.9, 0.5, 0.5]).all()
