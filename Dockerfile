# The operator's image. Both stages begin with the same base, so that the environment built in the first fits the
# interpreter of the second. Any base with Python >= 3.11 at one path will do, by digest where builds must repeat:
#   docker build --build-arg BASE_IMAGE=python:3.13-slim-trixie@sha256:... .
ARG BASE_IMAGE=python:3.13-slim-trixie

FROM ${BASE_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# pip's own settings, for a mirror or a mounted folder of wheels (hack/image does the latter).
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
WORKDIR /src

# Everything that runs, at locked versions with their hashes, before any source: this layer changes rarely.
COPY requirements/ requirements/
RUN python3 -m venv /opt/polyhull \
 && /opt/polyhull/bin/python -m pip install --require-hashes --only-binary=:all: -r requirements/runtime.txt

# The build backend, locked as well, in an environment that stays behind.
RUN python3 -m venv /opt/build \
 && /opt/build/bin/python -m pip install --require-hashes --only-binary=:all: -r requirements/build.txt

# The search kernel is C; its compiler stays behind as well.
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*

COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY operator/ operator/
RUN /opt/build/bin/python -m hatchling build -t wheel -d dist \
 && /opt/polyhull/bin/python -m pip install --no-deps --no-index dist/*.whl \
 && /opt/polyhull/bin/python -m pip uninstall --yes pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="polyhull" \
      org.opencontainers.image.description="Places AI workloads and their data across clusters, with a proof of how close to optimal" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/polyhull /opt/polyhull
# Numeric, so that runAsNonRoot can be checked without reading /etc/passwd. /tmp is the only place that is written.
USER 65532:65532
ENV PATH=/opt/polyhull/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1
WORKDIR /tmp
EXPOSE 8080
ENTRYPOINT ["/opt/polyhull/bin/polyhull"]
CMD ["run"]
