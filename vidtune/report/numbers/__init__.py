"""Our numbers and the printed ones, each as a row with its origin."""
