"""Pictures of how far a hand has been learned."""

from __future__ import annotations

import torch
from torch import Tensor

from ..rendering.mesh import compose
from ..spacing import evenly
from .xhand_model import Means, XHandModel
from .xhand_pictures import HandPicture, HandPictures, Moment

GREY = 0.5
"""Linear albedo of the picture that shows shape alone."""


@torch.no_grad()
def comparison(
    model: XHandModel, pictures: HandPictures, means: Means | None = None, neural: bool = True, columns: int = 3
) -> Tensor:
    """[h,w,3] sRGB in [0,1]: some pictures, and below each the hand as rendered, in grey, and its albedo."""
    chosen = []
    for column, place in enumerate(evenly(range(len(pictures.moments)), columns, ends=True)):
        views = list(pictures.views[place].values())
        chosen.append((pictures.moments[place], views[column * len(views) // columns]))
    strips = [_strip(model, moment, picture, means, neural) for moment, picture in chosen]
    height, width = max(strip.shape[0] for strip in strips), max(strip.shape[1] for strip in strips)
    sheet = torch.zeros(height, width * len(strips), 3)
    for column, strip in enumerate(strips):
        sheet[: strip.shape[0], column * width : column * width + strip.shape[1]] = strip
    return sheet


def _strip(model: XHandModel, moment: Moment, picture: HandPicture, means: Means | None, neural: bool) -> Tensor:
    """[4h,w,3] truth, final picture, grey, albedo."""
    features = model.features(moment.hand_pose, means)
    posed = model.posed(*moment[1:], features=features)
    target = picture.target(1, posed.vertices)
    light = model.light_of(picture.frame.camera)
    final = model.picture(posed, target.camera, light, neural, moment.hand_pose).color
    grey = posed._replace(features=features._replace(albedo=torch.full_like(features.albedo, GREY)))
    # white light as bright as the hand's own shows shape, not colour
    shape = model.picture(grey, target.camera, light.mean(1, keepdim=True).expand_as(light)).color
    view = model.view(posed, target.camera)
    albedo = compose(view, model.topology, model.shaded_points(view, features.albedo)).color
    return torch.cat([target.color, final, shape, albedo]).clamp(0, 1).cpu()
