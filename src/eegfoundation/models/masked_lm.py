"""Masked-token head: what pretraining learns, and what imputes a gap.

The head predicts all P tokens of a position; its output table is tied to the token embeddings.
With ``tokens_per_position=1`` it is RoFormer's masked-language-model head exactly.

Shape legend: B batch, T samples, N positions, P tokens per position, V vocabulary.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN
from transformers.modeling_outputs import MaskedLMOutput

from eegfoundation.errors import ModelInputError
from eegfoundation.models.config import EEGFoundationConfig
from eegfoundation.models.encoder import EEGFoundationModel, EEGFoundationPreTrainedModel


class MaskedLMHead(nn.Module):
    """Positions (B, N, D) -> one embedding per token (B, N * P, embedding size)."""

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__()
        size = config.embedding_size
        self.tokens_per_position = config.tokens_per_position
        self.dense = nn.Linear(config.hidden_size, size * config.tokens_per_position)
        self.activation = ACT2FN[config.hidden_act]
        self.norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.decoder = nn.Linear(size, config.vocab_size)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.dense(x))
        return self.norm(x.unflatten(-1, (self.tokens_per_position, -1)).flatten(1, 2))


class EEGFoundationForMaskedLM(EEGFoundationPreTrainedModel):
    """Temporal encoder with the masked-token head."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "head.decoder.weight": "encoder.embeddings.word_embeddings.weight"
    }

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__(config)
        self.encoder = EEGFoundationModel(config)
        self.head = MaskedLMHead(config)
        self.post_init()

    def get_output_embeddings(self) -> nn.Module:
        """Table that turns states into token scores (tied to the input table)."""
        return self.head.decoder

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the output table."""
        self.head.decoder = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> MaskedLMOutput:
        """Predict tokens.

        Parameters
        ----------
        input_ids : Tensor of integers, shape (B, T)
            Tokens, MASK where the model has to guess.
        attention_mask : Tensor, shape (B, T) | None
            As in `EEGFoundationModel`.
        labels : Tensor of integers, shape (B, T) | None
            True tokens where the loss counts, -100 elsewhere. Without any, the loss is 0.
        output_hidden_states : bool
            As in `EEGFoundationModel`.

        Returns
        -------
        output : MaskedLMOutput
            Without labels, ``logits`` (B, T, V). With labels, ``loss`` and only the ``logits`` of
            the M labelled samples (M, V), in the order of ``labels[labels != -100]``: the table of
            2,006 scores per sample is most of the work, and most samples are not asked for.
        """
        encoded = self.encoder(input_ids, attention_mask, output_hidden_states)
        states = encoded.hidden_states
        embeddings = self.head(encoded.last_hidden_state)[:, : input_ids.shape[1]]
        if labels is None:
            return MaskedLMOutput(logits=self.head.decoder(embeddings), hidden_states=states)
        if labels.shape != input_ids.shape:
            raise ModelInputError(
                f"labels have shape {tuple(labels.shape)}; expected that of input_ids, "
                f"{tuple(input_ids.shape)}."
            )
        asked = labels != -100
        logits = self.head.decoder(embeddings[asked])
        total = F.cross_entropy(logits.float(), labels[asked].long(), reduction="sum")
        loss = total / max(1, len(logits))
        return MaskedLMOutput(loss=loss, logits=logits, hidden_states=states)
