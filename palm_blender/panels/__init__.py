"""The panels of the sidebar's PALM tab, in the order of the work."""
