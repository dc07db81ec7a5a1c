# Two stages: one that builds meshproxy, compiled where COMPILE is 1, and an image with nothing in it but what runs.
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
ARG COMPILE=1
RUN if [ "$COMPILE" = 1 ]; then \
      apt-get update -qq && apt-get install -qq --no-install-recommends --yes gcc libc6-dev >/dev/null && \
      { [ -e "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] || \
        apt-get install -qq --no-install-recommends --yes libpython3-dev >/dev/null; }; \
    fi
RUN python3 -m venv /build/tools && /build/tools/bin/pip install --quiet 'setuptools>=77' wheel
WORKDIR /build/source
COPY pyproject.toml ./
RUN python3 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
      >/build/requirements && \
    /build/tools/bin/pip install --quiet --no-compile --target /build/site --requirement /build/requirements
COPY setup.py README.md LICENSE ./
COPY meshproxy meshproxy
RUN MESHPROXY_COMPILE=$COMPILE CFLAGS="-g0 -Wl,-s" /build/tools/bin/pip wheel --quiet --no-deps --wheel-dir /build/wheels . && \
    /build/tools/bin/pip install --quiet --no-compile --no-deps --target /build/site /build/wheels/*.whl
COPY deploy/image/collect.py deploy/image/ready.py /build/
RUN python3 /build/collect.py /build/site /build/root && \
    cp /build/ready.py /build/root/usr/local/lib/meshproxy-ready.py && \
    mkdir -p /build/root/etc/meshproxy /build/root/var/lib/meshproxy /build/root/run/meshproxy /build/root/tmp && \
    chmod 1777 /build/root/tmp && chown 65532:65532 /build/root/var/lib/meshproxy /build/root/run/meshproxy

FROM scratch
COPY --from=build /build/root /
ENV PATH=/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    MESHPROXY_CONFIG=/etc/meshproxy \
    MESHPROXY_STATE_DIR=/var/lib/meshproxy
# Ports below 1024: Docker lets everybody listen there (net.ipv4.ip_unprivileged_port_start=0); elsewhere add NET_BIND_SERVICE.
USER 65532:65532
WORKDIR /var/lib/meshproxy
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python3", "-IS", "/usr/local/lib/meshproxy-ready.py"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["meshproxy"]
CMD ["run"]
