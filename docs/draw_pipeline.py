"""Draw docs/pipeline.png: the pipeline of the README, with real intermediate results in it.

`python docs/draw_pipeline.py` runs the simulated recording through tokenizer and encoder and draws
what comes out of each stage.
"""

import itertools
import warnings
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import eegfoundation
from eegfoundation.windows import iter_windows

HERE = Path(__file__).resolve().parent
INK, SOFT, ACCENT = "#1f2933", "#7b8794", "#2a6f97"


def main() -> None:
    """Compute every stage on three seconds of the demo recording, and draw."""
    warnings.simplefilter("ignore", eegfoundation.SimulatedTrainingWarning)
    source = HERE.parent / "demo_data" / "motor_imagery.edf"
    recording = eegfoundation.preprocess(eegfoundation.read_recording(source))
    picks = [recording.ch_names.index(name) for name in ("Fz", "C3", "Cz", "C4", "Pz", "POz")]
    window = next(iter_windows(recording, 10.0)).data[0][picks][:, 400:1000]
    ids, _ = eegfoundation.AmplitudeTokenizer().encode(window)
    embeddings = eegfoundation.embed(source, window=4.0, overlap=2.0)
    table = eegfoundation.predict(source, _classifier(), window=4.0, overlap=2.0)
    probabilities = table.filter(like="p_").to_numpy()

    figure, axes = plt.subplots(1, 5, figsize=(15, 3.4), width_ratios=[1.25, 1.25, 1, 1.15, 1.15])
    figure.subplots_adjust(left=0.012, right=0.988, top=0.74, bottom=0.2, wspace=0.3)
    _traces(axes[0], window)
    axes[1].imshow(ids, aspect="auto", cmap="RdBu_r", vmin=700, vmax=1300, interpolation="none")
    _encoder(axes[2])
    states = embeddings.pooled()[:, :60].T
    states = (states - states.mean(1, keepdims=True)) / states.std(1, keepdims=True)
    axes[3].imshow(states, aspect="auto", cmap="viridis", vmin=-2, vmax=2, interpolation="none")
    axes[4].stackplot(
        table["start"], probabilities.T, colors=["#2a6f97", "#89c2d9", "#f4a261", "#e76f51"]
    )
    axes[4].set(xlim=(table["start"].min(), table["start"].max()), ylim=(0, 1))
    titles = [
        ("Any recording", "any vendor, channels, rate", "filtered microvolts at 200 Hz"),
        ("Amplitude tokens", "one per sample, 2,000 bins", "decodable within half a bin"),
        ("Temporal encoder", "RoFormer, channel by channel", "learns from masked tokens"),
        ("Embeddings", "512 values per channel", "and window, or pooled"),
        ("Spatial fusion", "cross-channel attention", "probabilities for any task"),
    ]
    for axis, (title, first, second) in zip(axes, titles, strict=True):
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
        axis.set_title(title, fontsize=14, color=INK, fontweight="bold", pad=14)
        axis.text(0.5, -0.09, first, transform=axis.transAxes, ha="center", va="top", color=INK)
        axis.text(0.5, -0.22, second, transform=axis.transAxes, ha="center", va="top", color=SOFT)
    for left, right in itertools.pairwise(axes):
        a, b = left.get_position(), right.get_position()
        figure.patches.append(
            matplotlib.patches.FancyArrowPatch(
                (a.x1 + 0.006, 0.47),
                (b.x0 - 0.006, 0.47),
                transform=figure.transFigure,
                arrowstyle="-|>",
                mutation_scale=16,
                lw=1.8,
                color=ACCENT,
            )
        )
    figure.savefig(HERE / "pipeline.png", dpi=120)


def _traces(axis: plt.Axes, window: np.ndarray) -> None:
    step = 3.2 * window.std()
    for row, trace in enumerate(window):
        axis.plot(trace - row * step, lw=0.8, color=INK)
    axis.margins(x=0)


def _encoder(axis: plt.Axes) -> None:
    axis.set(xlim=(0, 1), ylim=(0, 1))
    for row in range(4):
        y = 0.06 + row * 0.245
        box = matplotlib.patches.FancyBboxPatch(
            (0.08, y), 0.84, 0.15, boxstyle="round,pad=0.02", fc="#e8f1f5", ec=ACCENT, lw=1.2
        )
        axis.add_patch(box)
        axis.text(0.5, y + 0.075, "attention + GELU", ha="center", va="center", color=INK, size=10)


def _classifier() -> "eegfoundation.models.EEGFoundationForClassification":
    from eegfoundation.prediction import load_classifier

    return load_classifier()


if __name__ == "__main__":
    main()
