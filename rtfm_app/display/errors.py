"""What the display can fail with."""


class DisplayUnavailable(ValueError):
    """No window can be opened on this machine; the message says what to install or do."""
