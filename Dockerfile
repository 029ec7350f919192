# Claw in one small image: Node, the production packages, the sources. There is no build step; Node runs TypeScript.
#
#   docker build -t claw .
#   docker run --read-only --tmpfs /tmp -v claw-data:/data -v ./claw.yaml:/etc/claw/claw.yaml:ro -p 8080:8080 claw
#   docker run --rm -v ./claw.yaml:/etc/claw/claw.yaml:ro claw check --config /etc/claw/claw.yaml

# The same version as package.json pins for development.
ARG NODE_IMAGE=node:24.21.0-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
# A new volume takes its owner from the directory it is mounted on.
RUN install -d -m 0750 -o 10001 -g 10001 /data

FROM ${NODE_IMAGE}
ARG VERSION=dev
LABEL org.opencontainers.image.title="claw" \
      org.opencontainers.image.description="Alert router and ChatOps bot for rate limiters at the edge: one incident, one page, one message" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
ENV NODE_ENV=production \
    CLAW_HEALTH_URL=http://127.0.0.1:8080/healthz

# Everything in /app belongs to root and is only read. Not under node_modules: Node strips no types there.
COPY --from=packages /app/node_modules /app/node_modules
COPY package.json LICENSE /app/
COPY src /app/src
COPY handlers /app/handlers
COPY templates /app/templates
COPY --from=packages --chown=10001:10001 /data /data

# From the root directory the default store, `sqlite:data/claw.db`, is on the volume.
WORKDIR /
VOLUME /data
USER 10001:10001
EXPOSE 8080

# Set CLAW_HEALTH_URL where `listen` in claw.yaml names another port.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(process.env.CLAW_HEALTH_URL, { signal: AbortSignal.timeout(2500) }).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

# Node itself is process 1 and gets SIGTERM, on which Claw drains and exits 0 within `shutdown_timeout` (10 s).
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/src/main.ts"]
CMD ["serve", "--config", "/etc/claw/claw.yaml"]
