"""The report as one self-contained HTML page, and its tables and plots as files."""
