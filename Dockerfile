# syntax=docker/dockerfile:1
# Builds the gateway and puts the binary alone into a small image that runs without root.

FROM rust:1.95-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock rust-toolchain.toml gateway.yaml.example ./
COPY src ./src
RUN cargo build --release --locked

FROM debian:bookworm-slim
# The platform's CA bundle, for upstreams whose pool names no CA of its own.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/portway \
    && install -d -m 0755 /etc/portway
COPY --from=build /src/target/release/portway /usr/local/bin/portway

# No name is needed for a uid; Kubernetes wants the number to see that it is not root.
USER 10001:10001
VOLUME ["/var/lib/portway"]
EXPOSE 8080 8443
STOPSIGNAL SIGTERM

# The gateway has no listener of its own for probes: it is well when it accepts connections. Set the
# port to one of the configured listeners.
ENV PORTWAY_PROBE_PORT=8443
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORTWAY_PROBE_PORT"]

ENTRYPOINT ["/usr/local/bin/portway"]
CMD ["run", "--config", "/etc/portway/gateway.yaml"]
