"""Methods that make an avatar: input in, avatar folder out."""
