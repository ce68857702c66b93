"""Reading the authors' checkpoints: their arguments, their files, their tensors' names.

`vidtune.methods.load_official` loads them with what each method's `official.py` knows.
"""
