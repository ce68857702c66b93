"""vidtune: reproducible benchmarks of efficient image-to-video tuning."""

__version__ = "0.1.0"
