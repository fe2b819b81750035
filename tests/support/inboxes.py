"""Where notifications arrive: a mail server, and a webhook that both a chat and a program could have."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.processes import free_port

Message = Mapping[str, Any]


class Mailbox:
    """Accepts e-mails for anybody."""

    def __init__(self) -> None:
        self.emails: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the e-mail; aiosmtpd calls this."""
        content = envelope.original_content
        assert content is not None
        email = message_from_bytes(content, policy=policy.default)
        assert isinstance(email, EmailMessage)
        self.emails.append(email)
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """Run a mail server; yields its mailbox and its address."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, f"127.0.0.1:{port}"
    finally:
        controller.stop()


def content(email: EmailMessage, kind: str) -> str:
    """Return the `plain` or `html` content of an e-mail."""
    part = email.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class Webhook(ThreadingHTTPServer):
    """Keeps the JSON messages that are posted, by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[tuple[str, Message]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def posted(self, path: str) -> list[Message]:
        """Return what was posted to this path, oldest first."""
        return [message for at, message in self.messages if at == path]


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Run a webhook."""
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        posted = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.messages.append((self.path, json.loads(posted)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep the test's output to the test."""
