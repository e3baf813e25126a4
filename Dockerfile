# Three stages: `build` compiles, `test` runs the compiled tests (--target test), and the image itself holds the two
# programs, the libraries they are linked with, and nothing else: no shell, no package manager, no user database.

FROM debian:bookworm-slim AS build
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        g++ cmake ninja-build ccache pkg-config \
        libboost1.81-dev libboost-program-options1.81-dev libboost-json1.81-dev libfmt-dev libseccomp-dev libssl-dev libsystemd-dev \
        systemtap-sdt-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Not the whole checkout: a change of a test or of the documentation compiles nothing anew.
COPY CMakeLists.txt CMakePresets.json ./
COPY common common/
COPY daemon daemon/
COPY packaging/cmake packaging/cmake/
# As for ./dev: `true` makes warnings errors.
ARG CI=false
RUN cmake --preset release -DPREFORKD_TESTS=OFF -DPREFORKD_WERROR=$CI \
    && cmake --build --preset release --target preforkd preforkctl \
    && install -D --strip build/release/preforkd /image/usr/sbin/preforkd \
    && install -D --strip build/release/preforkctl /image/usr/bin/preforkctl \
    && rm -rf build
# What the loader would look for, where it would look for it, the loader itself included; and what preforkd opens for a
# moment, with what that needs: libsystemd, where an engine passes it sockets or wants to be notified, and libseccomp; and
# what it opens for good, libssl, where somebody asks for TLS.
RUN libraries=$(ldconfig -p | grep -o '/.*/lib\(systemd\.so\.0\|seccomp\.so\.2\|ssl\.so\.3\)$') && ldd /image/usr/*bin/* $libraries \
    | grep -o '/[^ ]*\.so[^ :]*' | sort -u \
    | xargs cp --dereference --parents --target-directory=/image

FROM build AS test
ARG CI=false
COPY . .
# Each command of ./dev installs what it needs.
RUN ./dev test unit process

FROM scratch
COPY --from=build /image /
LABEL org.opencontainers.image.title="preforkd" \
      org.opencontainers.image.description="A pre-fork multiprocess server daemon" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="scratch"
# `docker stop` kills what has not stopped after 10 s.  For more time raise both, for instance
# `docker run --stop-timeout 60 --env PREFORKD_STOP_TIMEOUT=55s`.
ENV PREFORKD_STOP_TIMEOUT=8s
# An abstract name needs no file system that can be written to.  It belongs to the container's network.
ENV PREFORKD_CONTROL=unix://@preforkd
# By number, so that an orchestrator can see that it is not root.  Any other number will do as well.
USER 65532:65532
EXPOSE 10000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s \
    CMD ["preforkctl", "send", "tcp://127.0.0.1:10000", "--expect", "connected", "--timeout", "3s"]
# Exec form: preforkd is PID 1, and gets the engine's signals and sockets itself.
ENTRYPOINT ["preforkd"]
