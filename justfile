# The commands of this repository; `just` alone lists them. They set up what they need, and are quick when it is there.

set shell := ["bash", "-euo", "pipefail", "-c"]
set positional-arguments

export PIP_DISABLE_PIP_VERSION_CHECK := "1"

coach := ".venv/bin/coach"
# Files are shared out to as many processes as there are processors, each with servers of its own.
pytest := ".venv/bin/pytest -n logical --maxprocesses 4 --dist loadfile"
on_every_version := "sql_tests tests/contract/test_catalogue.py tests/contract/test_shardable.py tests/db/test_migrations.py tests/db/test_session_races.py"

[private]
default:
    @just --list --unsorted

# Show the product: start the stack, fill it with a demonstration organisation, tell what happened
demo *ARGS: setup
    @{{coach}} demo "$@"

# Start the local stack
up *ARGS: setup
    @{{coach}} up "$@"

# Stop the local stack
down:
    @if [ -x {{coach}} ]; then {{coach}} down; else echo "Nothing is set up yet." >&2; fi

# Run the tests on PostgreSQL 18, or those that are named
test *ARGS: setup-dev
    @{{pytest}} "$@"

# Check style and types, run every test on PostgreSQL 18, and what the database promises on 15 and 17 too
test-all *ARGS: setup-dev lint
    @{{pytest}} "$@"
    @for version in 15 17; do {{pytest}} --postgres $version {{on_every_version}} "$@"; done

# Check style and types
lint: setup-dev
    @.venv/bin/ruff check
    @.venv/bin/ruff format --check
    @.venv/bin/mypy

# Write what supabase/schemas adds to supabase/migrations as the next migration
freeze NAME: setup-dev
    @{{coach}} db freeze "$1"

# Write docs/rpc.md anew from the comments in the database, and docs/cli.md from the commands
docs: up
    @{{coach}} db reference > docs/.rpc.md.tmp && mv docs/.rpc.md.tmp docs/rpc.md
    @.venv/bin/python -m coach_cli.reference

# Measure the rows of the performance table; fails under a target
bench *ARGS: setup-dev
    @.venv/bin/python -m bench "$@"

# Install what the product needs to run
setup: (_install "runtime")

# Install what tests, checks and measurements need besides
setup-dev: (_install "dev")

# Stamped with the hash of what it read: a warm run compares and leaves.
[private]
_install KIND:
    #!/usr/bin/env bash
    set -euo pipefail
    kind=$1
    say() { printf '%s\n' "$*" >&2; }

    digest() { cat "$@" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-16; }
    stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

    python_digest=$(digest pyproject.toml constraints.txt)
    # What is there for development serves the runtime too.
    if ! stamped .venv/.setup-dev "$python_digest" && ! { [ "$kind" = runtime ] && stamped .venv/.setup-runtime "$python_digest"; }; then
      if [ ! -x .venv/bin/python ]; then
        for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
          [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
          candidate=
        done
        [ -n "$candidate" ] || { say "Python 3.11 or later is needed. Install it, or name it: PYTHON=… just $kind"; exit 3; }
        say "making .venv with $("$candidate" --version)"
        # Debian ships venv without pip's part of it; pip itself can then install into the directory from outside.
        "$candidate" -m venv .venv >/dev/null 2>&1 || "$candidate" -m venv --clear --without-pip .venv
      fi
      if .venv/bin/python -m pip --version >/dev/null 2>&1; then pip=(.venv/bin/python -m pip); else
        pip=(python3 -m pip --python .venv/bin/python)
        "${pip[@]}" --version >/dev/null 2>&1 || { say "pip is missing. Install python3-venv or python3-pip."; exit 3; }
      fi
      say "installing the Python packages"
      if [ "$kind" = dev ]; then what='.[dev]'; else what='.'; fi
      "${pip[@]}" install -qq --no-input -c constraints.txt -e "$what"
      echo "$python_digest" > ".venv/.setup-$kind"
    fi

    node_version=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//' || true)
    if [ "${node_version:-0}" -lt 20 ] || ! command -v npm >/dev/null; then
      # `coach up` says so itself.
      [ "$kind" = runtime ] || say "Node 20 or later is not here: going on without the tests that need it."
      exit 0
    fi
    node_digest=$(digest package.json package-lock.json)
    stamped node_modules/.setup-dev "$node_digest" && exit 0
    if [ "$kind" = runtime ]; then
      stamped node_modules/.setup-runtime "$node_digest" && exit 0
      what=(--omit=dev --omit=optional)
    else what=(--include=dev --include=optional); fi
    say "installing the npm packages"
    # Not `npm ci`: it demands a lock entry for every platform's binary, also for those a registry does not carry.
    # The versions are the lock's all the same, and --no-save leaves it as it is.
    if npm install --no-save --no-progress --loglevel=error "${what[@]}" >/dev/null; then
      echo "$node_digest" > "node_modules/.setup-$kind"
    elif [ "$kind" = runtime ]; then say "npm failed: going on without the Data API."
    else exit 3; fi
