"""What figures show of a trained model, and the maps that it is made of."""
