"""What several methods share. Imports no other layer but `spec`.

Towers (`clip`, `eva`), layers (`attention`, `adapters`, `lora`, `prompts`, `merging`,
`frame_transformer`), `similarity`, `pixels`, `weights`, the contract of a method (`task`), and
`closed_form`, costs as arithmetic, which imports no torch.
"""
