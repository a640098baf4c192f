"""Detail from several photos: whose say counts for a texel, and what comes of photos that agree, complement or contradict."""

from __future__ import annotations

import pytest
import torch
from painted_hand import in_photo, painted_hand
from torch import Tensor

from engine.methods.detail import Detail, DetailConfig, HandInPhoto, fit_detail, shares
from engine.methods.harp import repeatable

CONFIG = DetailConfig(steps=25)


@pytest.fixture(scope="module", autouse=True)
def same_sums_each_time():
    """As `personalize` runs: threads would add scattered values as they come, and single bits would differ."""
    with repeatable(0):
        yield


def log_albedo(detail: Detail) -> Tensor:
    return detail.maps.albedo.reshape(-1, 3)[painted_hand().texels.texels].log()


def seen(detail: Detail) -> Tensor:
    return detail.seen.reshape(-1)[painted_hand().texels.texels]


def only(hand: HandInPhoto, columns: slice) -> HandInPhoto:
    """The photo with a mask that ends at some columns."""
    mask = torch.zeros_like(hand.mask)
    mask[:, columns] = hand.mask[:, columns]
    return hand._replace(mask=mask)


@pytest.fixture(scope="module")
def alone() -> Detail:
    return fit_detail([in_photo("mark")], CONFIG)


def test_say_is_shared_by_what_a_view_is_worth():
    trust = torch.tensor([[1.0, 0.5, 0.0, 1.0, 0.0], [1.0, 0.5, 0.7, 0.2, 0.0]])
    facing = torch.tensor([[1.0, 1.0, 0.9, 1.0, 0.5], [1.0, 0.5, 0.9, 1.0, -0.5]])
    say = shares(trust, facing)
    torch.testing.assert_close(say.sum(0), torch.tensor([1.0, 0.5, 0.7, 1.0, 0.0]))
    torch.testing.assert_close(say[:, 0], torch.tensor([0.5, 0.5]))
    # half the cosine has a sixteenth of the say
    torch.testing.assert_close(say[0, 1] / say[1, 1], torch.tensor(16.0))
    assert say[:, 2].tolist() == pytest.approx([0.0, 0.7])
    torch.testing.assert_close(shares(trust[:1], facing[:1]), trust[:1])


def test_the_same_photo_twice_says_what_it_says_once(alone):
    twice = fit_detail([in_photo("mark"), in_photo("mark")], CONFIG)
    assert torch.equal(twice.seen, alone.seen)
    torch.testing.assert_close(twice.maps.albedo, alone.maps.albedo, atol=2e-3, rtol=0)
    torch.testing.assert_close(twice.maps.normal, alone.maps.normal, atol=1e-2, rtol=0)


def test_each_photo_tells_of_what_it_shows(alone):
    hand = painted_hand()
    marked, plain = in_photo("mark"), in_photo("plain")
    homogeneous = (hand.vertices @ hand.intrinsics.T).mean(0)
    middle = int(homogeneous[0] / homogeneous[2])
    place = hand.texels.gather(hand.vertices, hand.topology.faces)[hand.marked].mean(0) @ hand.intrinsics.T
    left = float(place[0] / place[2]) < middle
    cut = slice(middle + 40, None) if left else slice(0, middle - 40)
    # the plain photo shows none of the mark, and some of the rest
    side = fit_detail([only(plain, cut)], CONFIG)
    both = fit_detail([only(plain, cut), marked], CONFIG)
    assert not bool((seen(side) > 0)[hand.marked].any()) and bool((seen(side) > 0.5).any())
    assert torch.equal(both.seen, torch.maximum(side.seen, alone.seen))
    under = hand.marked & (seen(alone) > 0.9)
    torch.testing.assert_close(log_albedo(both)[under], log_albedo(alone)[under], atol=0.05, rtol=0)


def test_photos_that_contradict_meet_half_way(alone):
    hand = painted_hand()
    before = hand.plain.albedo.reshape(-1, 3)[hand.texels.texels].log()
    under = hand.marked & (seen(alone) > 0.9)
    both = fit_detail([in_photo("plain"), in_photo("mark")], CONFIG)
    full, half = (float((log_albedo(one) - before)[under].mean()) for one in (alone, both))
    assert full < -0.1
    assert 0.8 * full < half < 0.05


def test_a_photo_that_shows_nothing_changes_nothing(alone):
    blind = in_photo("plain")
    blind = blind._replace(mask=torch.zeros_like(blind.mask))
    with_blind = fit_detail([in_photo("mark"), blind], CONFIG)
    assert torch.equal(with_blind.maps.albedo, alone.maps.albedo)
    assert torch.equal(with_blind.maps.normal, alone.maps.normal)
