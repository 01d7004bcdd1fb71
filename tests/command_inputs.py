"""What commands read, small: recordings, a table of them, an encoder, a classifier, a corpus."""

import csv
import shutil

from eegfoundation.corpus.builder import build_corpus
from eegfoundation.models import (
    DownstreamConfig,
    EEGFoundationForClassification,
    fingerprint,
    save_downstream_model,
)
from samples import waves, write_edf

NAMES = ["C3", "Cz", "C4"]


def make_inputs(folder, encoder, encoder_folder):
    """Fill a folder: study/p0.edf ... p5.edf and own.csv, encoder/, a.pth with a.json, corpus/."""
    rows = []
    for person in range(6):
        name = f"p{person}.edf"
        write_edf(folder / "study" / name, waves(200, seed=person, duration=24), NAMES, 200)
        rows += [(name, f"p{person}", "ab"[half], 12 * half, 12 * half + 12) for half in (0, 1)]
    with (folder / "study" / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "subject", "label", "start", "stop"), *rows])
    config = DownstreamConfig(
        seq_len=800,
        patch_size=100,
        stride=100,
        d_model=32,
        num_classes=3,
        num_channel=3,
        embedding_dim=encoder.config.context_size,
        projection_embedding_dim=24,
        classification_hidden_dim=20,
        class_names=["left", "right", "feet"],
        encoder=str(encoder_folder),
        encoder_sha256=fingerprint(encoder),
        trained=True,
    )
    classifier = EEGFoundationForClassification(config).eval()
    classifier.attach_encoder(encoder)
    save_downstream_model(classifier, folder / "a.pth", folder / "a.json")
    shutil.copytree(encoder_folder, folder / "encoder")
    build_corpus(
        [str(folder / "study")], str(folder / "corpus"), window=2.0, workers=0, min_quality=0.5
    )
