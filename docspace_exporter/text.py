"""Text that comes from anywhere, made fit to be told."""


def one_line(text: str) -> str:
    """Return a text with U+FFFD in place of whatever cannot be printed in a line."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
