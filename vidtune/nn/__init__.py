"""Pure torch: CLIP towers, layers, LoRA, token merging. Imports no other layer but `spec`."""
