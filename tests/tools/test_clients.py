"""Clients and proxies that nobody here wrote get their scrape."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import urljoin

import pytest
import requests

from tests.support import processes
from tests.support.processes import Program, free_port, wait_for

NGINX = """
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /deep/exporter/ {{
            proxy_pass http://{exporter}/;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
        }}
    }}
}}
"""

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend clients
    bind 127.0.0.1:{port}
    http-request replace-path ^/deep/exporter(/.*)$ \\1
    default_backend exporter
backend exporter
    option httpchk GET /-/healthy
    server exporter {exporter} check inter 100ms
"""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with processes.exporter(tmp_path_factory.mktemp("exporter"), "--demo") as program:
        wait_for(lambda: program.responds("/-/ready"), "the first poll")
        yield program


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def behind_proxy(
    request: pytest.FixtureRequest, exporter: Program, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Run a proxy, which serves the exporter below a path; yields the address of that."""
    directory = tmp_path_factory.mktemp(request.param)
    port = free_port()
    config = directory / "proxy.conf"
    template = {"nginx": NGINX, "haproxy": HAPROXY}[request.param]
    address = exporter.url.removeprefix("http://")
    config.write_text(template.format(directory=directory, port=port, exporter=address))
    arguments = {
        "nginx": ("-p", str(directory), "-c", str(config), "-e", str(directory / "error.log")),
        "haproxy": ("-db", "-f", str(config)),
    }[request.param]
    # Debian installs both in /usr/sbin, which is only in root's PATH.
    path = shutil.which(request.param) or f"/usr/sbin/{request.param}"
    with subprocess.Popen((path, *arguments)) as process:
        proxy = Program(process, directory / "error.log", f"http://127.0.0.1:{port}/deep/exporter")
        try:
            wait_for(lambda: proxy.responds("/-/healthy"), request.param)
            yield f"{proxy.url}/"
        finally:
            process.terminate()


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--http1.0",),
        ("--http2",),
        ("--compressed",),
        ("--header", "Upgrade: websocket", "--header", "Connection: Upgrade"),
        ("--header", "Expect: 100-continue"),
        ("--proxy", "{exporter}"),
        ("--proxy", "{exporter}", "--http2"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("path", ["/metrics", "/", "/-/healthy"])
def test_curl_gets_its_response(exporter: Program, flags: tuple[str, ...], path: str) -> None:
    given = [flag.format(exporter=exporter.url) for flag in flags]
    status = ("--write-out", "%{http_code}")
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--output",
        "/dev/null",
        *status,
        *given,
        exporter.url + path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.stdout, done.stderr) == ("200", "")


@pytest.mark.parametrize(
    "headers", [{}, {"Connection": "Upgrade", "Upgrade": "h2c"}], ids=["plain", "upgrade"]
)
def test_the_page_works_below_a_path_of_a_proxy(behind_proxy: str, headers: dict[str, str]) -> None:
    page = requests.get(behind_proxy, headers=headers, timeout=10)
    assert page.status_code == 200
    links = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    own = [link for link in links if "//" not in link]
    assert {"./metrics", "-/static/status.css", "-/static/status.js"} <= {*own}
    for link in own:
        assert requests.get(urljoin(behind_proxy, link), headers=headers, timeout=10).status_code == 200


def test_the_filter_of_the_page_stays_below_the_path(behind_proxy: str) -> None:
    page = requests.get(behind_proxy, timeout=10).text
    (form,) = re.findall(r"<form[^>]*>", page)
    assert "action" not in form  # so it is submitted to where the page is
    assert "CRM sync" in requests.get(f"{behind_proxy}?filter=CRM", timeout=10).text
