"""Template: a frozen image model, its frames' features averaged, and a tuned bottleneck.

To add a method:
1. Copy this folder: `cp -r vidtune/methods/template vidtune/methods/<name>`. The folder is the
   registry: the copy is a method at once, and `make test` tries it with its default options.
2. Write this docstring anew. Its first line names paper, venue and arXiv number, as in "AIM (Yang
   et al., ICLR 2023, arXiv:2302.03024)."; then say the idea in one sentence, and which code the
   method was compared with: "Checked against github.com/<owner>/<name> at <commit>."
3. Fill in `options.py` and `model.py`; their comments say what each part is for.
4. Declare a variant of it in `config/papers/<paper>.yaml`; training, costs and tables follow.

Two files are optional: a `closed_form.py` with `macs(model, options) -> Macs` (as in `methods/aim/`)
lets `vidtune audit` compare the method's cost with arithmetic; an `official.py`, whose contract
`methods/load_official.py` states, lets it read the checkpoints of the authors' code.
"""
