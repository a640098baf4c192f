"""What is compared, and how: one frozen description a protocol, so that two numbers of one name are of one kind.

A score's name says how it was computed (`engine.evaluation.measures` has them all); a protocol says on which pictures, in
which light and over which background, and which scores its tables show. `published` names the scores that repeat what the
paper's released code computes where that differs from what the paper says; they stand beside the right ones, never instead.
"""

from __future__ import annotations

from dataclasses import dataclass

BLACK, WHITE = 0.0, 1.0


@dataclass(frozen=True)
class Protocol:
    """One way to compare avatars with pictures. The texts go into the report as they are."""

    name: str
    about: str
    source: str
    """Where the paper says so."""
    training: str
    """What methods may see."""
    judged: str
    """Which pictures count."""
    light: str
    """Whose light the avatars are shown in."""
    pose: str
    """Whose pose, and whether it is fitted at test time."""
    mask: str
    """Which pixels masked scores count."""
    crop: str
    """Which part of the picture SSIM, LPIPS and FLIP see."""
    background: float
    """What lies outside the hand, in both pictures: 0 black, 1 white (sRGB-encoded)."""
    in_box: bool
    """Whether SSIM, LPIPS and FLIP see the true mask's bounding box, or else the whole picture."""
    scores: tuple[str, ...]
    """Columns of the table, over the judged pictures."""
    published: tuple[str, ...] = ()
    """As the paper's released code computes them."""
    numbers: tuple[tuple[str, tuple[tuple[str, float], ...]], ...] = ()
    """What the paper's table says of its methods, to stand beside ours; never of the same pictures."""
    compared: tuple[tuple[str, str], ...] = (("unseen", ""),)
    """Which of our pictures stand beside those numbers ("unseen", "seen" or "all"), and what that is called."""
    leading: int = 1
    """Training pictures that a one-photo method gets."""
    held_out: float = 0.0
    """Share of a sequence's moments, its last ones, that no method sees."""
    longest_px: int = 256
    """Longer side of compared pictures where nothing else is asked for; smaller ones stay as they are."""
    lit_frames: bool = False
    """Whether the set says each picture's true light."""


HARP_RELIT = Protocol(
    name="harp-relit",
    about="One photo in light A makes an avatar, which is judged in other poses in light B.",
    source="PALM, section 5.1 and table 3, on a set rendered by `build.py harp-relit`",
    training="the first picture, in light A, with the set's own pose, camera and mask (or the detector's: --capture)",
    judged="every other picture, in other poses in light B",
    light="the true environment of each picture",
    pose="true; the wrist lies where the true one is; nothing is fitted at test time",
    mask="PSNR over the true mask; albedo and normals over pixels that show both hands and nothing else",
    crop="the true mask's bounding box",
    background=BLACK,
    in_box=True,
    scores=("psnr_db", "ssim", "lpips_vgg", "flip", "iou", "ms_ssim", "albedo_psnr_db", "albedo_scaled_psnr_db",
            "delta_e", "tone_delta_e", "normal_deg", "surface_mm"),
    published=("ssim_range2", "lpips_vgg_twice"),
    numbers=(("PALM-Net", (("psnr_db", 13.39), ("ssim_range2", 0.78), ("lpips_vgg_twice", 0.35))),
             ("HARP", (("psnr_db", 11.93), ("ssim_range2", 0.69), ("lpips_vgg_twice", 0.37)))),
    lit_frames=True,
)  # fmt: skip

PALM_INTERHAND = Protocol(
    name="palm-interhand",
    about="The first picture of a sequence makes an avatar, which is judged in the sequence's other poses in the same light.",
    source="PALM, section 5.1, table 2 and supplement 4 to 7: 12 sequences of InterHand2.6M's test split, 20 pictures each",
    training="the first picture, with the set's own pose, camera and mask (or the detector's: --capture)",
    judged="the other pictures; the paper counts the first one too, which `all pictures` does here",
    light="the avatar's own estimate; white where a method estimates none; with --test-light fitted, fitted to each picture",
    pose="true, by the avatar's own joints; the wrist lies where the true one is; nothing is fitted at test time",
    mask="PSNR over the true mask",
    crop="the true mask's bounding box",
    background=WHITE,
    in_box=True,
    scores=("psnr_db", "ssim", "lpips_vgg", "flip", "iou", "l1_mask"),
    published=("ssim_range2", "lpips_vgg_twice"),
    numbers=(("PALM-Net", (("psnr_db", 12.01), ("ssim_range2", 0.84), ("lpips_vgg_twice", 0.15))),
             ("HARP", (("psnr_db", 9.89), ("ssim_range2", 0.78), ("lpips_vgg_twice", 0.16))),
             ("UHM", (("psnr_db", 10.08), ("ssim_range2", 0.76), ("lpips_vgg_twice", 0.19))),
             ("Handy", (("psnr_db", 7.50), ("ssim_range2", 0.69), ("lpips_vgg_twice", 0.24)))),
    compared=(("all", "all pictures"),),
)  # fmt: skip

HARP_VIDEO = Protocol(
    name="harp-video",
    about="A monocular sequence makes an avatar, which is judged on its training pictures and on those held out.",
    source="HARP, section 4 and tables 2, 5 and 7",
    training="all but the last fifth of the moments; methods of one photo get the first picture",
    judged="the moments held out (the last fifth); `seen` is of the training pictures, as HARP's table 2",
    light="the avatar's own estimate; with --test-light fitted, fitted to each picture",
    pose="the sequence's; with --test-pose refined, found anew with each avatar first, as HARP's table 7 does by masks alone",
    mask="none but for IoU at one half: L1 and MS-SSIM see the whole picture, white background included, as HARP's do",
    crop="none",
    background=WHITE,
    in_box=False,
    scores=("iou", "l1", "lpips_alex", "ms_ssim", "psnr_db", "l1_mask",
            "pa_mpjpe_mm", "mpjpe_mm", "pa_mpvpe_mm", "mpvpe_mm"),
    published=("lpips_alex_01",),
    numbers=(("HARP, table 2 (seen)", (("iou", 0.929), ("l1", 0.018), ("lpips_alex_01", 0.071), ("ms_ssim", 0.902))),
             ("HARP, table 7 (held out)", (("iou", 0.870), ("l1", 0.029), ("lpips_alex_01", 0.105), ("ms_ssim", 0.831)))),
    compared=(("seen", "seen"), ("unseen", "held out")),
    held_out=0.2,
    longest_px=448,  # as HARP's pictures
)  # fmt: skip

PROTOCOLS = {protocol.name: protocol for protocol in (PALM_INTERHAND, HARP_RELIT, HARP_VIDEO)}
