"""Amounts as functions of joint angles: their values by hand at straight, half bent and bent joints."""

from __future__ import annotations

import numpy as np
import pytest
from package_modules import module

bends = module("palm_blender.synthesis.bending")


def at(degrees=0.0, joints=slice(None), column=bends.FLEX):
    angles = np.zeros((15, 3))
    angles[joints, column] = np.deg2rad(degrees)
    return bends.bending(angles)


def test_ramp_is_the_cubic_between_its_ends():
    angles = np.deg2rad([-5.0, 10.0, 20.0, 25.0, 40.0, 90.0])
    # 3t² - 2t³ at t = 1/3 and 1/2
    np.testing.assert_allclose(bends.ramp(angles, 10, 40), [0, 0, 3 / 9 - 2 / 27, 0.5, 1, 1], atol=1e-12)


def test_folds_are_there_in_a_straight_finger_and_gone_in_a_bent_one():
    np.testing.assert_allclose(at(-8).fold, 1)
    np.testing.assert_allclose(at(25).fold, 0.5)
    np.testing.assert_allclose(at(58).fold, 0, atol=1e-12)


def test_creases_deepen_threefold():
    np.testing.assert_allclose(at(0).crease, 1 / 3)
    np.testing.assert_allclose(at(45).crease, 2 / 3)
    np.testing.assert_allclose(at(85).crease, 1)


def test_a_flat_hand_swells_nowhere():
    flat = at(0)
    for name in ("knuckle", "blanch", "pad", "cushion"):
        np.testing.assert_array_equal(getattr(flat, name), 0)


def test_a_joint_moves_its_own_amounts_alone():
    bent, flat = at(95, joints=4), at(0)
    for name in ("fold", "crease", "knuckle", "blanch"):
        changed = np.flatnonzero(getattr(bent, name) != getattr(flat, name))
        np.testing.assert_array_equal(changed, [4])
    # the middle finger's second joint presses on both its phalanges
    share = bends.ramp(np.deg2rad(95.0), 15, 100)
    np.testing.assert_allclose(bent.pad[[1, 6]], 0.6 * share)
    np.testing.assert_array_equal(np.delete(bent.pad, [1, 6]), 0)
    np.testing.assert_array_equal(bent.cushion, 0)


def test_swellings_of_the_palm_are_those_of_the_fingers_that_press_on_them():
    # MANO counts the little finger before the ring finger; the palm has them from the thumb outward
    for root, row in ((0, 0), (3, 1), (9, 2), (6, 3)):
        bent = at(85, joints=root)
        np.testing.assert_allclose(bent.cushion, np.eye(4)[row])
        assert bent.mound[1] == (row == 3)
    np.testing.assert_allclose(at(85, joints=[0, 3, 6, 9]).line[0], 1)


def test_the_thumbs_ball_follows_its_first_two_joints():
    rest = bends.ramp(0.0, -5, 45)
    for joint, amount in ((12, 0.55), (13, 0.55 * rest + 0.45), (14, 0.55 * rest)):
        bent = at(50, joints=joint)
        assert bent.mound[0] == pytest.approx(amount)
        assert bent.line[1] == pytest.approx(1 / 3 + 2 / 3 * amount)


def test_webs_stretch_between_fingers_that_part():
    spread = np.zeros((15, 3))
    index, middle = bends.FINGER_ROOTS[:2]
    spread[index, bends.ABDUCT] = np.deg2rad(17)
    web = bends.bending(spread).web
    assert web[1] == pytest.approx(0.5)  # half-way from 4 to 30 degrees
    np.testing.assert_array_equal(web[2:], 0)
    spread[middle, bends.ABDUCT] = np.deg2rad(17)
    assert bends.bending(spread).web[1] == 0


def test_tendons_stand_out_of_lifted_fingers_alone():
    np.testing.assert_allclose(at(-14).tendon, 1)
    np.testing.assert_allclose(at(-4).tendon, 0.5)
    np.testing.assert_array_equal(at(6).tendon, 0)


def test_the_global_rotation_has_no_part_in_it():
    """Fifteen joints are all that is asked for: the wrist is not among them."""
    assert all(len(rows) in (2, 4, 10, 15) for rows in at(10))
    with pytest.raises((ValueError, IndexError)):
        bends.bending(np.zeros((4, 3)))
