"""What a model costs: counted, predicted and measured, and an audit of the counts."""
