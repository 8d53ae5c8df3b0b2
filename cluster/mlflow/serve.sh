#!/bin/bash
# MLflow for a team: logins, PostgreSQL, files that the server itself gives out. Everything comes from the environment
# (cluster/mlflow/mlflow.env.example); whatever is missing and secret stops it here.
#
# Behind TLS (nginx, Caddy, an ingress) or on a machine that only the team reaches: MLflow itself speaks plain HTTP.
set -euo pipefail
umask 077

need() { # NAME WHAT-FOR
  if [ -z "${!1:-}" ]; then
    echo "serve.sh: expected $1 ($2) in the environment. Received none. See cluster/mlflow/mlflow.env.example." >&2
    exit 1
  fi
}
need AIO_MLFLOW_DATABASE_PASSWORD "PostgreSQL's password of the user mlflow"
need MLFLOW_FLASK_SERVER_SECRET_KEY "signs sessions and forms: openssl rand -hex 32"
need MLFLOW_AUTH_ADMIN_PASSWORD "first password of the user admin"
need AIO_MLFLOW_ARTIFACTS "s3://bucket/folder, or a folder"
need AIO_MLFLOW_ALLOWED_HOSTS "names under which people and searches come, e.g. mlflow.example:443,localhost:5000"
if [ "${#MLFLOW_FLASK_SERVER_SECRET_KEY}" -lt 32 ]; then
  echo "serve.sh: expected at least 32 characters of MLFLOW_FLASK_SERVER_SECRET_KEY. Received ${#MLFLOW_FLASK_SERVER_SECRET_KEY}." >&2
  exit 1
fi

# As a part of an address: a password may have an @ or a slash.
python="$(dirname "$(command -v mlflow)")/python"
password=$("$python" -c 'import os, urllib.parse as url; print(url.quote(os.environ["AIO_MLFLOW_DATABASE_PASSWORD"], ""))')
server="postgresql://mlflow:$password@${AIO_MLFLOW_DATABASE_HOST:-127.0.0.1:5432}"
# The file holds the database's password: a folder of this process alone, gone with it.
settings=$(mktemp -d)
trap 'rm -rf "$settings"' EXIT
cat > "$settings/auth.ini" <<AUTH
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = ${server//%/%%}/auth
admin_username = admin
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
AUTH
export MLFLOW_AUTH_CONFIG_PATH="$settings/auth.ini"
# The address with its password goes by the environment: a command line can be read by every user of the machine.
export MLFLOW_BACKEND_STORE_URI="$server/mlflow"
# No code of users is run here: neither jobs nor pickles.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false MLFLOW_ALLOW_PICKLE_DESERIALIZATION=false MLFLOW_DISABLE_TELEMETRY=true

mlflow server --app-name basic-auth \
  --host "${AIO_MLFLOW_HOST:-127.0.0.1}" --port "${AIO_MLFLOW_PORT:-5000}" --workers "${AIO_MLFLOW_WORKERS:-2}" \
  --serve-artifacts --artifacts-destination "$AIO_MLFLOW_ARTIFACTS" \
  --allowed-hosts "$AIO_MLFLOW_ALLOWED_HOSTS" &
child=$!
trap 'kill -TERM "$child" 2>/dev/null' TERM INT
# A signal ends the first wait at once; the second is for the server's own end.
wait "$child" || status=$?
wait "$child" 2>/dev/null || true
exit "${status:-0}"
