"""Models: configuration, temporal encoder, masked-token head, spatial fusion, classifier.

Read in the order in which data flows: `config`, `rotary`, `encoder`, `masked_lm`,
`downstream_config`, `spatial_fusion` and `readout`, `classifier`, `checkpoint`; `convert` speaks to
RoFormer, `registry` turns names into models, `sharing` and `card` write what lies beside weights.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
)

from eegfoundation.models.checkpoint import load_downstream_model, save_downstream_model
from eegfoundation.models.classifier import EEGFoundationForClassification
from eegfoundation.models.config import SIZES, EEGFoundationConfig
from eegfoundation.models.convert import (
    ConversionReport,
    from_roformer,
    load_roformer,
    to_roformer,
)
from eegfoundation.models.downstream_config import DownstreamConfig
from eegfoundation.models.encoder import EEGFoundationModel
from eegfoundation.models.masked_lm import EEGFoundationForMaskedLM
from eegfoundation.models.registry import fingerprint, load_encoder, random_encoder

__all__ = [
    "SIZES",
    "ConversionReport",
    "DownstreamConfig",
    "EEGFoundationConfig",
    "EEGFoundationForClassification",
    "EEGFoundationForMaskedLM",
    "EEGFoundationModel",
    "fingerprint",
    "from_roformer",
    "load_downstream_model",
    "load_encoder",
    "load_roformer",
    "random_encoder",
    "save_downstream_model",
    "to_roformer",
]

for _config in (EEGFoundationConfig, DownstreamConfig):
    AutoConfig.register(_config.model_type, _config)
AutoModel.register(EEGFoundationConfig, EEGFoundationModel)
AutoModelForMaskedLM.register(EEGFoundationConfig, EEGFoundationForMaskedLM)
# A window is a sequence of samples: `input_ids` and `labels` in, loss, logits and attentions out
AutoModelForSequenceClassification.register(DownstreamConfig, EEGFoundationForClassification)
