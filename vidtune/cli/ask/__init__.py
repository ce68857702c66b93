"""The verbs of people. None of them is a rule."""
