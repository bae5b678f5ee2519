# syntax=docker/dockerfile:1

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
# With .git, so that the binary knows its version.
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /out/saldo ./cmd/saldo
RUN mkdir -p /out/data

# The binary, the root certificates that its client commands check servers by,
# and the folder of the ledger. There is no shell in here, and so no
# HEALTHCHECK: have the orchestrator ask /healthz and /readyz over HTTP.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/saldo /saldo
COPY --from=build --chown=65532:65532 /out/data /data

USER 65532:65532
WORKDIR /data
VOLUME /data
ENV SALDO_DB=/data/ledger.db SALDO_LISTEN=:8080
EXPOSE 8080

# Requests under way get 30 seconds after SIGTERM: stop with a time-out of 40.
ENTRYPOINT ["/saldo"]
CMD ["serve"]
