import ast

from hypothesis import given
from hypothesis import strategies as st

from eegfoundation.errors import some_of


@given(st.sets(st.text(max_size=5), max_size=20), st.integers(1, 8))
def test_all_are_named_or_counted(names, most):
    said = some_of(names, most)
    listed, _, rest = said.rpartition(" and ") if len(names) > most else (said, "", "0 more")
    assert ast.literal_eval(listed) == sorted(names)[:most]
    assert int(rest.removesuffix(" more")) == max(0, len(names) - most)
