"""Makes untrusted text safe to print."""


def one_line(text: str) -> str:
    """Return the text with every unprintable character replaced by U+FFFD."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
