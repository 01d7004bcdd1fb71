"""Small models for tests, with weights that hide nothing."""

import torch
from torch import nn

from eegfoundation.models import SIZES, DownstreamConfig, EEGFoundationConfig
from eegfoundation.models.embeddings import FilterBank


def tiny_config(**changes):
    return EEGFoundationConfig(**{**SIZES["tiny"], **changes})


def published_config(**changes):
    """One token per position, every part of the published architecture, but narrow."""
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
    }
    return EEGFoundationConfig(**{**small, **changes})


def downstream_config(**changes):
    small = {
        "seq_len": 200,
        "patch_size": 50,
        "stride": 25,
        "d_model": 32,
        "num_classes": 3,
        "num_channel": 5,
        "embedding_dim": 16,
        "projection_embedding_dim": 24,
        "classification_hidden_dim": 20,
    }
    return DownstreamConfig(**{**small, **changes})


@torch.no_grad()
def scramble(model, seed=0):
    """Random weights everywhere: fresh models have zero biases, unit norms, near-uniform attention.

    What a test compares would otherwise not depend on half of the parameters.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(p):
        return torch.randn(p.shape, generator=generator).to(p)

    for module in model.modules():
        for name, p in module.named_parameters(recurse=False):
            if isinstance(module, nn.Linear | FilterBank) and name == "weight":
                p.copy_(noise(p) * 1.2 / p.shape[1] ** 0.5)
            elif isinstance(module, nn.Embedding):
                if p.requires_grad:  # not RoFormer's table of sines
                    p.copy_(noise(p) * 0.3)
            elif isinstance(module, nn.LayerNorm | nn.RMSNorm) and name == "weight":
                p.copy_(1 + noise(p) * 0.3)
            else:
                p.copy_(noise(p) * 0.3)
    return model.eval()


def tokens(*shape, seed=0):
    return torch.randint(0, 2000, shape, generator=torch.Generator().manual_seed(seed))


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def distance(a, b):
    """Largest absolute difference."""
    assert a.shape == b.shape
    return (a - b).abs().max().item()
