#!/bin/bash
# Makes a database and a role for each service and a role for its relay, before the services start. Done anew at every
# start: what is there stays as it is, only passwords are set again. PGHOST, PGUSER and PGPASSWORD say where and as whom.
#
# A role can connect to its own database and to no other. The service's role owns its database; the relay's may only
# connect, until the service grants it the outbox after its migrations (OUTBOX_RELAY_ROLE).
set -euo pipefail

fail() {
    echo "databases: $*" >&2
    exit 1
}

# database, service's variable, relay's role, relay's variable; the sandboxes have no outbox
roles=(
    "order_svc ORDER_DB_PASSWORD order_relay ORDER_RELAY_DB_PASSWORD"
    "stock_svc STOCK_DB_PASSWORD stock_relay STOCK_RELAY_DB_PASSWORD"
    "payment_svc PAYMENT_DB_PASSWORD payment_relay PAYMENT_RELAY_DB_PASSWORD"
    "notification_svc NOTIFICATION_DB_PASSWORD notification_relay NOTIFICATION_RELAY_DB_PASSWORD"
    "sandbox_gateway SANDBOX_DB_PASSWORD"
    "sandbox_issuer ISSUER_DB_PASSWORD"
)

# The services' passwords stand in URLs, which these signs would break; the value is a secret and isn't shown.
# shellcheck disable=SC2013 # names of variables are words
for variable in $(grep -oE '[A-Z_]+_PASSWORD' <<< "${roles[*]}"); do
    [ -n "${!variable:-}" ] || fail "$variable is missing; expected a password"
    [[ ${!variable} =~ ^[A-Za-z0-9._~-]+$ ]] || fail "$variable is refused; expected letters, digits and . _ ~ - only"
done

sql() { psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 "$@"; }

if ! told=$(sql --dbname postgres --command 'select 1' 2>&1 >/dev/null); then
    case $told in
        *"password authentication failed"*)
            fail "PostgreSQL refuses POSTGRES_PASSWORD for $PGUSER. A volume keeps the password it was made with: set that" \
                "one, or give $PGUSER a new one (docker compose exec postgres psql -U $PGUSER -c '\\password')" ;;
        *) fail "PostgreSQL at $PGHOST can't be used: $told" ;;
    esac
fi

role() { # role NAME VARIABLE
    ROLE_PASSWORD=${!2} sql --dbname postgres --set role="$1" <<'SQL'
\getenv password ROLE_PASSWORD
-- a statement that fails is not to be logged with its password
set log_min_error_statement = panic;
select format('create role %I', :'role') where not exists (select from pg_roles where rolname = :'role') \gexec
alter role :"role" with login nosuperuser nocreatedb nocreaterole noreplication password :'password';
SQL
}

database() { # database NAME: owned by the role of that name, closed to everybody else
    sql --dbname postgres --set name="$1" <<'SQL'
select format('create database %I owner %I', :'name', :'name')
    where not exists (select from pg_database where datname = :'name') \gexec
revoke all on database :"name" from public;
SQL
}

sql --dbname postgres --command 'revoke connect on database postgres, template1 from public'
for line in "${roles[@]}"; do
    read -r name variable relay relay_variable <<< "$line"
    role "$name" "$variable"
    database "$name"
    if [ -n "$relay" ]; then
        role "$relay" "$relay_variable"
        sql --dbname postgres --set name="$name" --set relay="$relay" <<< 'grant connect on database :"name" to :"relay";'
    fi
done
echo "databases: ${#roles[@]} databases and their roles are there"
