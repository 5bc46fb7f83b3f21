# One image, one binary: `arcadia worker`, `arcadia api`, `arcadia migrate`, `arcadia schedules apply`.

FROM rust:1.95.0-bookworm AS build
WORKDIR /source
COPY . .
# Queries are checked against .sqlx. Stripping debug information keeps function names in backtraces; line numbers would be four fifths
# of the image.
ENV SQLX_OFFLINE=true \
    CARGO_PROFILE_RELEASE_STRIP=debuginfo
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package arcadia \
    && cp target/release/arcadia /arcadia

FROM debian:12.12-slim
# The certificate authorities for DigitalOcean, Temporal and PostgreSQL.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /arcadia /usr/local/bin/arcadia
COPY --chmod=755 deploy/image/probe.sh /usr/local/bin/probe
# glibc keeps freed memory in one arena for each thread: with two arenas a busy worker needs a quarter less memory at the same speed.
ENV MALLOC_ARENA_MAX=2
# A numeric user, so that Kubernetes can verify that it is not root. It owns no file: the file system may be read-only.
USER 10001:10001
# The API, and metrics if ARCADIA_METRICS_BIND is 0.0.0.0:9464.
EXPOSE 8080 9464
# No HEALTHCHECK, because it would be the same for all commands: Compose and Kubernetes probe /readyz and /healthz of the API,
# and /metrics of the worker.
ENTRYPOINT ["arcadia"]
