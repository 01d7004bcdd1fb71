"""Is another way to run the encoder `small` worth its price? Speed beside fidelity, on one machine.

Windows of 19 channels and 10 s of simulated EEG go through PyTorch in float32 and under bfloat16
autocast, ONNX Runtime in float32, and dynamic int8 of both, in turn, so that a machine that slows
down slows down all of them. Speed is the median's ratio to PyTorch in float32; fidelity the lowest
cosine similarity of an embedding with that of float32.

    python benchmarks/export_speed.py [--windows 8] [--rounds 7] [--threads 1]

The last line is JSON: {"onnx_vs_torch": ..., "onnx_1_minus_cosine": ..., ...}.
"""

import argparse
import functools
import tempfile
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from measure import alternate, ratio, report, seconds
from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

from eegfoundation import load_encoder
from eegfoundation.export.run import export_model
from eegfoundation.montage import CHANNELS_10_20
from eegfoundation.synthetic import simulate_resting

SFREQ, N_TIMES = 200, 2000


def ways(folder, threads):
    """Functions from an array of windows to an array of embeddings, by name."""
    encoder = load_encoder("small")
    path = folder / "small.onnx"
    export_model("small", path)
    quant_pre_process(path, folder / "prepared.onnx", skip_symbolic_shape=True)
    int8 = folder / "int8.onnx"
    quantize_dynamic(folder / "prepared.onnx", int8, weight_type=QuantType.QInt8)

    def session(file):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return lambda x: session.run(None, {"signal": x})[0]

    def pytorch(model, dtype=None):
        def run(x):
            with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
                return model.embed_signal(torch.from_numpy(x)).float().numpy()

        return run

    made = {
        "torch": pytorch(encoder),
        "bfloat16": pytorch(encoder, torch.bfloat16),
        "onnx": session(path),
        "onnx_int8": session(int8),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in favour of torchao, which is not installed
        quantised = torch.ao.quantization.quantize_dynamic(
            load_encoder("small"), {torch.nn.Linear}, dtype=torch.qint8
        )
    made["int8"] = pytorch(quantised)
    return made


def cosine(a, b):
    a, b = (x.reshape(-1, x.shape[-1]).astype(float) for x in (a, b))
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recording = simulate_resting(
        CHANNELS_10_20, duration=args.windows * N_TIMES / SFREQ, sfreq=SFREQ
    )
    x = recording.data.reshape(len(CHANNELS_10_20), args.windows, N_TIMES).transpose(1, 0, 2)
    x = np.ascontiguousarray(x, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        runs = ways(Path(folder), args.threads)
        expected = runs["torch"](x)
        fidelity = {name: cosine(run(x), expected) for name, run in runs.items()}
        timed = {name: functools.partial(run, x) for name, run in runs.items()}
        times = alternate(timed, args.rounds)
    figures = {}
    for name in sorted(runs.keys() - {"torch"}):
        figures[f"{name}_vs_torch"] = ratio(times, "torch", name)
        figures[f"{name}_1_minus_cosine"] = 1 - fidelity[name]
    report(figures | seconds(times))


if __name__ == "__main__":
    main()
