# docker build -t vidtune .                                                      torch for CPUs
# docker build -t vidtune --build-arg TORCH_INDEX=https://pypi.org/simple .      torch for NVIDIA GPUs
# apptainer build vidtune.sif docker-daemon://vidtune:latest                     docs/cluster.md, "Container"
FROM python:3.11-slim-bookworm

# An index of torch builds that pip asks beside PyPI, whose own build for Linux is for GPUs.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# git says of which commit a result is. Its version is Debian's of the day: mirrors keep no other.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && git config --system --add safe.directory '*'

# A home that every user can write to: docker run --user has any number.
ENV HOME=/home/vidtune PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --home-dir "$HOME" vidtune && install --directory --mode 1777 "$HOME"

# What is installed depends on these files alone, so that an edit of the code installs nothing again.
WORKDIR /vidtune
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY vidtune/__init__.py vidtune/
RUN pip install -c constraints.txt --extra-index-url "$TORCH_INDEX" torch \
    && pip install -c constraints.txt --editable '.[cluster]' \
    && install --directory --owner vidtune data results .snakemake

# A checkout that is mounted over this copy takes its place: `docker run -v "$PWD:/vidtune"`.
COPY --chown=vidtune Snakefile environment.yml ./
COPY --chown=vidtune config config
COPY --chown=vidtune profiles profiles
COPY --chown=vidtune results/reference results/reference
COPY --chown=vidtune workflow workflow
COPY --chown=vidtune vidtune vidtune

# By number, so that a cluster sees that it is not root.
USER 1000
CMD ["snakemake", "--cores", "all", "--config", "scale=smoke"]
