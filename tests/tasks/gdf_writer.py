"""Write GDF 1.25, the format of BCI Competition IV, as far as readers ask for it."""

import struct

import numpy as np

STEP_UV = 0.05


def write_gdf(path, x, labels, sfreq, events):
    """Write whole seconds of x (n_chans, n_times) microvolts; events are (sample, code)."""
    n_chans, n_times = x.shape
    n_records = n_times // sfreq
    x = np.rint(x[:, : n_records * sfreq] / STEP_UV).astype("<i2")
    fixed = [
        b"GDF 1.25".ljust(8),
        *(b"X X".ljust(80), b"".ljust(80), b"2008010112000000"),
        struct.pack("<q", 256 * (n_chans + 1)),
        bytes(24 + 20),
        struct.pack("<q2II", n_records, 1, 1, n_chans),
    ]

    def column(form, value, width=0):
        return b"".join(
            value.ljust(width) if form is None else struct.pack(form, value) for _ in labels
        )

    limit = 32767
    channels = [
        b"".join(label.encode().ljust(16) for label in labels),
        column(None, b"", 80) + column(None, b"uV", 8),
        column("<d", -limit * STEP_UV) + column("<d", limit * STEP_UV),
        column("<q", -limit) + column("<q", limit),
        column(None, b"", 80) + column("<i", sfreq) + column("<i", 3),  # 3: int16
        bytes(32 * n_chans),
    ]
    records = x.reshape(n_chans, n_records, sfreq).transpose(1, 0, 2)
    samples, codes = np.array(events).T
    table = struct.pack("<B3sI", 1, sfreq.to_bytes(3, "little"), len(events))
    table += (samples + 1).astype("<u4").tobytes() + codes.astype("<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join([*fixed, *channels, records.tobytes(), table]))
    return path
