"""The verbs that answer questions, and `lease`. None of them is a rule."""
