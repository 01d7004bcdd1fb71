"""Take a fine-tuned classifier into models/: ``python scripts/ship_classifier.py RUN NAME``.

RUN is the folder of ``eegfoundation finetune``. Written are ``models/NAME_model.pth``, its weights
in bfloat16 (half the bytes; what that changes is printed), ``models/NAME_config.json`` unless one
of ``configs/`` fits, and ``models/NAME_run.json``, the account of the run. The quick start's is
made by

    eegfoundation finetune --task simulated-2a --strategy head --augmentation true --epochs 20 \
        --patience 4 --out runs/simulated-2a
    python scripts/ship_classifier.py runs/simulated-2a BCIC-2a

and the stress classifier by

    eegfoundation finetune --task stress --data FOLDER --out runs/stress
    python scripts/ship_classifier.py runs/stress stress
"""

import argparse
import json
import shutil
import warnings
from pathlib import Path

import torch

from eegfoundation import SimulatedTrainingWarning, load_downstream_model
from eegfoundation.models import save_downstream_model

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Copy what ships, and nothing else of the run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    arguments = parser.parse_args()
    run = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))
    if "scores" not in run:
        parser.error(f"{arguments.run} is not finished")
    task = run["task"]["name"]
    config = arguments.run / f"{task}_config.json"
    warnings.simplefilter("ignore", SimulatedTrainingWarning)
    model = load_downstream_model(arguments.run / f"{task}_model.pth", config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    save_downstream_model(model.bfloat16(), ROOT / "models" / f"{arguments.name}_model.pth")
    values = json.loads(config.read_text(encoding="utf-8"))
    published = (ROOT / "configs").glob("*_config.json")
    if not any(json.loads(path.read_text(encoding="utf-8")) == values for path in published):
        shutil.copy(config, ROOT / "models" / f"{arguments.name}_config.json")
    shutil.copy(arguments.run / "run.json", ROOT / "models" / f"{arguments.name}_run.json")
    change = max(
        float((value.float() - before[name]).norm() / before[name].norm().clamp(min=1e-12))
        for name, value in model.state_dict().items()
        if torch.is_floating_point(value)
    )
    print(f"models/{arguments.name}_model.pth: rounded to bfloat16, relative change {change:.2e}")


if __name__ == "__main__":
    main()
