"""One folder per method; the folders are the registry.

`vidtune new method <name>` copies `template/`, whose `__init__.py` says the rest. A method's folder holds
`options.py` (its ablations, with the paper's defaults; imports no torch) and `model.py` (the model
and `build(options, model, clip)`); where they exist, also `network.py` (a network of its own),
`official.py` (reads the checkpoints of the authors' code; its contract: `load_official`) and
`closed_form.py` (`macs(model, options) -> Macs` of `vidtune.nn.closed_form`: its cost as arithmetic,
which `vidtune audit` compares). What several methods share stands in `vidtune.nn`.
Files of a folder import each other by relative imports, so that a copied folder works as it is.

`vidtune.plan.registry` lists the methods and their options, `vidtune.methods.build` builds a model.
"""
