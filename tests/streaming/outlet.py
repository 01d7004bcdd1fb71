"""A device of the tests, in a process of its own: `outlet.py NAME SECONDS GAP_AT DEAD_AT`.

Seven channels at 500 Hz in microvolts, from the moment that somebody listens. Half a second is
missing at GAP_AT, the fourth channel is dead from DEAD_AT on.
"""

import sys
import time

import numpy as np
from mne_lsl.lsl import StreamInfo, StreamOutlet, local_clock

NAMES = ["Fp1", "Fp2", "C3", "Cz", "C4", "O1", "O2"]
SFREQ, CHUNK = 500, 10


def main(name, seconds, gap_at, dead_at):
    info = StreamInfo(name, "EEG", len(NAMES), SFREQ, "float32", "device-of-tests")
    info.set_channel_names(NAMES)
    info.set_channel_types("eeg")
    info.set_channel_units("microvolts")
    outlet = StreamOutlet(info)
    print("there", flush=True)
    outlet.wait_for_consumers(60)
    rng = np.random.default_rng(0)
    began = local_clock()
    for start in range(0, int(seconds * SFREQ), CHUNK):
        t = (start + np.arange(CHUNK)) / SFREQ
        x = rng.normal(0, 10, (CHUNK, len(NAMES))) + 15 * np.sin(2 * np.pi * 10 * t)[:, None]
        x += 100 * np.arange(len(NAMES))
        x[t >= dead_at, 3] = 0
        time.sleep(max(0.0, began + t[-1] - local_clock()))
        if not gap_at <= t[0] < gap_at + 0.5:
            outlet.push_chunk(x.astype(np.float32), timestamp=began + t)
    time.sleep(60)  # until it is killed


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
