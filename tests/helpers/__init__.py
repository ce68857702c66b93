"""What several tests share: small models, videos, datasets, servers, goldens."""
