"""Preparing real datasets: fetch, extract, split, index, check, resize, describe."""
