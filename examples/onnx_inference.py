"""Run an exported model with ONNX Runtime and NumPy alone (docs/export.md).

python onnx_inference.py MODEL.onnx WINDOWS.npz: an .npz of ``signal``, (windows, channels, samples)
in preprocessed microvolts, its ``sfreq``, and ``positions`` if they are not the model's own.
"""

import json
import sys

import numpy as np
import onnxruntime


def load(path, sfreq):
    """The model, and what it says about itself."""
    session = onnxruntime.InferenceSession(path)
    about = json.loads(session.get_modelmeta().custom_metadata_map["eegfoundation.json"])
    if sfreq != about["preprocessing"]["sfreq"]:
        raise ValueError(f"Found {sfreq} Hz; preprocess as {about['preprocessing']}.")
    return session, about


def run(session, about, **arrays):
    """Arrays by name -> arrays by name."""
    arrays = {"positions": about.get("positions"), **arrays}
    arrays = {i.name: np.asarray(arrays[i.name], np.float32) for i in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, arrays), strict=True))


if __name__ == "__main__":
    given = dict(np.load(sys.argv[2]))
    session, about = load(sys.argv[1], given.pop("sfreq"))
    outputs = run(session, about, **given)
    print(about.get("notice", about["purpose"]))
    print(about.get("class_names"), outputs.get("probabilities", outputs.get("embeddings")))
