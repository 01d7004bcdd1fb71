"""Commands as processes of their own."""

import os

#: One thread everywhere: sums in another order would be other numbers.
PLAIN_ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


def flags(settings):
    """Settings as on a command line."""
    return [f"--{name}={value}" for name, value in settings.items()]
