# Everything that is done to this repository. `make` alone lists it.
FUZZTIME ?= 10s
AUTHORITIES = /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem

.DEFAULT_GOAL := help
.PHONY: help run install image up down logs generate verify test race e2e smoke soak bench fuzz

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## run every service and an embedded broker in one process
	@trap 'exit 0' INT; go run . run

install: ## put the command troupe on your PATH (go env GOBIN, else GOPATH/bin)
	go install .

image: ## build the image of the services: a static binary, and the certificates that TLS needs
	CGO_ENABLED=0 GOOS=linux go build -trimpath -o dist/troupe .
	cp "$$(ls $(AUTHORITIES) 2>/dev/null | head -n 1)" dist/ca-certificates.crt && docker compose build --quiet

up: image ## run every service as a container, on Apache Kafka, Postgres and a mail server
	docker compose up --wait --detach
	@sed -n 's/^#   //p' compose.yaml | while read -r service port what; do \
		echo "$$(docker compose port "$$service" "$$port" </dev/null)   $$what"; done

down: ## end what `make up` started; what Kafka and Postgres hold stays
	docker compose down

logs: ## follow the logs of what `make up` started
	docker compose logs --follow

generate: ## write the Go code of all events, and topology.json
	go generate ./...
	go run . topology --format json --output topology.json

verify: ## check formatting, vet, staticcheck, import directions, contracts, and that nothing generated is stale
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt -w these: $$unformatted"; exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go tool schemas check --locked
	go tool schemas generate --check
	@go run . topology --format json | diff -u topology.json - || { echo "topology.json is stale: make generate"; exit 1; }
	go test -count=1 ./test

test: ## run all tests but verify's; on Kafka and Postgres in containers where Docker answers, else on the embedded broker and SQLite
	go run ./test/postgres go test -timeout 20m $$(go list ./... | grep -v /troupe/test)
	go test -count=1 -timeout 45m $$(go list ./test/... | grep -v /troupe/test$$)
	@go run ./test/summary

race: ## run the tests of the platform and of services under the race detector, with few seeds
	TROUPE_SEEDS=5 go run ./test/postgres go test -race -timeout 20m ./platform/... ./services/...

e2e: ## run the end-to-end tests alone; TROUPE_TEST_BROKER=container|embedded forces a broker
	go test -count=1 -timeout 45m ./test/e2e

smoke: ## order, register and book through `make up`, with ports of its own
	go run ./test/smoke

soak: ## 20,000 orders, bookings and registrations through two containers of each service, while all that can fails; about 12 minutes
	go run ./test/soak

bench: ## run the benchmarks
	go test -run '^$$' -bench . -benchmem ./platform/...

fuzz: ## run every fuzz target for FUZZTIME (default 10s)
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ {f[n++]=$$1} /^ok/ {while (n) print $$2, f[--n]}' | \
		while read -r package target; do go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$$package" || exit 1; done
