import pytest
import torch

# These models are so small that several threads only wait for each other (five times slower where
# the cores are shared with other test processes).
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
