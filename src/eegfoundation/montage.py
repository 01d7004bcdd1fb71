"""Channel names and electrode positions: one spelling and one coordinate frame for every source.

What: devices call the same electrode "EEG FP1-REF", "Fp1.", "FP1" or "Fp1-LE", and older standards
say T3 for T7. `normalise_name` gives each the spelling of the extended 10-05 system, `channel_kind`
tells from a name whether a channel is EEG at all (EDF declares everything as EEG), `positions`
looks electrodes up on a template head, `bipolar_pairs` derives the longitudinal ("double banana")
montage, `select_channels` decides which channels of a source are used.

Why here: a model that is told where electrodes are is only as good as these names, so every stage
uses these functions and none of its own.

Trade-off: an electrode that the template does not know keeps its name and has an unknown (NaN)
position. It is not guessed: a wrong position would be learned from, an unknown one is masked.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from eegfoundation.errors import ChannelError, RecordingError

if TYPE_CHECKING:
    from collections.abc import Mapping

ChannelKind = Literal["eeg", "eog", "ecg", "emg", "misc"]

#: The electrodes of the 10-20 system, by their modern names (T7 is T3, P7 is T5).
CHANNELS_10_20 = (
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz", "C4", "T8",
    "P7", "P3", "Pz", "P4", "P8", "O1", "O2",
)  # fmt: skip

#: Longitudinal bipolar montage of clinical EEG (ACNS guideline 3), temporal chains first.
LONGITUDINAL_BIPOLAR: tuple[tuple[str, str], ...] = (
    ("Fp1", "F7"), ("F7", "T7"), ("T7", "P7"), ("P7", "O1"),
    ("Fp2", "F8"), ("F8", "T8"), ("T8", "P8"), ("P8", "O2"),
    ("Fp1", "F3"), ("F3", "C3"), ("C3", "P3"), ("P3", "O1"),
    ("Fp2", "F4"), ("F4", "C4"), ("C4", "P4"), ("P4", "O2"),
    ("Fz", "Cz"), ("Cz", "Pz"),
)  # fmt: skip

_OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_EARS = frozenset({"A1", "A2", "M1", "M2"})
_PREFIX = re.compile(r"(?:EEG|POL)[\s_:\-]+", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*[-\u2013\u2212/:]\s*")
_REFERENCE = re.compile(
    r"V?REF\d*|LER?|CLE|AR|AVG?|AVE|AVERAGE|CAR|LINKED\w*|COMMON|([AM])1\+?\1?2", re.IGNORECASE
)
# Words that give a channel away as something else than EEG. One word of the name, without the
# number behind it, has to match in full: "EMG-REF" and "ECG2" do, an electrode "EM1" does not.
_KIND_WORDS: dict[ChannelKind, re.Pattern[str]] = {
    "eog": re.compile(r"[HVLR]?EOG[HVLR]?|[HV]EO[LRUD]?|[LR]OC|[LR][UL]C|[LSI]O|EYES?|BLINKS?"),
    "ecg": re.compile(r"E[CK]G[LR]?"),
    "emg": re.compile(r"EMG[LR]?|CHIN[LR]?|SUBMENT\w*|TIB\w*|LEG[LR]?|PLM[LR]?|MASSETER"),
    "misc": re.compile(
        r"STATUS|STIM?|TRIG\w*|MARK(?:ER)?S?|EVENTS?|ANNOTATIONS?|DC|AUX|BIP|EXG|ERGO?|GND|MISC"
        r"|RESP\w*|(?:AIR)?FLOW|NASAL|THOR\w*|ABD\w*|CHEST|EFFORT|SNORE|[CE]PAP|S[PA]O2|OSAT|(?:ET)?CO2"
        r"|PPG|PLETH?|PULSE|HR|IBI|BURSTS?|SUPPR|PHOTIC|TEMP|POS(?:ITION)?|ACC\w*|GYRO\w*|MIC"
        r"|LIGHT|SOUND|GSR|EDA|BATT\w*|COUNTER|PACKET\w*|TIMESTAMPS?"
    ),
}
# Electrode grids and device numbering ("A1 ... A16, B1 ...") reuse names such as C3 for other
# places. There is no B, D, G or H electrode in the 10-05 system, and the ears end at A2.
_GRID_SIGN = re.compile(r"[BDGH]\d{1,3}|A(?:[3-9]|\d{2,3})")
_GRID_NAME = re.compile(r"[A-Z]\d{1,3}")


def normalise_name(name: str) -> str:
    """Spell a channel name as the extended 10-05 system does.

    The rules, in order: blanks and dots at the ends go ("Fc5." of eegmmidb); a prefix "EEG" or
    "POL" goes unless only a number would remain ("EEG 001" stays); the running number that readers
    append to repeated electrodes goes ("T8-P8-1"); a reference behind the electrode goes (REF, LE,
    AR, AVG, A1, A2, M1, M2, ...: "F3-A2" is F3); two electrodes are a bipolar channel and stay one
    ("Fp1-F7", also "A2-A1"); electrodes get their standard case, and T3, T4, T5, T6 their modern
    names T7, T8, P7, P8. Any other name is kept as it is.

    Parameters
    ----------
    name : str
        Channel name as a file or a user gives it.

    Returns
    -------
    str
        The normalised name; normalising it again changes nothing. An empty name becomes "unnamed".

    Examples
    --------
    >>> [normalise_name(name) for name in ("EEG FP1-REF", "Fc5.", "T3-T5", "EEG F3-A2", "POL X1")]
    ['Fp1', 'FC5', 'T7-P7', 'F3', 'X1']
    """
    new = _normalise_once(name)
    while new != name:  # each round removes something or only changes case: this ends
        name, new = new, _normalise_once(new)
    return name


def channel_kind(name: str) -> ChannelKind:
    """Tell from a channel's name what it records.

    Parameters
    ----------
    name : str
        Name as the file gives it: its prefix matters ("POL X1" is a polygraphy input).

    Returns
    -------
    {"eeg", "eog", "ecg", "emg", "misc"}
        "misc" is anything else that is known not to be EEG: triggers, respiration, saturation,
        photic stimulation, differences of the two ear electrodes, calculated channels ("$A1").
        A name that says nothing is "eeg": its source declared it so.
    """
    electrodes = _electrodes(normalise_name(name))
    if electrodes:
        return "misc" if len(electrodes) == 2 and _EARS.issuperset(electrodes) else "eeg"
    words = [word for word in re.split(r"[\W_]+", name.upper()) if word]
    # In sleep montages E1 and E2 against a mastoid are the eyes; alone they may be EGI's E1, E2.
    if len(words) >= 2 and words[-2] in ("E1", "E2") and words[-1] in _EARS:
        return "eog"
    for kind, pattern in _KIND_WORDS.items():
        if any(pattern.fullmatch(w) or pattern.fullmatch(w.rstrip("0123456789")) for w in words):
            return kind
    if words in (["E"], ["G"]) or words[:1] == ["POL"] or "$" in name:
        return "misc"  # ground electrodes, polygraphy inputs, calculated channels
    if re.fullmatch(r"\W*|\W+\d*", name):
        return "misc"  # "-", "--0": unused inputs
    return "eeg"


def positions(ch_names: Sequence[str]) -> np.ndarray:
    """Electrode positions on a template head.

    Parameters
    ----------
    ch_names : sequence of str, length n_chans
        Channel names, normalised or not.

    Returns
    -------
    ndarray, shape (n_chans, 3)
        x (right), y (front), z (up) in metres, MNE's head frame, template "colin27_1005" (the
        standard 10-05 positions). A bipolar channel sits midway between its electrodes; a channel
        that the template does not know is NaN. If the names are those of a grid or a device's
        numbering (A1 to A16, B1, ...), names such as C3 say nothing and are NaN too.
    """
    template = _template()
    found = np.full((len(ch_names), 3), np.nan)
    for row, electrodes in enumerate(_located(ch_names)):
        if electrodes:
            found[row] = np.mean([template[electrode] for electrode in electrodes], axis=0)
    return found


def add_digitised(found: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Positions by name; where that is unknown, as digitised with the recording.

    Parameters
    ----------
    found, own : ndarray, shape (n_chans, 3)
        By name, and as digitised, metres in MNE's head frame; NaN where unknown.

    Returns
    -------
    positions : ndarray, shape (n_chans, 3)
    """
    size = np.linalg.norm(own, axis=1)
    # 4 to 25 cm from the centre: positions in other units or on a unit sphere are of no use
    taken = np.isnan(found).any(axis=1) & (size > 0.04) & (size < 0.25)
    return np.where(taken[:, None], own, found)


