"""Is another way to run the encoder `small` worth its price? Speed beside fidelity, on one machine.

Windows of 19 channels and 10 s of simulated EEG go through PyTorch in float32 and under bfloat16
autocast, ONNX Runtime in float32, and dynamic int8 of both, in turn, so that a machine that slows
down slows down all of them. Speed is the median's ratio to PyTorch in float32; fidelity the lowest
cosine similarity of an embedding with that of float32.

    python benchmarks/export_speed.py [--windows 8] [--rounds 7] [--threads 1]
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

from eegfoundation import load_encoder
from eegfoundation.export.run import export_model
from eegfoundation.synthetic import simulate_resting

NAMES = ["Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz"]
NAMES += ["C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2"]
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
    recording = simulate_resting(NAMES, duration=args.windows * N_TIMES / SFREQ, sfreq=SFREQ)
    x = recording.data.reshape(len(NAMES), args.windows, N_TIMES).transpose(1, 0, 2)
    x = np.ascontiguousarray(x, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        runs = ways(Path(folder), args.threads)
        expected = runs["torch"](x)
        fidelity = {name: cosine(run(x), expected) for name, run in runs.items()}
        seconds = {name: [] for name in runs}
        for _ in range(args.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run(x)
                seconds[name].append(time.perf_counter() - start)
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    for name in runs:
        rate = args.windows * len(NAMES) * N_TIMES / SFREQ / median[name]
        print(
            f"{name:<15} {1e3 * median[name]:8.0f} ms  {rate:8.0f} channel-seconds per second  "
            f"{median['torch'] / median[name]:5.2f} x torch  lowest cosine {fidelity[name]:.6f}"
        )
    result = {}
    for name in runs.keys() - {"torch"}:
        result[f"{name}_vs_torch"] = round(median["torch"] / median[name], 3)
        result[f"{name}_cosine"] = round(fidelity[name], 6)
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
