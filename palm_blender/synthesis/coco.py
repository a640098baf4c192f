"""The set as a COCO keypoint file, which most training code for hands reads. NumPy only.

Beside COCO's own fields, each annotation has keypoints_3d and mano, each image its camera and light.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from ...engine.hand.joints import KEYPOINT_NAMES, KEYPOINT_PARENTS
from .layout import picture_path
from .recipe import Recipe
from .visibility import OUTSIDE

CATEGORY = 1


def coco_annotations(records: Sequence[dict[str, Any]], recipe: Recipe) -> dict[str, Any]:
    """The content of coco_keypoints.json: one image and one annotation a picture, numbered from 1 in the set's order.

    Pixel coordinates count from the picture's upper left corner, so the first pixel's centre is (0.5, 0.5).
    """
    return {
        "info": {
            "description": f"PALM Hands, {recipe.kind}, seed {recipe.seed}",
            "keypoints_3d": "metres, world; camera.Rt leads to the camera's OpenCV axes",
            "mano": "absolute axis-angle poses in radians: flat hand = 0",
        },
        "licenses": [],
        "categories": [_category()],
        "images": [_image(number, record) for number, record in enumerate(records, start=1)],
        "annotations": [_annotation(number, record) for number, record in enumerate(records, start=1)],
    }


def _category() -> dict[str, Any]:
    bones = [[parent + 1, joint + 1] for joint, parent in enumerate(KEYPOINT_PARENTS) if parent >= 0]
    return {
        "id": CATEGORY,
        "name": "hand",
        "supercategory": "person",
        "keypoints": list(KEYPOINT_NAMES),
        # COCO counts keypoints from 1 here
        "skeleton": bones,
    }


def _image(number: int, record: dict[str, Any]) -> dict[str, Any]:
    camera = record["camera"]
    path = PurePosixPath(record["folder"]) / picture_path("images", camera["name"], record["stem"])
    return {
        "id": number,
        "file_name": str(path),
        "width": camera["width"],
        "height": camera["height"],
        "camera": camera,
        "light": record["light"],
        "unit": record["unit"],
        "frame": record["frame"],
    }


def _annotation(number: int, record: dict[str, Any]) -> dict[str, Any]:
    triples: list[float] = []
    for (x, y), seen in zip(record["keypoints_2d"], record["visibility"], strict=True):
        triples += [0, 0, 0] if seen == OUTSIDE else [x, y, seen]
    return {
        "id": number,
        "image_id": number,
        "category_id": CATEGORY,
        "iscrowd": 0,
        "bbox": record["bbox"],
        "area": record["area"],
        "segmentation": record["segmentation"],
        "keypoints": triples,
        "num_keypoints": sum(seen != OUTSIDE for seen in record["visibility"]),
        "keypoints_3d": record["keypoints_3d"],
        "mano": record["mano"],
    }
