# The image of every service: the static binary that `make image` has built, the
# certificates that outgoing TLS needs, and nothing else.
FROM scratch
COPY dist/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY dist/troupe /troupe
USER 65532:65532
ENTRYPOINT ["/troupe"]
CMD ["run"]
