#!/usr/bin/env bash
# Superset on this machine, with the dashboards of bundle/ over what is published. `make superset` runs it.
set -euo pipefail
cd "$(dirname "$0")"

export SUPERSET_HOME="${SUPERSET_HOME:-$PWD/.home}"
export SUPERSET_CONFIG_PATH="$PWD/superset_config.py"
export FLASK_APP="superset.app:create_app()"
export PATH="$PWD/.venv/bin:$PATH"
address="127.0.0.1:${SUPERSET_PORT:-8088}"
mkdir -p "$SUPERSET_HOME"

umask 077
for secret in key password; do
    [ -s "$SUPERSET_HOME/$secret" ] || python -c "import secrets; print(secrets.token_urlsafe(24))" > "$SUPERSET_HOME/$secret"
done
SUPERSET_SECRET_KEY="$(cat "$SUPERSET_HOME/key")"
export SUPERSET_SECRET_KEY
log="$SUPERSET_HOME/superset.log"

step() {
    echo "==> $1"
    shift
    "$@" >> "$log" 2>&1 || { tail -n 20 "$log" >&2; echo "that failed: see $log" >&2; exit 1; }
}

if [ ! "$SUPERSET_HOME/ready" -nt requirements.lock ]; then
    step "making Superset's own database (once)" superset db upgrade
    [ -e "$SUPERSET_HOME/ready" ] || step "making the user admin" superset fab create-admin --username admin \
        --firstname Agent --lastname Analytics --email admin@localhost --password "$(cat "$SUPERSET_HOME/password")"
    step "making roles" superset init
    touch "$SUPERSET_HOME/ready"
fi
# Not import-dashboards, which leaves charts and datasets that are there already as they are.
step "importing the dashboards" superset import-directory --overwrite bundle

echo "==> http://$address/superset/dashboard/agent-analytics/ as admin, password in $SUPERSET_HOME/password"
exec gunicorn --workers 1 --worker-class gthread --threads 8 --timeout 120 --bind "$address" \
    --error-logfile "$log" --capture-output "superset.app:create_app()"
