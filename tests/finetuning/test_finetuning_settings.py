import pytest

from eegfoundation.errors import ConfigError
from eegfoundation.finetuning.settings import FinetuneSettings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "all"}, r"strategy='all'; choose one of \('probe', 'probe\+covariance', "),
        ({"alignment": "riemann"}, "alignment='riemann'; choose one of"),
        ({"monitor": "accuracy"}, "monitor='accuracy'; choose one of"),
        ({"epochs": 0}, "epochs=0; it must be at least 1"),
        ({"patience": 0}, "patience=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"lora_rank": 0}, "lora_rank=0"),
        (
            {"lora_rank": 10**30},
            "lora_rank=1000000000000000000000000000000; it must be at most 10000",
        ),
        ({"patience": 10**400}, "it must be at most 1000000000000"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0; it must be 0 or more"),
        ({"learning_rate": 1e308}, "learning_rate=1e\\+308; it must be at most 1e\\+06"),
        ({"weight_decay": float("nan")}, "weight_decay=nan"),
        ({"encoder_learning_rate": float("inf")}, "encoder_learning_rate=inf"),
        ({"seed": -1}, "seed=-1"),
        ({"strategy": "lora", "alignment": "standardise"}, "needs a frozen encoder"),
        ({"strategy": "full", "alignment": "standardise"}, "'full' changes it"),
        ({"strategy": "head", "alignment": "components"}, "needs strategy='probe', found 'head'"),
        ({"flicker_hz": [13.0]}, "found neither; leave it out"),
        ({"alignment": "components", "flicker_hz": [99.0]}, "from 1 to 45 Hz is needed"),
        ({"strategy": "probe", "augmentation": True}, "no use for augmentation"),
    ],
)
def test_impossible_settings_are_one_sentence(changes, message):
    with pytest.raises(ConfigError, match=message) as error:
        FinetuneSettings(**changes)
    assert "\n" not in str(error.value)
