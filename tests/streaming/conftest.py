import pytest


@pytest.fixture(scope="session")
def classifier(encoder):
    """Small and random: three classes, windows of 2 s."""
    import torch

    from eegfoundation.models import DownstreamConfig, EEGFoundationForClassification

    def make(**settings):
        config = DownstreamConfig(
            seq_len=400,
            patch_size=100,
            stride=100,
            d_model=32,
            num_classes=3,
            num_channel=7,
            embedding_dim=encoder.config.context_size,
            projection_embedding_dim=32,
            classification_hidden_dim=32,
            class_names=["rest", "left", "right"],
            preprocessing=encoder.config.preprocessing,
            trained=True,
            **settings,
        )
        torch.manual_seed(0)
        model = EEGFoundationForClassification(config).eval()
        model.attach_encoder(encoder)
        return model

    return make
