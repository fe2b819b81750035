"""One poll of a portal: its keys, and what the exporter asks along with them."""

import time
from collections.abc import Callable

from docspace_exporter.config.api_key import KeyUnreadableError
from docspace_exporter.config.portals import Portal
from docspace_exporter.docspace import decode, identity, transport
from docspace_exporter.docspace.api import Api
from docspace_exporter.docspace.body import InvalidResponseError
from docspace_exporter.docspace.failures import PollError, Reason
from docspace_exporter.docspace.model import Identity, Snapshot
from docspace_exporter.docspace.proxy import InvalidProxyError

KEYS_PATH = "/api/2.0/keys"


def poll(portal: Portal, known: Identity | None, clock: Callable[[], float] = time.time) -> Snapshot:
    """Request the keys once, and of the exporter's identity what is not `known` or is out of date.

    `clock` returns Unix seconds. Raises PollError. DocSpace server 3.7: `GET /keys` needs the scope `*:read`.
    """
    try:
        key = portal.read_key()
    except KeyUnreadableError as error:
        raise PollError(Reason.CREDENTIALS, str(error)) from None
    deadline = transport.Deadline(portal.poll_timeout)
    try:
        with transport.Session(portal, key, deadline) as session:
            api = Api(portal, session, deadline)
            body = api.get(KEYS_PATH)
            received = clock()
            listed = decode.decode(body)
            del body
            own = identity.refresh(api, identity.known_of(key, known), clock)
    except transport.TlsFilesError as error:
        raise PollError(Reason.TLS, f"tls_config: {error}") from None
    except InvalidProxyError as error:
        raise PollError(Reason.CONNECTION, str(error)) from None
    except InvalidResponseError as error:
        message = f"the response is not a list of API keys, {error}: check that url is a DocSpace portal"
        raise PollError(Reason.INVALID_RESPONSE, message) from None
    return Snapshot(listed.keys, listed.malformed, received, own)
