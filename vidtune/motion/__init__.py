"""Generated videos of moving shapes, their captions and their stills."""
