"""GPUs of this machine: which there are, who may use one, what it does. Imports no torch."""
