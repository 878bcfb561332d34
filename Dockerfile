# syntax=docker/dockerfile:1
# The whole service: API, stream, learner and every command. tests/k8s/test_image.py runs the steps of the first stage.
FROM python:3.11-slim-bookworm AS build
ARG VENV=/opt/membrane
WORKDIR /build
RUN python -m venv $VENV
COPY constraints-image.txt ./
RUN $VENV/bin/python -m pip install --no-cache-dir --require-hashes -r constraints-image.txt
COPY pyproject.toml README.md LICENSE ./
COPY membrane membrane
COPY storage storage
COPY models models
COPY stream stream
COPY serving serving
COPY training training
COPY cli cli
RUN $VENV/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation .
# What only building and the tests of other projects need.
RUN $VENV/bin/python -m pip uninstall --quiet --yes setuptools pip \
    && find $VENV/lib -type d -name tests -prune -exec rm -rf {} + \
    && rm -rf $VENV/lib/python*/site-packages/pyarrow/include

FROM python:3.11-slim-bookworm
ENV PATH=/opt/membrane/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN groupadd --system --gid 10001 membrane \
    && useradd --system --uid 10001 --gid membrane --no-create-home --home-dir /nonexistent membrane \
    && install --directory --owner=membrane --group=membrane /data
COPY --from=build /opt/membrane /opt/membrane
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["membrane"]
CMD ["up", "--data", "/data"]
