# Both stages use one base: an image with Python 3.11 or later and its venv module. To use another one:
# --build-context python:3.13-slim=docker-image://IMAGE
FROM python:3.13-slim AS base

FROM base AS build
ARG UV_VERSION=0.13.9
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python3 -m venv tools && \
    tools/bin/pip install --quiet "uv==${UV_VERSION}" && \
    python3 -m venv --without-pip /opt/docspace-exporter

# All that is installed, including what builds the package, is verified against the hashes of uv.lock.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN tools/bin/uv export --quiet --locked --no-dev --no-emit-project --output-file dependencies.txt && \
    tools/bin/uv export --quiet --locked --only-group build --output-file build.txt && \
    tools/bin/pip install --quiet --require-hashes --requirement build.txt && \
    tools/bin/pip --python /opt/docspace-exporter/bin/python3 install --quiet --require-hashes --only-binary :all: \
      --requirement dependencies.txt

COPY docspace_exporter docspace_exporter
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation . && \
    tools/bin/pip --python /opt/docspace-exporter/bin/python3 install --quiet --no-deps docspace_exporter-*.whl

FROM base
# Shown in docspace_exporter_build_info; the version defaults to the package's own.
ARG VERSION=
ARG REVISION=unknown
LABEL org.opencontainers.image.title="docspace-exporter" \
      org.opencontainers.image.description="Prometheus exporter for ONLYOFFICE DocSpace API keys" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://docspace-exporter.example" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/opt/docspace-exporter/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    DOCSPACE_EXPORTER_VERSION=${VERSION} \
    DOCSPACE_EXPORTER_REVISION=${REVISION}
COPY --from=build /opt/docspace-exporter /opt/docspace-exporter
COPY deploy/healthcheck.py /opt/docspace-exporter/healthcheck.py
# Mount config.yaml here, or set DOCSPACE_URL and DOCSPACE_API_KEY_FILE and mount only the key.
WORKDIR /etc/docspace-exporter
USER 65532:65532
EXPOSE 10059
# If the port is not 10059, override it: python3 /opt/docspace-exporter/healthcheck.py PORT
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["python3", "-I", "/opt/docspace-exporter/healthcheck.py"]
ENTRYPOINT ["docspace-exporter"]