def bipolar_pairs(ch_names: Sequence[str], *, midline: bool = True) -> list[tuple[str, str]]:
    """Pairs of the longitudinal bipolar montage ("double banana") that a recording can form.

    Parameters
    ----------
    ch_names : sequence of str
        Channel names, normalised or not. Channels that are bipolar already form no pairs.
    midline : bool
        Whether Fz-Cz and Cz-Pz belong to it: 18 pairs in all. Without them they are the 16 pairs in
        use for TUAB.

    Returns
    -------
    list of (str, str)
        Normalised names (anode, cathode), whose difference is the channel "anode-cathode"; in the
        order of the montage, only pairs of which both electrodes are present.
    """
    present = {electrodes[0] for electrodes in _located(ch_names) if len(electrodes) == 1}
    montage = LONGITUDINAL_BIPOLAR if midline else LONGITUDINAL_BIPOLAR[:16]
    return [pair for pair in montage if present.issuperset(pair)]


class Selection(NamedTuple):
    """Which channels of a source are used, under which names."""

    picks: list[int]
    ch_names: list[str]
    """Normalised names of the picks."""
    renamed: dict[str, str]
    """Original -> normalised, where they differ."""
    dropped: dict[str, str]
    """Original name -> reason."""


def select_channels(
    source: str, originals: Sequence[str], types: Sequence[str], wanted: Sequence[str] | None
) -> Selection:
    """Choose the channels the user wants, else all that are EEG by type and by name.

    Parameters
    ----------
    source : str
        Name of the recording, for messages.
    originals, types : sequence of str
        Names and MNE channel types ("eeg", "stim", ...) as the source has them.
    wanted : sequence of str or None
        Names by which the user asks for channels, original or normalised: these are used in this
        order, whatever their type.

    Raises
    ------
    ChannelError
        If a wanted channel is absent or named twice. Repeated electrodes in the source are no
        error: the first is used, the others are dropped.
    """
    normalised = [normalise_name(original) for original in originals]
    dropped: dict[str, str] = {}
    picks: list[int] = []
    if wanted is None:
        taken: dict[str, str] = {}
        for i, (original, new, kind) in enumerate(zip(originals, normalised, types, strict=True)):
            kind_by_name = channel_kind(original)
            if kind != "eeg":
                dropped[original] = f"{kind} by its type"
            elif kind_by_name != "eeg":
                dropped[original] = f"{kind_by_name} by its name"
            elif new in taken:
                dropped[original] = f"same electrode as {taken[new]}"
            else:
                taken[new] = original
                picks.append(i)
    else:
        for name in wanted:
            among, key = (
                (originals, name) if name in originals else (normalised, normalise_name(name))
            )
            if key not in among:
                available = ", ".join(originals[:40]) + (", ..." if len(originals) > 40 else "")
                raise ChannelError(f"{source} has no channel {name!r}: choose among {available}.")
            picks.append(among.index(key))
        check_unique([normalised[i] for i in picks])
        dropped = {o: "not chosen" for i, o in enumerate(originals) if i not in set(picks)}
    renamed = {originals[i]: normalised[i] for i in picks if originals[i] != normalised[i]}
    return Selection(picks, [normalised[i] for i in picks], renamed, dropped)


