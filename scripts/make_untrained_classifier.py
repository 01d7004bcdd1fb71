"""Make the placeholder classifier that ships until a trained one does.

It lets every path run for real (checksum, strict loading), and every output made with it says that
it is untrained. `python scripts/make_untrained_classifier.py` writes `models/BCIC-2a_model.pth` for
the shipped encoder, whose fingerprint it carries: run it again when that changes.
"""

from pathlib import Path

import torch

from eegfoundation.models import (
    DownstreamConfig,
    EEGFoundationForClassification,
    fingerprint,
    load_encoder,
    save_downstream_model,
)
from eegfoundation.synthetic import BCIC_2A_CHANNELS

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Write the checkpoint, in bfloat16: noise does not deserve more bytes."""
    torch.manual_seed(0)
    encoder = load_encoder("small")
    config = DownstreamConfig.from_json_file(ROOT / "configs" / "BCIC_IV_2a_config.json")
    config.class_names = ["left_hand", "right_hand", "feet", "tongue"]
    config.ch_names = list(BCIC_2A_CHANNELS)
    config.encoder_sha256 = fingerprint(encoder)
    config.preprocessing = encoder.config.preprocessing
    classifier = EEGFoundationForClassification(config).bfloat16()
    save_downstream_model(classifier, ROOT / "models" / "BCIC-2a_model.pth")


if __name__ == "__main__":
    main()
