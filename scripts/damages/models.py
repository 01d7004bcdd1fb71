"""Damaged encoders (folders) and classifiers (a ``.pth`` and a ``.json``)."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import EITHER, REFUSAL, RESULT, Damages
from .files import cut, flip, put

encoder = Damages(group="encoder")
classifier = Damages(group="classifier")


# ---- encoders: make(folder, sound) -> folder ----------------------------------------------------


def _encoder(name: str, change: Callable[[Path], Any], expect: str = REFUSAL, **more: Any) -> None:
    def make(folder: Path, sound: Any) -> Path:
        place = folder / "encoder"
        shutil.copytree(sound.encoder, place)
        if "checksum" not in name:  # else it would find every damage before anything else does
            (place / "SHA256SUMS").unlink(missing_ok=True)
        change(place)
        return place

    encoder.add(f"encoder: {name}", make, expect, **more)


def _config(name: str, expect: str = REFUSAL, /, **changes: Any) -> None:
    def change(place: Path) -> None:
        path = place / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    _encoder(f"config, {name}", change, expect)


def _config_text(name: str, text: str | bytes, **more: Any) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    _encoder(f"config.json {name}", lambda p: (p / "config.json").write_bytes(content), **more)


_encoder("no config.json", lambda p: (p / "config.json").unlink())
_config_text("is empty", "")
_config_text("is cut", '{"hidden_size": 64, ', quick=True)
_config_text("is a list", "[1, 2]")
_config_text("is a number", "3")
_config_text("is no UTF-8", b"\xff\xfe\x00{")
_config_text("is nested 100,000 deep", "[" * 100_000)
_config_text("is an empty object", "{}", not_for=("pretrain --model_config",))  # the defaults
_config("unknown key", dropout=0.1)
_config("another model", model_type="bert")
_config("model_type is a list", model_type=["eegfoundation"])
_config("a token is a line break", cls_token_id="\r\n")
_config("width 0", hidden_size=0)
_config("width -64", hidden_size=-64)
_config("width is a word", hidden_size="wide")
_config("width 10**9", hidden_size=10**9)
_config("width 10**30", hidden_size=10**30)
_config("depth 10**6", num_hidden_layers=10**6)
_config("embedding of 10**8", embedding_size=10**8)
_config("heads 0", num_attention_heads=0)
_config("theta is nan", rope_theta=float("nan"))
_config("theta 0", rope_theta=0.0)
_config("epsilon is negative", layer_norm_eps=-1.0)
_config("tokens 10**12", tokens_per_position=10**12, tokens_seen=10**12)
_config("activation unknown", hidden_act="swirl")
_config("activation is a list", hidden_act=["gelu"])
_config("dropout 2", hidden_dropout_prob=2.0)
_config("pooling is null", pooling=None)
_config("tokenizer is a text", tokenizer="asinh")
_config("tokenizer with an unknown key", tokenizer={"size": 3})
_config("tokenizer is an empty list", tokenizer=[])
_config("preprocessing is a list", preprocessing=[1])
_config("preprocessing is a list in a list", preprocessing=[[]])
_config("preprocessing at 0 Hz", preprocessing={"sfreq": 0.0})
_config("preprocessing at nan Hz", preprocessing={"sfreq": float("nan")})
_config("preprocessing at 1e12 Hz", preprocessing={"sfreq": 1e12})
_config("preprocessing, highpass a word", preprocessing={"highpass": "low"})
_config("trained is a word", EITHER, trained="maybe")
_config("code of its own", EITHER, auto_map={"AutoModel": "evil.Model"})
_config("dtype unknown", EITHER, dtype="float7")
_config("dtype is a list", EITHER, dtype=[[]])
_config("dtype is a number of PyTorch", EITHER, dtype="nan")
_config("depth is a word of 3,000 letters", num_hidden_layers="A" * 3000)
_config("depth is a list of 500 numbers", num_hidden_layers=[1] * 500)
_config("labels without numbers", EITHER, id2label={"a": []})
_config("quantised", EITHER, quantization_config={"quant_method": "bitsandbytes"})


def _weights(name: str, change: Callable[[Path], Any], expect: str = REFUSAL, **more: Any) -> None:
    _encoder(f"weights, {name}", lambda p: change(p / "model.safetensors"), expect, **more)


def _tensors(name: str, change: Callable[[dict[str, np.ndarray]], Any], expect: str = REFUSAL):
    def write(path: Path) -> None:
        from safetensors.numpy import load_file, save_file

        content = load_file(path)
        change(content)
        save_file(content, path, metadata={"format": "pt"})

    _weights(name, write, expect)


def _huge_header(path: Path) -> None:
    put(path, 0, struct.pack("<Q", 2**40))


def _declares_much(path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode() + bytes(4))


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("owned",)


def _pickle_instead(path: Path) -> None:
    path.unlink()
    (path.parent / "pytorch_model.bin").write_bytes(pickle.dumps({"a": _Evil()}))


def _first(content: dict[str, np.ndarray]) -> str:
    return min(content)


_weights("one bit flipped, with checksums", lambda p: flip(p, 1, 0, 20_000))
_weights("missing", lambda p: p.unlink(), quick=True)
_weights("empty", lambda p: p.write_bytes(b""))
_weights("cut in the header", lambda p: cut(p, 100))
_weights("cut in the data", lambda p: cut(p, 0.7), quick=True)
_weights("header of a terabyte", _huge_header)
_weights("declares terabytes", _declares_much)
_weights("header is noise", lambda p: put(p, 8, os.urandom(300)))
_weights("bits flipped in the header", lambda p: flip(p, 10, 0, 8, 900))
_weights("a text", lambda p: p.write_text("weights"))
_weights("a pickle that runs a command", lambda p: p.write_bytes(pickle.dumps(_Evil())))
_weights("only a pickle, pytorch_model.bin", _pickle_instead, quick=True)
_weights("link to /dev/zero", lambda p: (p.unlink(), p.symlink_to("/dev/zero")))
_weights("a pipe", lambda p: (p.unlink(), os.mkfifo(p)))
_weights("a folder", lambda p: (p.unlink(), p.mkdir()))
_tensors("one tensor missing", lambda c: c.pop(_first(c)))
_tensors("one tensor too many", lambda c: c.update(x=np.zeros(3, np.float32)))
_tensors("another shape", lambda c: c.update({_first(c): np.zeros((2, 2), np.float32)}))
_tensors("whole numbers", lambda c: c.update({k: v.astype(np.int32) for k, v in c.items()}), EITHER)
_tensors("NaN", lambda c: c.update({k: v * np.nan for k, v in c.items()}))
_tensors("one NaN", lambda c: c[_first(c)].flat.__setitem__(0, np.nan))
_tensors("infinite", lambda c: c.update({k: v * np.inf for k, v in c.items()}))
_tensors("1e38", lambda c: c.update({k: np.full_like(v, 1e38) for k, v in c.items()}))
_tensors(
    "half precision", lambda c: c.update({k: v.astype(np.float16) for k, v in c.items()}), RESULT
)


@encoder("encoder: index of shards that are missing", REFUSAL)
def _(folder: Path, sound: Any) -> Path:
    place = folder / "encoder"
    shutil.copytree(sound.encoder, place)
    (place / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"a": "../../../etc/passwd"}}
    (place / "model.safetensors.index.json").write_text(json.dumps(index))
    return place


@encoder("encoder: adapter of elsewhere beside it", EITHER)
def _(folder: Path, sound: Any) -> Path:
    place = folder / "encoder"
    shutil.copytree(sound.encoder, place)
    content = {"peft_type": "LORA", "base_model_name_or_path": "nobody/nothing"}
    (place / "adapter_config.json").write_text(json.dumps(content))
    return place


@encoder("encoder: a file", REFUSAL)
def _(folder: Path, sound: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder").write_text("")
    return folder / "encoder"


@encoder("encoder: an empty folder", REFUSAL)
def _(folder: Path, sound: Any) -> Path:
    (folder / "encoder").mkdir(parents=True)
    return folder / "encoder"


@encoder("encoder: unreadable", REFUSAL)
def _(folder: Path, sound: Any) -> Any:
    shutil.copytree(sound.encoder, folder / "encoder")
    (folder / "encoder").chmod(0)
    return folder / "encoder", {"as_nobody": True}


# ---- classifiers: make(folder, sound) -> .pth ---------------------------------------------------


def _classifier(
    name: str, change: Callable[[Path], Any], expect: str = REFUSAL, **more: Any
) -> None:
    def make(folder: Path, sound: Any) -> Path:
        path = folder / "classifier.pth"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(sound.classifier, path)
        shutil.copy(sound.classifier.with_suffix(".json"), path.with_suffix(".json"))
        change(path)
        return path

    classifier.add(f"classifier: {name}", make, expect, **more)


def _saved(name: str, change: Callable[[dict[str, Any]], Any], expect: str = REFUSAL) -> None:
    def write(path: Path) -> None:
        import torch

        content = torch.load(path, weights_only=True)
        content["extras"] = json.loads(content["extras"])
        change(content)
        if isinstance(content.get("extras"), dict):
            content["extras"] = json.dumps(content["extras"])
        torch.save(content, path)

    _classifier(name, write, expect)


def _json(name: str, expect: str = REFUSAL, /, **changes: Any) -> None:
    def change(path: Path) -> None:
        place = path.with_suffix(".json")
        place.write_text(json.dumps({**json.loads(place.read_text()), **changes}))

    _classifier(f"config, {name}", change, expect)


def _evil_pth(path: Path) -> None:
    import torch

    torch.save({"state_dict": {}, "extras": _Evil()}, path)


def _zip_bomb(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("classifier/data.pkl", "w", force_zip64=True) as member:
            for _ in range(80):
                member.write(bytes(50_000_000))
        file.writestr("classifier/version", "3")


def _all_nan(content: dict[str, Any]) -> None:
    for value in content["state_dict"].values():
        if value.is_floating_point():
            value.fill_(float("nan"))


_classifier("missing", lambda p: p.unlink())
_classifier("empty", lambda p: p.write_bytes(b""))
_classifier("cut", lambda p: cut(p, 0.5), quick=True)
_classifier("a text", lambda p: p.write_text("weights"))
_classifier("bits flipped at the beginning", lambda p: flip(p, 10, 0, 0, 400))
_classifier("bits flipped at the end", lambda p: cut(flip(p, 40, 0, 0), 0.999))
_classifier("a pickle that runs a command", _evil_pth, quick=True)
_classifier("an old pickle", lambda p: p.write_bytes(pickle.dumps({"state_dict": _Evil()})))
_classifier("a bomb of 4 GB", _zip_bomb)
_classifier("link to /dev/zero", lambda p: (p.unlink(), p.symlink_to("/dev/zero")))
_classifier("a pipe", lambda p: (p.unlink(), os.mkfifo(p)))
_classifier("a folder", lambda p: (p.unlink(), p.mkdir()))
_saved("weights only, of other code", lambda c: (c.pop("extras"), c.pop("encoder")))
_saved("no weights", lambda c: c.pop("state_dict"))
_saved("weights NaN", _all_nan)
_saved("a weight missing", lambda c: c["state_dict"].popitem())
_saved("a weight of another shape", lambda c: c["state_dict"].update(
    {min(c["state_dict"]): c["state_dict"][max(c["state_dict"])].new_zeros(3, 3)}))  # fmt: skip
_saved("weights are numbers", lambda c: c["state_dict"].update({min(c["state_dict"]): 3}))
_saved("encoder missing", lambda c: c.pop("encoder"))
_saved("encoder is a text", lambda c: c.update(encoder="small"))
_saved("encoder without config", lambda c: c["encoder"].pop("config"))
_saved("encoder's config is a list", lambda c: c["encoder"].update(config="[1]"))
_saved("encoder's config unknown", lambda c: c["encoder"].update(config='{"a": 1}'))
_saved("extras are no JSON", lambda c: c.update(extras="{trained"))
_saved("extras unknown", lambda c: c["extras"].update(colour="red"))
_saved("readout unknown", lambda c: c["extras"].update(readout="magic"))
_saved("class names too few", lambda c: c["extras"].update(class_names=["a"]))
_saved("class names are numbers", lambda c: c["extras"].update(class_names=[1, 2]), EITHER)
_saved("class names are a text", lambda c: c["extras"].update(class_names="ab"))
_saved("preprocessing is a text", lambda c: c["extras"].update(preprocessing="fast"))
_json("unknown key", colour="red")
_json("another model", model_type="bert")
_json("key of the weights", trained=True)
_json("10**12 classes", num_classes=10**12)
_json("0 classes", num_classes=0)
_json("classes are a word", num_classes="two")
_json("width 10**9", d_model=10**9)
_json("patch of -1", patch_size=-1)
_json("dropout is nan", classification_dropout=float("nan"))
for _name, _text in {
    "empty": "",
    "cut": '{"seq_len": 800, ',
    "a list": "[]",
    "nested 100,000 deep": "[" * 100_000,
}.items():
    _classifier(f"config is {_name}", lambda p, text=_text: p.with_suffix(".json").write_text(text))
_classifier("config is a pipe", lambda p: (p.with_suffix(".json").unlink(),
                                           os.mkfifo(p.with_suffix(".json"))))  # fmt: skip
_classifier("config is missing", lambda p: p.with_suffix(".json").unlink())


def _account(name: str, text: str) -> None:
    """run.json beside the weights, which `convert` takes along."""
    _classifier(f"run.json {name}", lambda p: (p.parent / "run.json").write_text(text), EITHER)
    _classifier(
        f"its run.json {name}",
        lambda p: (p.parent / "classifier.pth_run.json").write_text(text),
        EITHER,
    )


_account("cut", '{"task": {"name": ')
_account("a list", "[]")
_account("with a task that is a list", '{"task": [], "versions": {}}')
_account("of wrong values", '{"trials": 3, "subjects": [], "versions": 5, "settings": "x"}')
_account("nested 100,000 deep", "[" * 100_000)
