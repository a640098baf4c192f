"""A few of many, evenly."""

import pytest

from engine.spacing import evenly


def test_each_chosen_item_is_the_middle_of_its_share():
    items = tuple(range(20))
    assert evenly(items, 5) == (2, 6, 10, 14, 18)
    assert evenly(items, 1) == (10,)
    assert evenly("abcdef", 3) == ("b", "d", "f")


def test_the_ends_are_chosen_where_they_are_wanted():
    assert evenly(range(11), 3, ends=True) == (0, 5, 10)
    assert evenly(range(11), 1, ends=True) == (0,)
    assert evenly([3, 4, 5, 9, 11], 3, ends=True) == (3, 5, 11)


@pytest.mark.parametrize("ends", [False, True])
def test_no_item_is_chosen_twice_and_all_where_there_are_no_more(ends):
    for count in range(1, 58):
        assert len(set(evenly(range(58), count, ends))) == count
    assert evenly(range(3), 5, ends) == evenly(range(3), None, ends) == (0, 1, 2)
    assert evenly((), 4, ends) == evenly(range(3), 0, ends) == ()
