# Two images from one file, and one for tests: `docker build --target operator -t sbcfleet-operator .` and `--target replica -t sbcfleet-replica`.
# Each is Node and one bundled file, runs as nobody, and writes nowhere but where it is given a volume.
FROM node:24-bookworm-slim AS build
WORKDIR /source
COPY package.json package-lock.json ./
# Install scripts only fetch a Node for development.
RUN npm ci --ignore-scripts
COPY . .
RUN node scripts/bundle.ts

FROM gcr.io/distroless/nodejs24-debian12:nonroot AS base
USER 65532:65532
WORKDIR /app
ENV NODE_ENV=production

FROM base AS operator
# Most of its memory are buffers of a thousand connections; what the young generation and the allocator keep for themselves is not worth it.
ENV NODE_OPTIONS=--max-semi-space-size=4 MALLOC_ARENA_MAX=1
COPY --from=build /source/dist/operator/app/ /app/
ENTRYPOINT ["/nodejs/bin/node", "/app/main.mjs"]

FROM base AS replica
COPY --from=build /source/dist/replica/app/ /app/
# Young objects have 8 MB instead of 16: 10,000 calls take 350 MB then, not 450.
ENTRYPOINT ["/nodejs/bin/node", "--max-semi-space-size=8", "/app/main.mjs"]

# For tests only: SIPp and Node in the network of a cluster.
FROM node:24-bookworm-slim AS peers
RUN apt-get update && apt-get install -y --no-install-recommends sip-tester && rm -rf /var/lib/apt/lists/*
ENTRYPOINT []
