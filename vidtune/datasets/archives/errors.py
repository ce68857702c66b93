"""Why an archive is not extracted."""


class Unsafe(Exception):
    """Raised for an archive that must not be extracted; the text says why."""


class Torn(Exception):
    """Raised for an archive that is damaged or cut short; the text says how."""
