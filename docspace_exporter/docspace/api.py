"""One request to a portal's API: the body of the response, or why there is none."""

from collections.abc import Mapping
from urllib.parse import urlencode

import requests
import urllib3

from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace import transport
from docspace_exporter.docspace.failures import (
    PollError,
    Reason,
    error_from_exception,
    error_from_status,
    is_resolution_failure,
)


class Api:
    """Requests to one portal within one poll's deadline."""

    def __init__(self, portal: Portal, session: transport.Session, deadline: transport.Deadline) -> None:
        self._portal = portal
        self._session = session
        self._deadline = deadline

    def get(self, path: str, query: Mapping[str, str | int] | None = None) -> bytearray:
        """Return the body of a response with status 200; raises PollError."""
        try:
            response, body = self._session.get(f"{path}?{urlencode(query)}" if query else path)
        except transport.TooLargeError:
            limit = transport.RESPONSE_LIMIT // 2**20
            message = f"the response is larger than {limit} MiB: check that url is a DocSpace portal"
            raise PollError(Reason.TOO_LARGE, message) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            if self._deadline.passed() and not is_resolution_failure(error):
                seconds = f"{self._portal.poll_timeout:g}s"
                message = f"no complete response within {seconds}: check the portal, or increase poll_timeout"
                raise PollError(Reason.TIMEOUT, message) from None
            raise error_from_exception(error) from None
        if response.status_code != requests.codes.ok:
            raise error_from_status(response, self._portal.url)
        return body
