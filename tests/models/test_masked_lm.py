import pytest
import torch
from model_helpers import distance, published_config, scramble, tiny_config, tokens
from torch.nn import functional as F
from transformers import AutoModelForMaskedLM

from eegfoundation.errors import CheckpointError, ModelInputError
from eegfoundation.models import EEGFoundationForMaskedLM, EEGFoundationModel
from eegfoundation.tokenizer import MASK, VOCAB_SIZE

REGIMES = {"published": published_config(), "merged": tiny_config()}


@pytest.fixture(params=REGIMES)
def model(request):
    return scramble(EEGFoundationForMaskedLM(REGIMES[request.param]))


@pytest.mark.parametrize("n_times", [1, 25, 110])
def test_every_sample_gets_a_score_per_token(model, n_times):
    assert model(tokens(2, n_times)).logits.shape == (2, n_times, VOCAB_SIZE)
    assert model(tokens(2, n_times)).loss is None


@pytest.mark.parametrize("masked", [False, True])
def test_logits_of_labelled_samples_are_those_of_the_full_output(model, masked):
    ids, labels = tokens(2, 110), torch.full((2, 110), -100)
    asked = torch.rand(2, 110, generator=torch.Generator().manual_seed(3)) < 0.2
    labels[asked] = tokens(2, 110, seed=4)[asked]
    mask = (torch.arange(110) < torch.tensor([[110], [90]])) if masked else None
    full, some = model(ids, mask).logits, model(ids, mask, labels=labels)
    assert distance(some.logits, full[asked]) < 1e-5
    assert some.loss.item() == pytest.approx(F.cross_entropy(full[asked], labels[asked]).item())
    # transformers' convention, over all samples, gives the same loss
    everywhere = F.cross_entropy(full.flatten(0, 1), labels.flatten())
    assert some.loss.item() == pytest.approx(everywhere.item())


def test_without_any_label_the_loss_is_zero_and_trainable(model):
    out = model(tokens(2, 50), labels=torch.full((2, 50), -100))
    assert out.loss.item() == 0
    out.loss.backward()


def test_labels_of_another_shape_are_refused(model):
    with pytest.raises(ModelInputError, match=r"labels have shape \(2, 49\)"):
        model(tokens(2, 50), labels=tokens(2, 49))


def test_hidden_states_are_the_encoders(model):
    ids = tokens(2, 50)
    out = model(ids, output_hidden_states=True)
    for a, b in zip(
        out.hidden_states, model.encoder(ids, output_hidden_states=True).hidden_states, strict=True
    ):
        assert torch.equal(a, b)
    assert model(ids).hidden_states is None


def test_unknown_arguments_are_not_swallowed(model):
    with pytest.raises(TypeError, match="position_ids"):
        model(tokens(2, 50), position_ids=tokens(2, 50))


def test_sample_k_of_a_position_is_predicted_by_block_k_of_the_head():
    """The P predictions of a position come out in the order of its samples."""
    model = scramble(EEGFoundationForMaskedLM(tiny_config()))
    size, n_tokens = model.config.embedding_size, model.config.tokens_per_position
    before = model(tokens(1, 110)).logits
    with torch.no_grad():
        model.head.dense.bias.unflatten(0, (n_tokens, size))[3] += 5
    moved = (model(tokens(1, 110)).logits != before).any(-1)[0].nonzero().flatten()
    assert moved.tolist() == [3, 28, 53, 78, 103]


def test_a_few_steps_lower_the_loss():
    torch.manual_seed(0)
    model = EEGFoundationForMaskedLM(tiny_config()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    # a slow oscillation: what is masked can be told from its neighbours
    wave = torch.sin(torch.arange(200) / 15 + torch.arange(16)[:, None]) * 20
    ids = model.encoder.tokenizer.encode(wave)[0].long()
    hidden = torch.rand(ids.shape) < 0.15
    inputs, labels = ids.masked_fill(hidden, MASK), ids.masked_fill(~hidden, -100)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = model(inputs, labels=labels).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize("loader", [EEGFoundationForMaskedLM, AutoModelForMaskedLM])
def test_a_checkpoint_gives_the_same_logits_and_stays_tied(model, loader, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = loader.from_pretrained(tmp_path)
    assert type(loaded) is EEGFoundationForMaskedLM
    ids = tokens(2, 60)
    assert torch.equal(loaded(ids).logits, model(ids).logits)
    table = loaded.encoder.embeddings.word_embeddings.weight
    assert loaded.head.decoder.weight is table
    assert loaded.get_input_embeddings().weight is loaded.get_output_embeddings().weight
    with torch.no_grad():
        table[7] += 1
    assert torch.equal(loaded.head.decoder.weight[7], table[7])


def test_an_encoder_alone_is_no_masked_token_model(tmp_path):
    EEGFoundationModel(tiny_config()).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"missing \['head\.decoder\.bias'") as error:
        EEGFoundationForMaskedLM.from_pretrained(tmp_path)
    assert "head.dense.weight" in str(error.value)


def test_gradients_reach_every_parameter(model):
    ids = tokens(2, 110)
    model(ids, labels=ids).loss.backward()
    assert [name for name, p in model.named_parameters() if not p.grad.abs().max() > 0] == []
