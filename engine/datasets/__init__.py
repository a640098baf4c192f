"""Data sets of hands: readers, writers and an analytic one made by the engine itself."""
