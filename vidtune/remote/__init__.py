"""What comes over the network: downloads, and the cache of released weights and vocabularies."""
