"""Prints what a stream of predictions says: `listener.py NAME N`."""

import json
import sys

from mne_lsl.lsl import StreamInlet, local_clock, resolve_streams

found = resolve_streams(timeout=60, name=sys.argv[1])
inlet = StreamInlet(found[0])
inlet.open_stream(timeout=10)
print(json.dumps(inlet.get_sinfo().get_channel_names()))
n = 0
while n < int(sys.argv[2]):
    values, stamp = inlet.pull_sample(timeout=60)
    n += 1
    print(json.dumps([local_clock() - stamp, *values.tolist()]), flush=True)
