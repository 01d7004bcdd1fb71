"""What a processor says of itself decides between ways that compute the same."""

import pytest
import torch

from eegfoundation.models import processor


@pytest.mark.parametrize(
    ("can", "bfloat16", "matrices"),
    [
        ({}, False, False),
        ({"avx2": True}, False, False),
        ({"avx512_bf16": True, "amx_bf16": False}, True, False),
        ({"avx512_bf16": True, "amx_bf16": True}, True, True),
    ],
)
def test_units_are_found(monkeypatch, can, bfloat16, matrices):
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: can, raising=False)
    assert processor.multiplies_bfloat16(torch.device("cpu")) is bfloat16
    assert processor.multiplies_bfloat16(torch.device("meta")) is False
    assert processor.has_matrix_units.__wrapped__() is matrices


@pytest.mark.parametrize(
    ("name", "slow"), [("AMD EPYC", True), ("Intel(R) Xeon(R) Processor", False), (None, False)]
)
def test_mkl_is_slow_on_amd(monkeypatch, name, slow):
    can = {} if name is None else {"cpu_name": name}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: can, raising=False)
    assert processor.slows_mkl.__wrapped__() is slow


def test_a_pytorch_that_does_not_tell_has_none(monkeypatch):
    monkeypatch.delattr("torch.cpu.get_capabilities", raising=False)
    assert not processor.multiplies_bfloat16(torch.device("cpu"))
    assert not processor.has_matrix_units.__wrapped__()
    assert not processor.slows_mkl.__wrapped__()
