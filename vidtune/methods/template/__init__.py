"""Template: a frozen image model, its frames' features averaged, and a tuned bottleneck.

What is left to do after `vidtune new method <name>` has copied this folder:
1. Write this docstring anew. Its first line names paper, venue and arXiv number, as in "AIM (Yang
   et al., ICLR 2023, arXiv:2302.03024)."; then say the idea in one sentence, and which code the
   method was compared with: "Checked against github.com/<owner>/<name> at <commit>."
2. Fill in `options.py` and `model.py`; their comments say what each part is for.
3. Declare a variant of it in `config/papers/<paper>.yaml`; training, costs and tables follow.

Two files are optional: a `closed_form.py` with `macs(model, options) -> Macs` (as in `methods/aim/`)
lets `vidtune audit` compare the method's cost with arithmetic; an `official.py`, whose contract
`methods/load_official.py` states, lets it read the checkpoints of the authors' code.
"""
