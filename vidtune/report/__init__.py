"""Results and published numbers -> rows, verdicts, tables, plots, page. Never imports torch."""
