"""What a design may say: it is read from a project's manifest, which anyone may have written."""

from typing import Any

import pytest

from synq.errors import SynqError
from synq.rtl.back_end import read_design
from synq.rtl.design import RtlArray, RtlDesign

ARRAY: dict[str, Any] = {"bucket_rows": 2, "decoded_rows": 1}


def described(array: dict[str, Any], **design: Any) -> dict[str, Any]:
    return {"designs": {"rtl": {"arrays": [{**ARRAY, **array}], **design}}}


def test_a_design_is_read_as_it_was_written() -> None:
    array = {"event_driven": True, "lanes": 3, "buckets": 9, "estimate": None}
    del array["estimate"]
    design = read_design(described(array, beat_bits=128))
    assert design == RtlDesign((RtlArray(2, 1, True, 3, 9),), 128)


NUMBERS = ("bucket_rows", "decoded_rows", "lanes", "buckets", "logic_levels")
NO_NUMBER = (True, -1, 10**12, 1.0, "1", [1], {}, float("nan"))


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", NO_NUMBER, ids=repr)
def test_a_number_is_a_number_in_its_range(name: str, value: object) -> None:
    with pytest.raises(SynqError, match=name):
        read_design(described({name: value}))
    with pytest.raises(ValueError, match=name):
        RtlArray(**{**ARRAY, name: value})


@pytest.mark.parametrize("name", ["beat_bits", "result_bits"])
@pytest.mark.parametrize("value", [*NO_NUMBER, None, 0, 63, 65, 100], ids=repr)
def test_a_width_is_one(name: str, value: object) -> None:
    with pytest.raises(SynqError, match=name):
        read_design(described({}, **{name: value}))


@pytest.mark.parametrize("name", ["event_driven", "unrolled"])
@pytest.mark.parametrize("value", [0, 1, None, "true", [True]], ids=repr)
def test_a_choice_is_true_or_false(name: str, value: object) -> None:
    with pytest.raises(SynqError, match=name):
        read_design(described({name: value}))


@pytest.mark.parametrize("arrays", [None, [], {}, [1], "ab", [[]], [{}], [ARRAY, None]], ids=repr)
def test_arrays_are_arrays(arrays: object) -> None:
    with pytest.raises(SynqError, match="describes no Verilog design"):
        read_design({"designs": {"rtl": {"arrays": arrays}}})


def test_fields_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        RtlArray(0, 0)
    for rows in ((1, 0), (0, 1)):
        with pytest.raises(ValueError, match="has no rows"):
            RtlArray(*rows, unrolled=True)
    with pytest.raises(ValueError, match="has no rows"):
        RtlArray(0, 0, event_driven=True, unrolled=True)
    with pytest.raises(ValueError, match="at least one array"):
        RtlDesign(())
