FROM rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked && cp target/release/arcadia /arcadia

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 arcadia
COPY --from=build /arcadia /usr/local/bin/arcadia
USER 10001
EXPOSE 8080
ENTRYPOINT ["arcadia"]
