# OneShelf. `make help` lists what can be done; each thing is one line here or a script in deploy/.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

run: ## Set everything up, serve all services with a demo shop, sell until Ctrl-C
	@deploy/run
test: ## Every test with its own set-up; ends in one line of counts
	@deploy/test
check: ## What a change must pass besides the tests: format, lints, licences, protos, queries, docs, chart
	@deploy/check
fmt: ## Format the Rust code
	cargo fmt --all
lint: ## Lints, warnings denied
	cargo clippy --workspace --all-targets --locked -- -D warnings
build: ## Release build of the one binary
	cargo build --release --locked --bin oneshelf
infra-up: ## Start private PostgreSQL, Redis and RabbitMQ (addresses in .local/env)
	@deploy/local/up
infra-down: ## Stop them; the data stays
	@deploy/local/down
infra-wipe: ## Stop them and remove their data
	@deploy/local/down --wipe
sqlx-prepare: ## Renew the committed query descriptions (one crate: make sqlx-prepare C=orders)
	@deploy/sqlx-prepare $(or $(C),all)
sqlx-check: ## Fail if the committed query descriptions are out of date
	@deploy/sqlx-prepare --check all
proto: ## Lint the protos and compare them with the last release
	@deploy/proto
migrate: ## Bring the private database's tables up to date
	@deploy/cli migrate
replay: ## Drive a real year through the services (DIR=folder with the data)
	@deploy/cli replay $(or $(DIR),$(error say where the data is: make replay DIR=path)) $(ARGS)
verify: ## Prove the books: every invariant over all schemas
	@deploy/cli verify $(ARGS)
nemesis: ## Faults of real processes at seeded instants under load (ARGS="seconds seed...")
	@deploy/nemesis $(ARGS)
bench: ## Speed beside the limit measured in the same run (NAME=holds, quotes, ...)
	@deploy/cli bench $(or $(NAME),all) $(ARGS)
chart: ## Render, validate and test the Helm chart
	@deploy/chart $(ARGS)
image: ## Build the container image with whatever builder is here (TAG=oneshelf:dev)
	@deploy/image $(or $(TAG),oneshelf:dev)
doc: ## API documentation, broken links denied
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
clean: infra-wipe ## Remove build output, the private servers and their data
	rm -rf target .local
help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run test check fmt lint build infra-up infra-down infra-wipe sqlx-prepare sqlx-check proto migrate replay \
  verify nemesis bench chart image doc clean help
