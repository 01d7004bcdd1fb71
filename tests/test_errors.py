import ast

from hypothesis import given
from hypothesis import strategies as st

from eegfoundation.errors import EEGFoundationError, shortened, some_of


@given(st.sets(st.text(max_size=5), max_size=20), st.integers(1, 8))
def test_all_are_named_or_counted(names, most):
    said = some_of(names, most)
    listed, _, rest = said.rpartition(" and ") if len(names) > most else (said, "", "0 more")
    assert ast.literal_eval(listed) == sorted(names)[:most]
    assert int(rest.removesuffix(" more")) == max(0, len(names) - most)


def test_a_sentence_is_one_line():
    assert str(EEGFoundationError("label 'a\r\n b' is none;\nrename it.")) == (
        "label 'a b' is none; rename it."
    )


def test_a_sentence_that_fits_stays_as_it_is():
    sentence = "num_layers=3; a whole number from 4 to 1,000 is needed."
    assert shortened(sentence) == str(EEGFoundationError(sentence)) == sentence


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=5000))
def test_of_a_long_sentence_the_ends_are_shown(found):
    said = str(EEGFoundationError(f"depth={found!r}; a whole number is needed."))
    assert len(said) <= 805
    assert said.startswith("depth=")
    assert said.endswith("; a whole number is needed.")
