"""Encode and decode against one memory copy of the same bytes.

    python benchmarks/tokenizer_speed.py [--windows 360] [--repeats 15]

One hour of 19 channels at 200 Hz, (360, 19, 2000) float32 microvolts in a tensor: 55 MB in, as
much out (tokens are int32, decoded microvolts float32). The copy is `numpy.copy` of those 55 MB:
like encoding and decoding it makes its result in new memory, and it is the fastest that does here
(`Tensor.clone` gets its memory in small pages). A copy into memory that exists already and
`Tensor.clone` are listed beside it.

``fraction_of_copy`` is the smallest, over scalings and directions, of the copy's time over ours:
medians of alternating runs. The last line printed is JSON with each of them.
"""

from __future__ import annotations

import argparse
from typing import Any, get_args

import numpy as np
import torch
from measure import alternate, machine, ratio, report, seconds

from eegfoundation.tokenizer import AmplitudeTokenizer, Scaling


def measure(n_windows: int, n_chans: int, n_times: int, repeats: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    x = 20 * rng.standard_normal((n_windows, n_chans, n_times), dtype=np.float32)
    there, signal = np.empty_like(x), torch.from_numpy(x)
    runs: dict[str, Any] = {"copy": x.copy}
    for scaling in get_args(Scaling):
        tokenizer = AmplitudeTokenizer(scaling=scaling)
        ids, state = tokenizer.encode(signal)
        runs[f"encode_{scaling}"] = lambda t=tokenizer: t.encode(signal)
        runs[f"decode_{scaling}"] = lambda t=tokenizer, i=ids, s=state: t.decode(i, s)
    runs["copy_into_existing"] = lambda: np.copyto(there, x)
    runs["clone"] = signal.clone
    times = alternate(runs, repeats)
    fractions = {
        name: ratio(times, "copy", name) for name in runs if name.startswith(("encode", "decode"))
    }
    existing = [ratio(times, "copy_into_existing", name) for name in fractions]
    cloned = [ratio(times, "clone", name) for name in fractions]
    return {
        "fraction_of_copy": min(fractions.values()),
        **{f"fraction_{name}": value for name, value in fractions.items()},
        "fraction_of_copy_into_existing": min(existing),
        "fraction_of_clone": min(cloned),
        **seconds(times),
        "mbytes": x.nbytes / 1e6,
        "machine": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=360)
    parser.add_argument("--channels", type=int, default=19)
    parser.add_argument("--samples", type=int, default=2000, help="per window")
    parser.add_argument("--repeats", type=int, default=15)
    args = parser.parse_args()
    report(measure(args.windows, args.channels, args.samples, args.repeats))


if __name__ == "__main__":
    main()
