"""What closes a data set: the manifest, the digest over all labels, COCO's file."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from package_modules import module
from rasterised import frame_pixels
from small_sets import COHORT, write_set

from engine.hand.joints import KEYPOINT_NAMES

controller, layout, manifest, mask_codes, plan, recipes, resume, shots = (
    module(f"palm_blender.synthesis.{name}")
    for name in ("controller", "layout", "manifest", "mask_codes", "plan", "recipe", "resume", "shots")
)
errors = module("engine.errors")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written") / "cohort"
    write_set(folder, COHORT)
    return folder


@pytest.fixture
def cohort(written, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written, tmp_path / "cohort"))


def test_the_manifest_names_every_file_seed_and_light(cohort):
    digest = manifest.write_manifest(cohort, COHORT, {"devices": ["CPU"], "versions": {"numpy": np.__version__}})
    values = json.loads((cohort / "manifest.json").read_text(encoding="utf-8"))
    assert values["labels_sha256"] == digest == manifest.labels_digest(cohort)
    assert values["totals"] == {"units": 2, "frames": 4, "pictures": 8, "files": 64}
    assert recipes.Recipe(**{**values["recipe"], "environments": tuple(values["recipe"]["environments"])}) == COHORT
    assert values["run"]["devices"] == ["CPU"]
    listed = {f"{entry['folder']}/{path}" for entry in values["pictures"] for path in entry["files"]}
    there = {str(p.relative_to(cohort)) for p in cohort.rglob("*") if p.suffix in (".png", ".exr")}
    assert listed == there
    assert len({entry["noise_seed"] for entry in values["pictures"]}) == 8


def test_the_labels_digest_sees_labels_and_not_pictures(cohort):
    digest = manifest.labels_digest(cohort)
    unit = plan.build_unit(COHORT, 0)
    shot = unit.shots[0]
    pixels = frame_pixels(shots, unit, shot)
    noisy = pixels._replace(image=pixels.image + np.uint8(1), radiance=pixels.radiance + 0.01)
    layout.write_shot(cohort, unit, shot, noisy, COHORT)
    assert resume.missing_shots(cohort, COHORT, 0) == () and manifest.labels_digest(cohort) == digest
    layout.write_shot(cohort, unit, shot, pixels._replace(roughness=pixels.roughness * 0.9), COHORT)
    assert manifest.labels_digest(cohort) != digest


def test_an_unfinished_set_gets_no_manifest(cohort):
    (cohort / "folders/0001/labels/MCU_01/000001.json").unlink()
    with pytest.raises(errors.DatasetError, match=r"0001/labels/MCU_01/000001\.json does not exist.*--resume"):
        manifest.write_manifest(cohort, COHORT, {})
    assert not (cohort / "manifest.json").exists() and not (cohort / "coco_keypoints.json").exists()


def test_a_part_writes_no_manifest_while_another_one_lacks_anything(cohort):
    """Pictures, or files beside them, which only that part's own run mends."""
    poses = cohort / "folders/0001/poses.npy"
    kept = poses.read_bytes()
    first = controller.Run(cohort, make_slots=None, resume=True, shard=(1, 2))
    said: list[str] = []
    for content, wanted in ((kept[:-40], "other parts lack files beside pictures"), (kept, str(cohort))):
        poses.write_bytes(content)
        assert not (cohort / "manifest.json").exists()
        controller.render_set(COHORT, first, io.StringIO(), lambda label, value: said.append(value))
        assert wanted in said[-1]
    assert (cohort / "manifest.json").is_file()


def test_the_coco_file_is_what_coco_readers_expect(cohort):
    manifest.write_manifest(cohort, COHORT, {})
    values = json.loads((cohort / "coco_keypoints.json").read_text(encoding="utf-8"))
    (category,) = values["categories"]
    assert category["keypoints"] == list(KEYPOINT_NAMES) and len(category["skeleton"]) == 20
    assert all(1 <= end <= 21 for bone in category["skeleton"] for end in bone)
    images = {image["id"]: image for image in values["images"]}
    assert len(images) == len(values["annotations"]) == 8
    for annotation in values["annotations"]:
        image = images[annotation["image_id"]]
        stored = layout.read_picture(cohort / image["file_name"].replace("/images/", "/masks/")) == 255
        np.testing.assert_array_equal(mask_codes.mask_of(annotation["segmentation"]), stored)
        assert annotation["area"] == stored.sum() and (image["height"], image["width"]) == stored.shape
        x, y, width, height = annotation["bbox"]
        assert stored[y : y + height, x : x + width].sum() == stored.sum()
        assert (
            stored[y].any() and stored[y + height - 1].any() and stored[:, x].any() and stored[:, x + width - 1].any()
        )
        triples = np.array(annotation["keypoints"]).reshape(21, 3)
        assert annotation["num_keypoints"] == (triples[:, 2] > 0).sum() == 21
        # all but fingertips, which lie on the outline, are inside the hand
        column, row = triples[:16, :2].astype(int).T
        assert stored[row, column].mean() > 0.9
