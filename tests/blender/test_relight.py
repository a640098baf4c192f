"""Relighting by the add-on's operators, as a script calls them."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("version", ["4.5", "4.2", "5.0", "5.2"])
def test_light_lamps_and_view(blender, avatar_folders, tmp_path, version):
    facts = blender("relight_jobs.use_all", version=version, avatar=avatar_folders["right"][0], work=tmp_path)
    assert facts["same_names"]
    assert "Select a PALM hand" in facts["refused_without_hand"]
    assert facts["photo"] == facts["file"] == facts["matched"] == ["FINISHED"]
    assert facts["photo_light"] == pytest.approx([0.5, 2.0])
    # the second city is the first one
    assert facts["worlds"] == ["city", "right light", "sunset"]
    assert facts["turned"] == pytest.approx([-1.0, 0.25, -1.0, 0.25])
    assert "broken.hdr cannot be decoded" in facts["broken"] and facts["kept"] == "sky"
    assert facts["asset"] and "asset browser" in facts["asset_elsewhere"]
    assert facts["lamps"] == ["fill", "key", "rim"] and facts["studios"] == 1
    assert facts["off_axis_deg"] < 0.1
    assert facts["distances_in_radii"] == pytest.approx([6.0] * 3, rel=1e-4)
    assert facts["key_irradiance"] == pytest.approx(5.0, rel=1e-4)
    assert facts["studio_gone"] and "no studio" in facts["refused_without_studio"]
    assert facts["size"] == [320, 400] and facts["cameras"] == 1 and facts["behind"] == ["photo.png"]
    assert facts["off_px"] < 0.01
    assert facts["restored"] == [640, 360, True] and "not seen as a photo" in facts["refused_twice"]
    assert facts["from_library"] == "sky"
    assert facts["operators"] > 30 and facts["tooltips"] == [] and facts["left_over"] == []
