"""Make the placeholder weights that ship until trained ones do.

They let every path run for real (package, checksum, strict loading), and every output made with
them says that they are untrained. `python scripts/make_untrained_weights.py` writes
`src/eegfoundation/weights/small/` and `models/BCIC-2a_model.pth`.
"""

from pathlib import Path

import torch

from eegfoundation.models import (
    SIZES,
    DownstreamConfig,
    EEGFoundationConfig,
    EEGFoundationForClassification,
    EEGFoundationForMaskedLM,
    EEGFoundationModel,
    fingerprint,
    save_downstream_model,
)
from eegfoundation.synthetic import BCIC_2A_CHANNELS

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write both checkpoints, in bfloat16: noise does not deserve more bytes."""
    torch.manual_seed(0)
    folder = ROOT / "src" / "eegfoundation" / "weights" / "small"
    model = EEGFoundationForMaskedLM(EEGFoundationConfig(**SIZES["small"]))
    model.bfloat16().save_pretrained(folder)
    encoder = EEGFoundationModel.from_pretrained(folder, dtype=torch.float32)

    config = DownstreamConfig.from_json_file(ROOT / "configs" / "BCIC_IV_2a_config.json")
    config.class_names = ["left_hand", "right_hand", "feet", "tongue"]
    config.ch_names = list(BCIC_2A_CHANNELS)
    config.encoder_sha256 = fingerprint(encoder)
    classifier = EEGFoundationForClassification(config).bfloat16()
    save_downstream_model(classifier, ROOT / "models" / "BCIC-2a_model.pth")


if __name__ == "__main__":
    main()