def check_unique(ch_names: Sequence[str]) -> None:
    """Raise ChannelError if a name given by the user occurs twice."""
    twice = sorted({name for name in ch_names if ch_names.count(name) > 1})
    if twice:
        raise ChannelError(
            f"ch_names has {', '.join(twice)} more than once: expected unique electrodes, "
            "also after renaming (T3 is T7); drop or rename the others."
        )


def no_eeg_error(name: str, dropped: dict[str, str]) -> RecordingError:
    """The error for a recording of which nothing is left."""
    found = ", ".join(f"{channel} ({reason})" for channel, reason in list(dropped.items())[:6])
    more = ", ..." if len(dropped) > 6 else ""
    return RecordingError(
        f"{name} has no EEG channel, only {found or 'nothing'}{more}: "
        "name the channels to use by ch_names=[...] if some of them are EEG."
    )


def _normalise_once(name: str) -> str:
    text = " ".join(name.split()).strip(" .")
    if not text:
        return "unnamed"
    if prefix := _PREFIX.match(text):
        rest = text[prefix.end() :]
        if rest.strip(" .") and not rest.isdigit():
            return rest
    parts = _SEPARATOR.split(text)
    first, last = parts[0], parts[-1]
    if not first:
        return text
    if len(parts) == 1:
        return _electrode(text) or text
    if last.isdigit() and _electrode(parts[-2]):
        return text[: text.rfind(last)].rstrip(" -:/\u2013\u2212")
    if len(parts) == 2:
        anode, cathode = _electrode(first), _electrode(last)
        if anode and cathode and (cathode not in _EARS or anode in _EARS):
            return f"{anode}-{cathode}"
        if cathode in _EARS:
            return anode or first
    if _REFERENCE.fullmatch(last):
        return text[: text.rfind(last)].rstrip(" -:/\u2013\u2212")
    return text


def _electrode(name: str) -> str | None:
    """Canonical name of one electrode, or None if the template does not know it."""
    return _canonical_names().get(name.strip(" .").upper())


def _electrodes(normalised: str) -> tuple[str, ...]:
    """One electrode, two for a bipolar channel, none if any is unknown."""
    found = [_electrode(part) for part in normalised.split("-")]
    return tuple(e for e in found if e) if len(found) <= 2 and all(found) else ()


def _located(ch_names: Iterable[str]) -> list[tuple[str, ...]]:
    """Electrodes of each channel, with those of a grid's numbering left out."""
    names = [normalise_name(name) for name in ch_names]
    is_grid = any(_GRID_SIGN.fullmatch(name) for name in names)
    return [() if is_grid and _GRID_NAME.fullmatch(name) else _electrodes(name) for name in names]


@functools.cache
def _template() -> "Mapping[str, np.ndarray]":
    """Electrode name -> position (3,) in metres, head frame."""
    import mne

    montage = mne.channels.make_standard_montage("colin27_1005")
    info = mne.create_info(montage.ch_names, sfreq=100.0, ch_types="eeg", verbose="ERROR")
    # Attaching it moves the template from MRI coordinates into the head frame (nasion and ears).
    info.set_montage(montage, verbose="ERROR")
    return MappingProxyType({ch["ch_name"]: ch["loc"][:3].copy() for ch in info["chs"]})


@functools.cache
def _canonical_names() -> "Mapping[str, str]":
    """Upper-case name -> canonical name of every electrode of the template."""
    return MappingProxyType({name.upper(): _OLD_NAMES.get(name, name) for name in _template()})
