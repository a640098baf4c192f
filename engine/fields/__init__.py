"""The canonical fields of PALM-Net: signed distance, density, radiance and material, and the encodings they stand on."""
