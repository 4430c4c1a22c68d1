# All images of ours. One process an image, and of others' packages only those of its group in pyproject.toml:
#
#   docker build --target service --build-arg NAME=billing --tag crafiq/billing .
#
# `service`: identity, assets, generation, billing, privacy. `sandbox`: the outside world, for development.
# `setup`: what happens once (deploy/containers). `scrub`: what happens once a day (docs/adr/0015).
# docker-compose.yml builds all of them.
ARG PYTHON=python:3.11.16-slim-bookworm

# Others' packages: exactly what the lock names, by its hashes, compiled once and not at every start.
FROM ${PYTHON} AS packages
ARG NAME
ENV UV_CACHE_DIR=/var/cache/uv UV_LINK_MODE=copy
COPY requirements/uv.txt /tmp/uv.txt
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r /tmp/uv.txt
COPY requirements/${NAME}.txt /tmp/packages.txt
RUN python -m venv --without-pip /opt/venv
RUN --mount=type=cache,target=/var/cache/uv \
    uv pip sync --python /opt/venv/bin/python --require-hashes --compile-bytecode /tmp/packages.txt

FROM ${PYTHON} AS base
ENV PATH=/opt/venv/bin:${PATH} PYTHONPATH=/app:/app/gen PYTHONUNBUFFERED=1
RUN groupadd --gid 10001 crafiq \
    && useradd --uid 10001 --gid crafiq --no-create-home --home-dir /tmp --shell /usr/sbin/nologin crafiq
WORKDIR /app
COPY --from=packages /opt/venv /opt/venv

FROM base AS service
ARG NAME
ENV NAME=${NAME}
COPY deploy/containers/healthy.py /app/
COPY gen/ /app/gen/
COPY chassis/ /app/chassis/
COPY promises/ /app/promises/
COPY services/${NAME}/ /app/services/${NAME}/
RUN python -m compileall -q /app
USER 10001:10001
EXPOSE 50051 9464
# The first answer counts as soon as it is there: what waits for the service waits no longer than it must.
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=60s --start-interval=1s \
    CMD ["python", "/app/healthy.py"]
CMD ["sh", "-c", "exec python -m services.${NAME}"]

FROM base AS sandbox
COPY sandbox/ /app/sandbox/
RUN python -m compileall -q /app
USER 10001:10001
CMD ["python", "-m", "sandbox.openai"]

FROM base AS scrub
COPY gen/ /app/gen/
COPY chassis/ /app/chassis/
COPY cli/ /app/cli/
COPY deploy/ /app/deploy/
RUN python -m compileall -q /app
USER 10001:10001
CMD ["python", "-m", "cli.scrub", "daily"]

FROM base AS setup
COPY gen/ /app/gen/
COPY deploy/ /app/deploy/
COPY tools/gateway/ /app/tools/gateway/
COPY tools/__init__.py /app/tools/
RUN python -m compileall -q /app
USER 10001:10001
CMD ["python", "-m", "deploy.containers", "settle"]
