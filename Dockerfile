# One image, one binary: `arcadia worker`, `arcadia api`, `arcadia migrate`, `arcadia schedules apply`.

FROM rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
# The queries were checked when .sqlx was written. Backtraces keep the names of functions; the lines would be four fifths of the image.
ENV SQLX_OFFLINE=true \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package arcadia \
    && cp target/release/arcadia /arcadia

FROM debian:12.12-slim
# The authorities by which DigitalOcean, Temporal and PostgreSQL are known.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /arcadia /usr/local/bin/arcadia
COPY --chmod=755 deploy/image/probe.sh /usr/local/bin/probe
# glibc keeps what threads have used, in an arena each: with two a busy worker is a quarter smaller, and no slower.
ENV MALLOC_ARENA_MAX=2
# As a number, so that Kubernetes can tell that it is not root. It owns nothing: the file system may be read-only.
USER 10001:10001
# The API, and metrics of the worker where ARCADIA_METRICS_BIND is 0.0.0.0:9464.
EXPOSE 8080 9464
# No HEALTHCHECK, which would be the same for all that the binary does: compose and Kubernetes ask the API for /readyz and /healthz,
# the worker for /metrics.
ENTRYPOINT ["arcadia"]
