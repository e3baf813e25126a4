FROM debian:bookworm-slim AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        g++ cmake ninja-build pkg-config \
        libboost1.81-dev libboost-program-options1.81-dev libfmt-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cmake --preset release -DPREFORKD_TESTS=OFF -DCMAKE_INSTALL_PREFIX=/usr \
    && cmake --build --preset release --target preforkd preforkctl \
    && install -D --strip build/release/preforkd /out/usr/sbin/preforkd \
    && install -D --strip build/release/preforkctl /out/usr/bin/preforkctl

FROM debian:bookworm-slim
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        libboost-program-options1.81.0 libfmt9 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out /
LABEL org.opencontainers.image.title="preforkd" \
      org.opencontainers.image.description="A pre-fork multiprocess server daemon" \
      org.opencontainers.image.licenses="MIT"
# The engine kills what has not stopped after 10 s.
ENV PREFORKD_STOP_TIMEOUT=8s
# By number, so that an orchestrator can see that it is not root.
USER 65532:65532
EXPOSE 10000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s \
    CMD ["preforkctl", "send", "tcp://127.0.0.1:10000", "--expect", "connected"]
# Exec form: preforkd is PID 1, and gets the engine's signals itself.
ENTRYPOINT ["preforkd"]
